"""What django-allauth asks the shop."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.ratelimit import respond_429
from django.contrib.sites.shortcuts import get_current_site
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import mails
from accounts.addresses import normalize
from accounts.models import SignIn, User
from accounts.visitors import SIGN_IN, address_of, agent_of


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def clean_email(self, email: str) -> str:
        return normalize(super().clean_email(email))

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        site = {"request": self.request, "email": email, "current_site": get_current_site(self.request)}
        mails.send(self.render_mail(template_prefix, email, {**site, **context}))

    def login(self, request: HttpRequest, user: User) -> None:
        """Every way to sign in ends here: password, mailed code, passkey, first visit, new password."""
        super().login(request, user)
        sign_in = SignIn.objects.create(user=user, address=address_of(request), agent=agent_of(request))
        request.session[SIGN_IN] = sign_in.pk

    def get_login_stages(self) -> list[str]:
        """A passkey is no second step: whoever loses the device with it must get to their library by a code."""
        return [stage for stage in super().get_login_stages() if stage != "allauth.mfa.stages.AuthenticateStage"]

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """A mailed code is always there, for accounts without a password and for passkeys that were lost."""
        by_code = {"id": "confirm", "description": _("Mail me a code"), "url": reverse("account_confirm")}
        return [*super().get_reauthentication_methods(user), by_code] if user.is_authenticated else []

    def validation_error(self, code: str, *args: Any) -> ValidationError:
        """Too many attempts are answered with 429, as by allauth's views, and not as a mistake in the form."""
        if code == "too_many_login_attempts":
            raise ImmediateHttpResponse(respond_429(self.request))
        error: ValidationError = super().validation_error(code, *args)
        return error
