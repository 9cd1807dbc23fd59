"""What anybody may see of a product before buying it."""

import secrets
from datetime import datetime

from django.db import models
from django.db.models import Q
from django.db.models.expressions import Combinable
from django.utils.translation import gettext_lazy as _


class SampleQuerySet(models.QuerySet["Sample"]):
    def due(self, now: datetime | Combinable) -> "SampleQuerySet":
        """Samples to make or to delete, unless somebody holds them; and those whose product is gone."""
        return self.filter(Q(due_at__lte=now) | Q(due_at=None, product=None))


class Sample(models.Model):
    """What anybody may see of a product: pictures of some pages, and a small PDF of the same.

    The row comes before the bytes and goes after them, so that no file is ever left without one. Its files are named
    by its random key (catalog.samples).
    """

    class State(models.TextChoices):
        WANTED = "wanted"
        MADE = "made"
        FAILED = "failed"
        REPLACED = "replaced"  # by a newer one: its files are to be deleted, and the row with them

    product = models.ForeignKey("catalog.Product", models.SET_NULL, null=True, related_name="samples")
    edition = models.ForeignKey("catalog.Edition", models.SET_NULL, null=True, related_name="samples")
    state = models.CharField(max_length=10, choices=State, default=State.WANTED)
    due_at = models.DateTimeField(null=True)  # by the database's clock; the end of the lease while somebody is at work
    key = models.CharField(max_length=64, unique=True, default=secrets.token_hex)
    problem = models.CharField(max_length=300, blank=True)
    made_at = models.DateTimeField(null=True)
    pdf_size = models.PositiveIntegerField(default=0)  # bytes; 0 where there is none

    objects = SampleQuerySet.as_manager()

    class Meta:
        verbose_name = _("sample")
        verbose_name_plural = _("samples")
        constraints = (
            models.UniqueConstraint("product", name="sample_wanted_once", condition=Q(state="wanted")),
            models.UniqueConstraint("product", name="sample_shown_once", condition=Q(state__in=("made", "failed"))),
            models.CheckConstraint(
                condition=Q(state__in=("made", "failed")) | Q(due_at__isnull=False), name="sample_work_is_due"
            ),
            models.CheckConstraint(condition=~Q(state="made") | Q(made_at__isnull=False), name="sample_made_at_known"),
            models.CheckConstraint(condition=~Q(state="failed") | ~Q(problem=""), name="sample_problem_known"),
        )
        indexes = (
            models.Index("due_at", name="sample_due", condition=Q(due_at__isnull=False)),
            models.Index("id", name="sample_left_behind", condition=Q(due_at=None, product=None)),
        )

    def __str__(self) -> str:
        return f"sample of {self.product}"


class SamplePage(models.Model):
    """One page of a sample as two WebP pictures; the height is that of the larger one, in pixels."""

    sample = models.ForeignKey(Sample, models.CASCADE, related_name="pages")
    number = models.PositiveIntegerField()
    height = models.PositiveSmallIntegerField()

    class Meta:
        verbose_name = _("page of a sample")
        verbose_name_plural = _("pages of samples")
        ordering = ("number",)
        constraints = (
            models.UniqueConstraint("sample", "number", name="sample_page_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="sample_page_from_one"),
        )

    def __str__(self) -> str:
        return f"page {self.number} of {self.sample}"
