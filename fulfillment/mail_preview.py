"""A mail as it would be written now, for people of the shop: with no link in it that opens anything."""

import logging
import re
from dataclasses import dataclass
from functools import cache

from django.urls import reverse
from django.utils.translation import gettext as _

from fulfillment.announce import still_true
from fulfillment.delivery_models import Delivery
from fulfillment.letters import NothingToTell
from fulfillment.mails import compose

log = logging.getLogger(__name__)

HIDDEN = "…"
# A link's token wherever else it stands: reference, time, signature.
TOKEN = re.compile(r"\b[2-9A-Z]{16}\.[0-9A-Za-z]+\.[\w-]{20,}")


@dataclass(frozen=True)
class Preview:
    """What its reader would get. `why_not` says why this mail would not be sent, or could not be written."""

    subject: str = ""
    text: str = ""
    html: str = ""
    why_not: str = ""


def preview(delivery: Delivery) -> Preview:
    """Writes nothing, counts nothing, and no link in it works."""
    try:
        mail = compose(delivery)
        is_true = still_true(delivery)
    except NothingToTell:
        return Preview(why_not=_("There is nothing to tell any more: it would not be sent."))
    except Exception as error:  # the page must show what happened to a mail that cannot be written
        log.warning("delivery %s cannot be shown", delivery.pk, exc_info=True)
        return Preview(why_not=f"{type(error).__name__}: {error}")
    [html] = [str(alternative[0]) for alternative in mail.alternatives]
    return Preview(
        subject=without_links(str(mail.subject)),
        text=without_links(str(mail.body)),
        html=without_links(html),
        why_not="" if is_true else _("What it tells is no longer so: it would not be sent now."),
    )


def without_links(text: str) -> str:
    return TOKEN.sub(HIDDEN, _after_paths().sub(rf"\1{HIDDEN}", text))


@cache
def _after_paths() -> re.Pattern[str]:
    """What comes after the paths that open somebody's files, or speak for their mailbox."""
    paths = [reverse(name, args=["x"]).removesuffix("x/") for name in ("link", "mail_choice")]
    return re.compile(rf"({'|'.join(map(re.escape, paths))})[^\s\"'<>/?#]+")
