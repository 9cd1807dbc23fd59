"""allauth's forms with addresses read the shop's way: what is not one plain ASCII address never reaches a query."""

from typing import Any

from allauth.account import forms
from django import forms as django_forms

from accounts.addresses import MAX_LENGTH, normalize


class AddressField(django_forms.EmailField):
    def clean(self, value: Any) -> str:
        return normalize(super().clean(value))


def with_address(field: django_forms.Field) -> AddressField:
    """An address field with the label and widget of the one it stands in for."""
    return AddressField(label=field.label, widget=field.widget, max_length=MAX_LENGTH)


class SignupForm(forms.SignupForm):  # type: ignore[misc]
    """Asks for an address only. A password comes later, from someone who has shown that the mailbox is theirs: one
    set here would still open the account after its true owner has proven the address."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"] = with_address(self.fields["email"])
        del self.fields["password1"]


class LoginForm(forms.LoginForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"] = with_address(self.fields["login"])


class RequestLoginCodeForm(forms.RequestLoginCodeForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"] = with_address(self.fields["email"])


class ResetPasswordForm(forms.ResetPasswordForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"] = with_address(self.fields["email"])
