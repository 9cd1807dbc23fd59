"""What the buyer gets and how it reaches them: the inbox of events, entitlements, downloads; alerts, signs of life."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from catalog.models import File, Product
from fulfillment.book_models import BooksCheck, Difference  # noqa: F401 - Django looks for models here
from fulfillment.customer_models import Customer  # noqa: F401 - the same
from fulfillment.delivery_models import Delivery, DeliveryAttempt  # noqa: F401 - the same
from fulfillment.event_failures import EventFailure  # noqa: F401 - the same
from fulfillment.event_types import FRAUD_WARNING
from fulfillment.hold_models import Hold  # noqa: F401 - the same
from fulfillment.news_models import Announcement, News  # noqa: F401 - the same
from fulfillment.visits import LibraryVisit  # noqa: F401 - the same
from orders.models import OrderLine


class StripeEventQuerySet(models.QuerySet["StripeEvent"]):
    def due(self, now: datetime | Now) -> "StripeEventQuerySet":
        """Events still to be handled that no worker holds. Leases are compared by the database's clock: pass Now()."""
        return self.filter(state=StripeEvent.State.RECEIVED, next_attempt_at__lte=now)


class StripeEvent(models.Model):
    """The inbox: one row per event Stripe sent, raw, stored before it was acknowledged."""

    class State(models.TextChoices):
        RECEIVED = "received", _("Received")
        HANDLED = "handled", _("Handled")
        FAILED = "failed", _("Failed")
        IGNORED = "ignored", _("Ignored")

    SETTLED = (State.HANDLED, State.IGNORED)

    event_id = models.CharField(_("event at Stripe"), max_length=255, unique=True)
    type = models.CharField(_("type"), max_length=100)
    object_id = models.CharField(_("about"), max_length=255, blank=True)
    livemode = models.BooleanField(_("real money"), default=False)
    account = models.CharField(
        _("connected account"), max_length=255, blank=True, help_text=_("Empty for the shop’s own.")
    )
    api_version = models.CharField(_("version of Stripe’s API"), max_length=40, blank=True)
    # The default is the database's too: while a release goes out, the one before it still inserts.
    endpoint = models.CharField(
        _("endpoint"),
        max_length=40,
        blank=True,
        default="",
        db_default="",
        help_text=_("The label of the secret that signed it."),
    )
    body = models.BinaryField(help_text="The raw bytes that were signed.")  # empty once purged
    received_at = models.DateTimeField(_("received on"), db_default=Now())
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.RECEIVED)
    handled_at = models.DateTimeField(_("handled on"), null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(_("tries"), default=0)
    # While a worker holds the row this is the end of its lease, so one that died gives it back by itself. By the
    # database's clock, as all leases are: those of two machines may differ by more than a lease lasts.
    next_attempt_at = models.DateTimeField(db_default=Now())
    claim = models.UUIDField(null=True, blank=True)
    note = models.TextField(_("note"), blank=True, help_text=_("The last error, or why it was ignored."))

    objects = StripeEventQuerySet.as_manager()

    class Meta:
        verbose_name = _("event of Stripe")
        verbose_name_plural = _("events of Stripe")
        constraints = (
            models.CheckConstraint(
                condition=~Q(state="handled") | Q(handled_at__isnull=False), name="event_handled_has_time"
            ),
        )
        indexes = (
            models.Index("next_attempt_at", name="event_unhandled", condition=Q(state="received")),
            models.Index(fields=("-received_at",), name="event_newest"),
            # What an order's page asks. Most events say nothing new of an order and are ignored: those are left out.
            models.Index("object_id", name="event_about", condition=~Q(state="ignored")),
            models.Index("received_at", name="event_failed", condition=Q(state="failed")),
            # For the alerts: events of the other mode, and warnings of fraud.
            models.Index("livemode", "received_at", name="event_ignored", condition=Q(state="ignored", account="")),
            models.Index("received_at", name="event_fraud_warning", condition=Q(type=FRAUD_WARNING)),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class Cursor(models.Model):
    """How far something has been read: everything up to `at` is stored."""

    name = models.CharField(max_length=40, unique=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.at:%Y-%m-%d %H:%M:%S}"


class EntitlementQuerySet(models.QuerySet["Entitlement"]):
    def active(self, now: datetime) -> "EntitlementQuerySet":
        return self.filter(state=Entitlement.State.ACTIVE).filter(Q(valid_until=None) | Q(valid_until__gt=now))


class Entitlement(models.Model):
    """The right to read a product, given by one order line. Who holds it is asked at read time, never copied."""

    class State(models.TextChoices):
        ACTIVE = "active", _("Active")
        SUSPENDED = "suspended", _("Suspended")
        REVOKED = "revoked", _("Revoked")

    class Reason(models.TextChoices):
        """Why the access is not active."""

        NONE = "", pgettext_lazy("reason", "none")
        UNPAID = "unpaid", _("Unpaid")
        REFUNDED = "refunded", _("Refunded")
        DISPUTED = "disputed", _("Disputed")
        DISPUTE_LOST = "dispute_lost", _("dispute lost")
        HELD = "held", _("suspended by hand")

    order_line = models.OneToOneField(
        OrderLine, models.PROTECT, related_name="entitlement", verbose_name=_("line of an order")
    )
    product = models.ForeignKey(Product, models.PROTECT, related_name="entitlements", verbose_name=_("product"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, verbose_name=_("account")
    )
    email = models.CharField(_("e-mail address"), max_length=254, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.ACTIVE)
    reason = models.CharField(_("reason"), max_length=20, choices=Reason, default=Reason.NONE, blank=True)
    valid_until = models.DateTimeField(_("valid until"), null=True, blank=True)
    created_at = models.DateTimeField(_("created on"), default=timezone.now)

    objects = EntitlementQuerySet.as_manager()

    class Meta:
        verbose_name = _("access right")
        verbose_name_plural = _("access rights")
        constraints = (
            models.CheckConstraint(condition=Q(state="active") | ~Q(reason=""), name="entitlement_ended_has_reason"),
        )
        indexes = (
            models.Index("email", "product", name="entitlement_email_product"),
            models.Index("product", "id", name="entitlement_owners"),
            models.Index("created_at", name="entitlement_disputed", condition=Q(reason="disputed")),
        )

    def __str__(self) -> str:
        return gettext("%(product)s for %(person)s") % {"product": self.product, "person": self.email or self.user}

    @property
    def is_active(self) -> bool:
        within = self.valid_until is None or self.valid_until > timezone.now()
        return self.state == self.State.ACTIVE and within


class Download(models.Model):
    """One file read by one holder. Ranges asked for within half an hour belong to the same download."""

    class Via(models.TextChoices):
        LIBRARY = "library", _("Library")
        LINK = "link", _("Link")
        FREE = "free", _("Free")
        ADMIN = "admin", _("Admin")

    entitlement = models.ForeignKey(
        Entitlement,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="downloads",
        verbose_name=_("access right"),
    )
    file = models.ForeignKey(File, models.CASCADE, related_name="downloads", verbose_name=_("file"))
    via = models.CharField(_("way"), max_length=8, choices=Via)
    address = models.GenericIPAddressField(_("IP address"), null=True)
    agent = models.CharField(_("browser"), max_length=200, blank=True)
    started_at = models.DateTimeField(_("begun"), default=timezone.now)
    last_at = models.DateTimeField(_("last asked for"), default=timezone.now)
    ranges = models.PositiveIntegerField(_("requests"), default=1)
    bytes = models.BigIntegerField(_("bytes"), default=0, db_default=0, help_text=_("Asked for, over all requests."))

    class Meta:
        verbose_name = _("download")
        verbose_name_plural = _("downloads")
        indexes = (models.Index(fields=("entitlement", "file", "-last_at"), name="download_recent"),)

    def __str__(self) -> str:
        return f"{self.file}, {self.started_at:%Y-%m-%d %H:%M}"


class Alert(models.Model):
    """What the shop's people were told about one kind of trouble, and what waits until they may be told more."""

    class Kind(models.TextChoices):
        UNDELIVERED = "undelivered", _("paid and not delivered")
        EVENT = "event", _("event not handled")
        MAIL = "mail", _("mail given up")
        ATTENTION = "attention", _("order needs a person")
        DISPUTE = "dispute", _("dispute opened")
        WEBHOOK = "webhook", _("webhook refuses")
        CLOCK = "clock", _("clock is wrong")
        SILENCE = "silence", _("a process is silent")
        MODE = "mode", _("events of the other mode")
        FRAUD = "fraud", _("early fraud warning")
        BOOKS = "books", _("books differ")

    kind = models.CharField(max_length=12, choices=Kind, unique=True)
    last_sent_at = models.DateTimeField(null=True, blank=True)
    # While somebody sends the mail this is the end of their lease, so one that died gives it back by itself.
    next_mail_at = models.DateTimeField(default=timezone.now)
    claim = models.UUIDField(null=True, blank=True)
    told = models.JSONField(default=list, blank=True, help_text="What the last mails named and is still so.")
    held_back = models.JSONField(default=list, blank=True, help_text="What came up since the last mail.")
    reported_at = models.DateTimeField(null=True, blank=True, help_text="When Sentry was last told.")

    def __str__(self) -> str:
        return self.get_kind_display()


class WebhookMinute(models.Model):
    """How many webhooks were refused in one minute, over all processes, and how far the clocks were apart."""

    minute = models.DateTimeField(primary_key=True)
    refused = models.PositiveIntegerField(default=0, help_text="Answered with 4xx.")
    failed = models.PositiveIntegerField(default=0, help_text="Answered with 5xx.")
    clock_skew = models.IntegerField(default=0, help_text="Seconds that Stripe's clock was ahead of ours.")

    def __str__(self) -> str:
        return f"{self.minute:%Y-%m-%d %H:%M}"


class Heartbeat(models.Model):
    """When a part of the shop last gave a sign of life, by the database's clock."""

    name = models.CharField(max_length=20, primary_key=True)
    at = models.DateTimeField(db_default=Now())
    # Set by who first found it silent, so that one look alone raises no alarm; gone with the next sign of life.
    missed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name
