"""Times as the desk reads them: to the second, so that what happened in one go can be told apart."""

from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format


def moment(at: datetime) -> str:
    return date_format(timezone.localtime(at), "Y-m-d H:i:s")
