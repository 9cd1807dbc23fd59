"""The account's first page, and where its owner is signed in: what they can look at, and end."""

from datetime import datetime

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Session, SessionQuerySet, User, signed_in


def sessions_of(user: User, now: datetime) -> SessionQuerySet:
    """Those that still let their browser in, the newest sign-in first."""
    return (
        Session.objects.live(now)
        .filter(user=user)
        .select_related("sign_in")
        .order_by(F("sign_in").desc(nulls_last=True))
    )


@never_cache
@login_required
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    context = {
        "addresses": EmailAddress.objects.filter(user=user).count(),
        "passkeys": Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN).count(),
        "sessions": Session.objects.live(timezone.now()).filter(user=user).count(),
    }
    return render(request, "account/home.html", context)


@never_cache
@login_required
@require_safe
def session_list(request: HttpRequest) -> HttpResponse:
    sessions = sessions_of(signed_in(request), timezone.now())[:100]
    return render(request, "account/sessions.html", {"sessions": sessions, "here": request.session.session_key})


@never_cache
@login_required
@require_POST
def end_session(request: HttpRequest, name: str) -> HttpResponse:
    """End one: that browser is signed out with its next request. One's own leads to the sign-in."""
    session = next((one for one in Session.objects.filter(user=signed_in(request)) if one.name == name), None)
    if session is None:
        raise Http404
    if session.session_key == request.session.session_key:
        logout(request)
        messages.success(request, _("You are signed out here."))
        return redirect("account_login")
    session.delete()
    messages.success(request, _("That device is signed out."))
    return HttpResponseRedirect(reverse("account_sessions"), status=303)


@never_cache
@login_required
@require_POST
def end_other_sessions(request: HttpRequest) -> HttpResponse:
    others = Session.objects.filter(user=signed_in(request)).exclude(session_key=request.session.session_key)
    count, _each = others.delete()
    told = ngettext("One other device is signed out.", "%(count)s other devices are signed out.", count)
    messages.success(request, told % {"count": count} if count else _("You are signed in nowhere else."))
    return HttpResponseRedirect(reverse("account_sessions"), status=303)
