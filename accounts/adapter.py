"""What django-allauth asks the shop."""

from allauth.account.adapter import DefaultAccountAdapter

from accounts.addresses import normalize


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def clean_email(self, email: str) -> str:
        return normalize(super().clean_email(email))
