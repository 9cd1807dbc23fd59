"""Who is asking: a user known by e-mail address, and the browsers they are signed in with."""

from datetime import datetime
from typing import Any, ClassVar

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.contrib.sessions.base_session import AbstractBaseSession
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import F
from django.db.models.functions import Lower
from django.db.models.lookups import Exact
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from accounts.addresses import normalize
from accounts.visitors import device_of


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=normalize(username or ""))

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=normalize(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """An owner, whose address counts as proven: whoever may run this command needs no code by mail."""
        with transaction.atomic():
            user = self.create_user(email, password, is_staff=True, is_superuser=True, **fields)
            EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
        return user


class User(AbstractBaseUser, PermissionsMixin):
    email = models.EmailField(_("e-mail address"), max_length=254, unique=True)
    is_staff = models.BooleanField(_("may use the admin"), default=False)
    is_active = models.BooleanField(_("is active"), default=True)
    date_joined = models.DateTimeField(_("joined on"), default=timezone.now)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        # One spelling per mailbox, so that unique means one account whatever the case.
        constraints = (models.CheckConstraint(condition=Exact(F("email"), Lower("email")), name="user_email_lower"),)

    def __str__(self) -> str:
        return self.email

    def clean(self) -> None:
        try:
            self.email = normalize(self.email)
        except ValidationError as error:
            raise ValidationError({"email": error}) from error


class SignIn(models.Model):
    """One sign-in that succeeded: who came from where. Kept for as long as a bank may still ask."""

    user = models.ForeignKey(User, models.CASCADE, related_name="sign_ins", verbose_name=_("user"))
    at = models.DateTimeField(_("when"), default=timezone.now)
    address = models.GenericIPAddressField(_("IP address"), null=True)
    agent = models.CharField(_("browser"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("sign-in")
        verbose_name_plural = _("sign-ins")
        ordering = ("pk",)
        indexes = (
            models.Index(fields=("user", "at"), name="sign_in_of_user"),
            models.Index("at", name="sign_in_at"),
        )

    def __str__(self) -> str:
        return f"{self.user}, {self.at:%Y-%m-%d %H:%M:%S}"

    @property
    def device(self) -> str:
        return device_of(self.agent)


class SessionQuerySet(models.QuerySet["Session"]):
    def live(self, now: datetime) -> "SessionQuerySet":
        return self.filter(expire_date__gt=now)


class Session(AbstractBaseSession):
    """A browser that the shop knows again; with a user, one that is signed in. Ending it means deleting the row.

    Written by storefront.sessions alone, which reads whose it is from what the session holds, so the two cannot differ.
    No constraint ties it to its user: a request that is under way while its user is erased may still save its session.
    """

    user = models.ForeignKey(
        User, models.CASCADE, null=True, db_constraint=False, related_name="sessions", editable=False
    )
    sign_in = models.ForeignKey(SignIn, models.DO_NOTHING, null=True, db_constraint=False, related_name="+")

    objects: ClassVar = SessionQuerySet.as_manager()  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """What its owner may name it by: the key itself opens the account, so no page shows it."""
        return salted_hmac("accounts.session", self.session_key, algorithm="sha256").hexdigest()[:32]

    @classmethod
    def get_session_store_class(cls) -> Any:
        return import_string(f"{settings.SESSION_ENGINE}.SessionStore")


def signed_in(request: HttpRequest) -> User:
    """The user of a page that only they may see."""
    assert isinstance(request.user, User)  # noqa: S101 - login_required lets nobody else in
    return request.user


class Attempts(models.Model):
    """How often something was tried within ten minutes. `limits` writes and deletes the rows."""

    who = models.CharField(max_length=40, primary_key=True)
    began_at = models.DateTimeField()
    count = models.PositiveIntegerField()

    class Meta:
        indexes = (models.Index("began_at", name="attempts_age"),)

    def __str__(self) -> str:
        return f"{self.count} since {self.began_at:%Y-%m-%d %H:%M}"


class MailChoice(models.Model):
    """What the owner of a mailbox wants to hear of, by its address. Mails about orders are not up for choice."""

    email = models.CharField(_("e-mail address"), max_length=254, unique=True)
    new_editions = models.BooleanField(_("wants to hear of new editions"), default=True)
    changed_at = models.DateTimeField(_("changed on"), auto_now=True)

    class Meta:
        verbose_name = _("mail choice")
        verbose_name_plural = _("mail choices")
        constraints = (
            models.CheckConstraint(condition=Exact(F("email"), Lower("email")), name="mail_choice_email_lower"),
        )

    def __str__(self) -> str:
        return self.email


def display(user: User) -> str:
    return user.email


def proven_emails(user: User) -> list[str]:
    """The addresses whose mailbox this user has shown to be theirs, lower-case."""
    return list(EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True))


def proven_owners(email: str) -> list[int]:
    """The ids of the users who have shown that this mailbox is theirs."""
    return list(EmailAddress.objects.filter(email=email, verified=True).values_list("user_id", flat=True))
