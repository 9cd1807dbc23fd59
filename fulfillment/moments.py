"""Times and tries as the desk reads them."""

from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext


def moment(at: datetime) -> str:
    """To the second, so that what happened in one go can be told apart."""
    return date_format(timezone.localtime(at), "Y-m-d H:i:s")


def tried(times: int) -> str:
    if not times:
        return gettext("not tried yet")
    return ngettext("tried once", "tried %(number)s times", times) % {"number": times}
