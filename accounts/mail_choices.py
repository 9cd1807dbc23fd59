"""What the owner of a mailbox wants to be told: chosen on a page, or by the link in each mail that may be stopped."""

from collections.abc import Iterable

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts.models import MailChoice, User, proven_emails

SIGNER = signing.Signer(salt="accounts.mail_choices", sep=".")


def address(email: str) -> str:
    """The page where this mailbox chooses. It never expires: old mails must be as easy to stop as new ones."""
    return settings.SITE_URL + reverse("mail_choice", args=[SIGNER.sign_object([email])])


def email_of(token: str) -> str | None:
    """The mailbox that a page's address names, or None for one that this shop never signed."""
    try:
        [email] = SIGNER.unsign_object(token)
    except signing.BadSignature:
        return None
    return str(email)


def refusers(emails: Iterable[str]) -> set[str]:
    """Those of the addresses that want to hear nothing of new editions."""
    return set(MailChoice.objects.filter(email__in=list(emails), new_editions=False).values_list("email", flat=True))


def choose(email: str, *, new_editions: bool) -> None:
    MailChoice.objects.update_or_create(email=email, defaults={"new_editions": new_editions})


@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def mail_choice(request: HttpRequest, choice: str) -> HttpResponse:
    """The page of one mailbox, for whoever holds a mail to it. GET shows and changes nothing; its button POSTs.

    So does a mail program by itself when its reader unsubscribes (RFC 8058, section 3.2): with no cookie and no CSRF
    token, so the signed address alone must do. Any POST that does not ask for more mails stops them.
    """
    email = email_of(choice)
    if email is None:
        return _private(render(request, "account/mail_choice.html", {"email": ""}, status=404))
    if request.method == "POST":
        choose(email, new_editions=request.POST.get("new_editions") == "on")
    context = {"email": email, "wanted": not refusers([email]), "changed": request.method == "POST"}
    return _private(render(request, "account/mail_choice.html", context))


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def mail_choices(request: HttpRequest) -> HttpResponse:
    """The same for each address that this user has proven to be theirs."""
    assert isinstance(request.user, User)  # noqa: S101 - login_required lets nobody else in
    emails = sorted(proven_emails(request.user))
    if request.method == "POST":
        wanted = set(request.POST.getlist("new_editions"))
        for email in emails:
            choose(email, new_editions=email in wanted)
        messages.success(request, _("Your choice is saved."))
        return HttpResponseRedirect(reverse("mail_choices"), status=303)
    refused = refusers(emails)
    context = {"choices": [(email, email not in refused) for email in emails]}
    return render(request, "account/mail_choices.html", context)


def _private(response: HttpResponse) -> HttpResponse:
    response["X-Robots-Tag"] = "noindex"
    return response
