"""When somebody was in their library: what came since then is new to them."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User

ONE_VISIT = timedelta(minutes=30)
WORTH_NOTING = timedelta(minutes=1)  # a look that soon after the last one costs no write


class LibraryVisit(models.Model):
    """The visit a reader is at, or was at last. Looks within half an hour of each other are one visit."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+")
    last_at = models.DateTimeField(help_text="The latest look.")
    previous_at = models.DateTimeField(null=True, blank=True, help_text="The last look of the visit before.")

    class Meta:
        verbose_name = _("visit to the library")
        verbose_name_plural = _("visits to the library")

    def __str__(self) -> str:
        return f"{self.user} at {self.last_at:%Y-%m-%d %H:%M}"


def note_visit(user: User) -> datetime | None:
    """Note that this reader looks into the library now; returns when the visit before ended, None at the first one.

    The same for as long as the visit lasts, so what is marked as new stays so.
    """
    now = timezone.now()
    visit, is_first = LibraryVisit.objects.get_or_create(user=user, defaults={"last_at": now})
    if is_first:
        return None
    # Two looks at once: the second finds the time that the first has written, and changes nothing.
    row = LibraryVisit.objects.filter(pk=visit.pk, last_at=visit.last_at)
    if now - visit.last_at > ONE_VISIT:
        row.update(last_at=now, previous_at=visit.last_at)
        return visit.last_at
    if now - visit.last_at > WORTH_NOTING:
        row.update(last_at=now)
    return visit.previous_at
