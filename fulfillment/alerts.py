"""Trouble that a person must hear of, by mail to ADMINS and by Sentry: at most once per kind in 15 minutes.

The conditions are read from our own rows at every pass of the sweep and by beat. Each of the current cases has a key;
a case is told once, and again after a day while it lasts.
"""

import logging
import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone

from fulfillment import measures
from fulfillment.conditions import CONDITIONS, MOST, Case, Kind
from fulfillment.models import Alert, WebhookMinute
from orders.history import recorded

log = logging.getLogger(__name__)

QUIET = timedelta(minutes=15)  # between two mails of one kind
LEASE = timedelta(seconds=60)  # for sending one; a mail that could not be sent is tried again after it
REMIND = timedelta(days=1)
SHOWN = 20  # cases named in a mail
KEPT = 2000  # keys remembered


def check() -> int:
    """Mail what is new; the number of mails sent. May run at any number of places at once: one of them sends.

    A constant number of queries while there is no news. Raises what the database raises, and nothing of the mail's.
    """
    now = timezone.now()
    WebhookMinute.objects.filter(minute__lt=now - timedelta(days=1)).delete()
    rows = {row.kind: row for row in Alert.objects.all()}
    return sum(_consider(kind, condition.find(now), rows.get(kind), now) for kind, condition in CONDITIONS.items())


def _consider(kind: Kind, cases: list[Case], row: Alert | None, now: datetime) -> bool:
    if row is None:
        if not cases:
            return False
        Alert.objects.bulk_create([Alert(kind=kind, next_mail_at=now)], ignore_conflicts=True)
        row = Alert.objects.get(kind=kind)
    _forget_settled(row, cases)
    if not _is_news(row, cases, now):
        return False
    if row.next_mail_at > now:
        if row.last_sent_at is not None and row.last_sent_at > now - QUIET:
            _hold_back(row, cases)
        return False
    return _mail(kind, cases, now)


def _is_news(row: Alert, cases: list[Case], now: datetime) -> bool:
    if any(case.key not in row.told for case in cases):
        return True
    if not cases or row.last_sent_at is None or not CONDITIONS[Kind(row.kind)].reminds:
        return False
    return row.last_sent_at <= now - REMIND


def _forget_settled(row: Alert, cases: list[Case]) -> None:
    """What is over is news when it comes again. While there are more cases than we look at, nobody knows."""
    current = {case.key for case in cases}
    if len(cases) >= MOST or set(row.told) <= current:
        return
    left = [key for key in row.told if key in current]
    Alert.objects.filter(pk=row.pk, last_sent_at=row.last_sent_at).update(told=left)
    row.told = left


def _hold_back(row: Alert, cases: list[Case]) -> None:
    known = {*row.told, *row.held_back}
    news = [case.key for case in cases if case.key not in known]
    if news:
        held = Alert.objects.filter(pk=row.pk, last_sent_at=row.last_sent_at, held_back=row.held_back)
        held.update(held_back=[*row.held_back, *news][-KEPT:])


def _mail(kind: Kind, cases: list[Case], now: datetime) -> bool:
    """Send the mail, unless another process has the turn. A process that dies here leaves it to the next lease."""
    claim = uuid.uuid4()
    turn = Alert.objects.filter(kind=kind, next_mail_at__lte=now)
    if not turn.update(claim=claim, next_mail_at=now + LEASE):
        return False
    row = Alert.objects.get(kind=kind)
    news = [case for case in cases if case.key not in row.told]
    if not _is_news(row, cases, now) or not _tell(row, _message(kind, news or cases, row), now):
        Alert.objects.filter(kind=kind, claim=claim).update(claim=None)
        return False
    keys = [case.key for case in cases]
    told = [*(key for key in row.told if key not in keys), *reversed(keys)] if len(cases) >= MOST else keys
    Alert.objects.filter(kind=kind, claim=claim).update(
        claim=None, last_sent_at=now, next_mail_at=now + QUIET, told=told[-KEPT:], held_back=[]
    )
    measures.alert_mailed(kind)
    return True


def _message(kind: Kind, cases: list[Case], row: Alert) -> EmailMessage:
    condition = CONDITIONS[kind]
    shown = "\n".join(f"  {case.line}" for case in cases[:SHOWN])
    more = f"\n  … and {len(cases) - SHOWN} more" if len(cases) > SHOWN else ""
    held = f"Held back since the last mail: {len(row.held_back)}.\n\n" if row.held_back else ""
    quiet = "No further mail of this kind is sent for 15 minutes."
    body = f"{condition.what}\n\n{shown}{more}\n\n{held}{condition.mend()}\n\n{quiet}\n"
    return EmailMessage(
        subject=f"[{settings.SITE_NAME}] {recorded(kind)}: {cases[0].line if len(cases) == 1 else len(cases)}",
        body=body,
        from_email=settings.SERVER_EMAIL,
        to=[address for _name, address in settings.ADMINS],
        headers={"Auto-Submitted": "auto-generated"},
    )


def _tell(row: Alert, message: EmailMessage, now: datetime) -> bool:
    """Whether people were told by mail. Sentry comes first: the mail server may be what is wrong."""
    if settings.SENTRY_DSN and (row.reported_at is None or row.reported_at <= now - QUIET):
        Alert.objects.filter(pk=row.pk).update(reported_at=now)
        _report(row.kind, message)
    return _send(message)


def _report(kind: str, message: EmailMessage) -> None:
    """One issue in Sentry for each kind of alert."""
    import sentry_sdk

    with sentry_sdk.new_scope() as scope:
        scope.fingerprint = ["alert", kind]
        scope.set_tag("alert", kind)
        scope.set_context("alert", {"text": str(message.body)})
        sentry_sdk.capture_message(str(message.subject), level="error")


def _send(message: EmailMessage) -> bool:
    """By the configured backend, which gives up after EMAIL_TIMEOUT seconds. What cannot be mailed is logged."""
    if not message.to:
        log.error("alert, and ADMINS is empty: %s", message.subject)
        return True
    try:
        message.send()
    except Exception as error:  # noqa: BLE001 - whatever the mail server does, the sweep goes on
        log.error("alert could not be mailed (%s): %s", type(error).__name__, message.subject)  # noqa: TRY400
        return False
    log.warning("alert mailed: %s", message.subject)
    return True
