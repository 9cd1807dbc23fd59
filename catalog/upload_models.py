"""One file on its way in from the admin, from its first part until a product takes it."""

import uuid
from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.expressions import Combinable
from django.db.models.functions import Length, Now
from django.db.models.lookups import Exact
from django.utils.translation import gettext_lazy as _

UNSETTLED = ("started", "arrived", "checked")


class UploadQuerySet(models.QuerySet["Upload"]):
    def due(self, now: datetime | Combinable) -> "UploadQuerySet":
        """Uploads that have arrived and are to be looked into, unless somebody holds them."""
        return self.filter(due_at__lte=now)

    def unsettled(self) -> "UploadQuerySet":
        """Uploads that may still become a file."""
        return self.filter(state__in=UNSETTLED)


class Upload(models.Model):
    """The row comes before the bytes and names them until a File does: taking an upload deletes its row in the
    transaction that makes the File, so its bytes are one File's at most."""

    class State(models.TextChoices):
        STARTED = "started"  # parts are coming
        ARRIVED = "arrived"  # all parts are there; they are to be put together and looked into
        CHECKED = "checked"  # may be sold
        REFUSED = "refused"  # may not; `problem` says why

    public_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    language = models.CharField(max_length=10)  # of the page it was chosen on, for the words of a refusal
    name = models.CharField(max_length=255)  # as the uploader calls it
    size = models.BigIntegerField()  # bytes, as the browser declared them; what arrives must be as many
    fingerprint = models.CharField(max_length=64)  # by which the same file is known when it is chosen again
    part_size = models.PositiveIntegerField()  # bytes of each part but the last
    key = models.CharField(max_length=80, unique=True)  # in the storage, of the same form as File.key
    multipart = models.CharField(max_length=1024, blank=True)  # the bucket's id of the upload; "" in a folder
    state = models.CharField(max_length=10, choices=State, default=State.STARTED)
    due_at = models.DateTimeField(null=True)  # by the database's clock; the end of the lease while somebody is at work
    claim = models.UUIDField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    problem = models.CharField(max_length=600, blank=True)  # why it was refused, or what it waits for
    # What the inspection found, as in File.
    safe_name = models.CharField(max_length=160, blank=True)
    media_type = models.CharField(max_length=100, blank=True)
    stored_size = models.BigIntegerField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    pages = models.PositiveIntegerField(null=True)
    outline = models.JSONField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    touched_at = models.DateTimeField(db_default=Now())  # the last sign of its owner or of the worker

    objects = UploadQuerySet.as_manager()

    class Meta:
        verbose_name = _("upload")
        verbose_name_plural = _("uploads")
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                "owner", "fingerprint", name="upload_once_at_a_time", condition=Q(state__in=UNSETTLED)
            ),
            models.CheckConstraint(condition=Q(size__gt=0, part_size__gt=0), name="upload_sizes_positive"),
            models.CheckConstraint(
                condition=Q(state="arrived", due_at__isnull=False) | ~Q(state="arrived") & Q(due_at=None, claim=None),
                name="upload_work_is_due",
            ),
            models.CheckConstraint(
                condition=~Q(state="checked")
                | Exact(Length("sha256"), 64) & Q(stored_size__gt=0) & ~Q(safe_name="") & ~Q(media_type=""),
                name="upload_checked_is_known",
            ),
            models.CheckConstraint(condition=~Q(state="refused") | ~Q(problem=""), name="upload_refusal_says_why"),
        )
        indexes = (
            models.Index("due_at", name="upload_due", condition=Q(due_at__isnull=False)),
            models.Index("touched_at", name="upload_left", condition=~Q(state="arrived")),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def parts(self) -> int:
        """How many parts it comes in."""
        return -(-self.size // self.part_size)

    def size_of(self, number: int) -> int:
        """Bytes of one part, counted from 1."""
        return self.part_size if number < self.parts else self.size - (self.parts - 1) * self.part_size

    @property
    def sizes(self) -> dict[int, int]:
        """Of every part, by its number."""
        return {number: self.size_of(number) for number in range(1, self.parts + 1)}
