"""What the law calls data portability and erasure: take all that the shop knows along, and have it forgotten."""

from allauth.account.adapter import get_adapter
from django import forms
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.addresses import MAX_LENGTH
from accounts.confirm import confirmed_lately
from accounts.forms import AddressField
from accounts.models import User, proven_emails, signed_in
from fulfillment import export
from fulfillment.erase import EraseRefused, erase_account, in_the_way, orders_of


class EraseForm(forms.Form):
    email = AddressField(
        label=gettext_lazy("Your main address"),
        max_length=MAX_LENGTH,
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
        help_text=gettext_lazy("Typed out, so that nothing is erased by accident."),
    )

    def __init__(self, user: User, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.user = user

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        if email != self.user.email:
            raise forms.ValidationError(_("This is not the main address of this account."), code="other")
        return email


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def data(request: HttpRequest) -> HttpResponseBase:
    """What there is to take along and to erase. The button posts here: who is asked who they are comes back."""
    if request.method == "POST":
        return _download(request)
    return render(request, "account/data.html")


@confirmed_lately
def _download(request: HttpRequest) -> HttpResponseBase:
    """One JSON file, sent as it is read."""
    name = f"my-data-{timezone.now():%Y-%m-%d}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Robots-Tag": "noindex"}
    return StreamingHttpResponse(export.document(signed_in(request)), content_type="application/json", headers=headers)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@confirmed_lately
def erase(request: HttpRequest) -> HttpResponse:
    """Say what goes and what stays; then do it, once the address is typed. It cannot be undone."""
    user = signed_in(request)
    form = EraseForm(user, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            erase_account(user)
        except EraseRefused:
            form.add_error(None, _("Not now, as you see above. Nothing was erased."))
        else:
            email = user.email
            logout(request)
            get_adapter().send_mail("account/email/erased", email, {})
            return render(request, "account/erased.html")
    context = {
        "form": form,
        "in_the_way": in_the_way(orders_of(user, proven_emails(user)))[:20],
        "is_staff": user.is_staff,
    }
    return render(request, "account/erase.html", context)
