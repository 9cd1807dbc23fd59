"""A second look before what cannot be undone: whoever sits there has just shown that the account is theirs."""

import time
from collections.abc import Callable
from functools import wraps
from hmac import compare_digest
from typing import Any, TypeVar, cast

from allauth.account import app_settings
from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from allauth.core.exceptions import ReauthenticationRequired
from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import limits
from accounts.models import User, signed_in

SESSION_KEY = "confirm"
TRIES = 3
CODES = 5  # mailed to one user in ten minutes

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


class CodeForm(forms.Form):
    code = forms.CharField(
        label=gettext_lazy("Code"), max_length=20, widget=forms.TextInput(attrs={"autocomplete": "one-time-code"})
    )


def confirmed_lately(view: View) -> View:
    """Let through who signed in, or confirmed that it is them, within five minutes; send all others to do so.

    allauth's own decorator lets everybody through who has neither password nor passkey, as most accounts here.
    """

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not _lately(request):
            raise ReauthenticationRequired
        return view(request, *args, **kwargs)

    return cast("View", guarded)


def _lately(request: HttpRequest) -> bool:
    oldest = time.time() - app_settings.REAUTHENTICATION_TIMEOUT
    return any(record["at"] > oldest for record in get_authentication_records(request, request.user))


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest) -> HttpResponse:
    """Mail a code to the account's main address, then take it; leads on to `next`, an address of this shop."""
    user = signed_in(request)
    form = CodeForm(request.POST if "code" in request.POST else None)
    if request.method == "POST" and not form.is_bound:
        if not limits.key_within("confirm", str(user.pk), CODES):
            return limits.too_often(request)
        _mail_code(request, user)
    elif form.is_bound and form.is_valid():
        if _matches(request, form.cleaned_data["code"]):
            record_authentication(request, user, method="code", email=user.email, reauthenticated=True)
            return HttpResponseRedirect(_next(request), status=303)
        form.add_error("code", _("This is not the code, or it is too old. After three tries please ask for another."))
    others = [way for way in get_adapter().get_reauthentication_methods(user) if way["id"] != "confirm"]
    context = {
        "form": form,
        "email": user.email,
        "sent": SESSION_KEY in request.session,
        "next": _next(request),
        "reauthentication_alternatives": others,
    }
    return render(request, "account/confirm.html", context)


def _mail_code(request: HttpRequest, user: User) -> None:
    code = get_adapter().generate_login_code()
    request.session[SESSION_KEY] = {"code": code, "at": int(time.time()), "tries": 0}
    get_adapter().send_mail("account/email/confirm_access", user.email, {"code": code, "user": user})


def _matches(request: HttpRequest, code: str) -> bool:
    """Whether it is the code that was mailed. One that was used, tried too often or is too old is gone."""
    kept = request.session.get(SESSION_KEY)
    if kept is None:
        return False
    in_time = kept["at"] > time.time() - app_settings.LOGIN_BY_CODE_TIMEOUT
    is_it = in_time and compare_digest(_plain(kept["code"]).encode(), _plain(code).encode())
    request.session[SESSION_KEY] = {**kept, "tries": kept["tries"] + 1}
    if is_it or not in_time or kept["tries"] + 1 >= TRIES:
        del request.session[SESSION_KEY]
    return is_it


def _plain(code: str) -> str:
    return code.replace("-", "").replace(" ", "").upper()


def _next(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    here = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None, require_https=request.is_secure())
    return wanted if here and "\x00" not in wanted else redirect("account").url
