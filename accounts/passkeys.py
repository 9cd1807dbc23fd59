"""Passkeys as the shop has them: one more way to sign in, each with a name that tells it from the others."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import AddWebAuthnForm, EditWebAuthnForm, LoginWebAuthnForm, ReauthenticateWebAuthnForm
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User

NAME_LENGTH = 60


def name_field(*, required: bool) -> forms.CharField:
    return forms.CharField(
        label=gettext_lazy("Name"),
        max_length=NAME_LENGTH,
        required=required,
        help_text=gettext_lazy("So that you know later which device or password manager keeps it."),
    )


class PasskeyAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    def generate_authenticator_name(self, user: User, type: Authenticator.Type) -> str:  # noqa: A002
        number = Authenticator.objects.filter(user=user, type=type).count() + 1
        return _("Passkey %(number)s") % {"number": number}


@contextmanager
def readable(credential: Any) -> Iterator[None]:
    """What no browser would send is refused here: some of it makes the library fail, and a NUL the database."""
    try:
        if "\\u0000" in json.dumps(credential):
            raise ValueError("a NUL")
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValidationError(_("The passkey could not be read. Please try again."), code="credential") from error


class AddForm(AddWebAuthnForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"] = name_field(required=False)

    def clean(self) -> dict[str, Any]:
        with readable(self.cleaned_data.get("credential")):
            cleaned: dict[str, Any] = super().clean()
        return cleaned


class LoginForm(LoginWebAuthnForm):  # type: ignore[misc]
    def clean_credential(self) -> Authenticator:
        with readable(self.cleaned_data["credential"]):
            return super().clean_credential()


class ReauthenticateForm(ReauthenticateWebAuthnForm):  # type: ignore[misc]
    def clean_credential(self) -> Authenticator:
        with readable(self.cleaned_data["credential"]):
            return super().clean_credential()


class RenameForm(EditWebAuthnForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"] = name_field(required=True)
