"""A new edition and those who own an earlier one: who is to be told, and by which mail."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from catalog.models import Edition


class Announcement(models.Model):
    """Somebody at the shop wants the owners of earlier editions told of this one: once for each edition.

    Owners are written down in batches, by the id of their entitlement; `after` is the last one looked at.
    """

    edition = models.OneToOneField(Edition, models.CASCADE, related_name="announcement")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    asked_at = models.DateTimeField(db_default=Now())
    mail_at = models.DateTimeField(help_text="Until then it waits, so that one mail can tell of several editions.")
    after = models.BigIntegerField(default=0)
    done_at = models.DateTimeField(null=True, blank=True, help_text="When the last owner was written down.")

    class Meta:
        verbose_name = _("announcement")
        verbose_name_plural = _("announcements")
        indexes = (models.Index("id", name="announcement_unfinished", condition=Q(done_at=None)),)

    def __str__(self) -> str:
        return str(self.edition)


class News(models.Model):
    """One address that is to hear of one edition, and the mail that tells it."""

    edition = models.ForeignKey(Edition, models.CASCADE, related_name="news")
    email = models.CharField(max_length=254)
    due_at = models.DateTimeField()
    delivery = models.ForeignKey("Delivery", models.PROTECT, null=True, blank=True, related_name="news")

    class Meta:
        verbose_name = _("news of an edition")
        verbose_name_plural = _("news of editions")
        constraints = (models.UniqueConstraint("edition", "email", name="news_once"),)
        indexes = (
            models.Index("due_at", "id", name="news_due", condition=Q(delivery=None)),
            models.Index("email", name="news_waiting", condition=Q(delivery=None)),
        )

    def __str__(self) -> str:
        return f"{self.edition} for {self.email}"
