"""New prices from old ones: set, raised or lowered by a percentage, rounded to what their currency can charge."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from django.core.exceptions import ValidationError
from django.db.models import TextChoices
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog import money

MOST_PERCENT = 1000


class How(TextChoices):
    SET = "set", gettext_lazy("Set to this amount")
    RAISE = "raise", gettext_lazy("Raise by this many percent")
    LOWER = "lower", gettext_lazy("Lower by this many percent")


class Ending(TextChoices):
    EXACT = "exact", gettext_lazy("Round to the smallest coin")
    NINETY_NINE = "99", gettext_lazy("End in .99")


@dataclass(frozen=True)
class Pricing:
    """`number` is as people write it: an amount, or a percentage."""

    how: How
    number: str
    ending: Ending = Ending.EXACT

    def check(self) -> None:
        """Raise ValidationError for a number that means nothing, whatever the currency."""
        if money.number(self.number) is None:
            raise ValidationError(_("Write a plain number, such as 12.50."), code="format")
        if self.how == How.LOWER and not 0 < self._percent < 100:
            raise ValidationError(_("A price can be lowered by more than 0 and less than 100 percent."), code="percent")
        if self.how == How.RAISE and not 0 < self._percent <= MOST_PERCENT:
            raise ValidationError(
                _("A price can be raised by more than 0 and up to %(most)s percent."),
                code="percent",
                params={"most": MOST_PERCENT},
            )

    def new_price(self, price: int, currency: str) -> int:
        """Minor units. What is free stays free, unless an amount is set.

        Raises ValidationError where the result could not be charged.
        """
        if self.how == How.SET:
            return money.parse(self.number, currency)
        if price == 0:
            return 0
        percent = 100 + (self._percent if self.how == How.RAISE else -self._percent)
        changed = price * percent / 100
        if self.ending == Ending.NINETY_NINE and money.decimals_shown(currency):
            whole: int = 10 ** money.exponent(currency)
            new = max(_nearest(changed + money.step(currency), whole), whole) - money.step(currency)
        else:
            new = _nearest(changed, money.step(currency))
        if new == 0:
            raise ValidationError(_("It would cost nothing any more."), code="free")
        money.validate(new, currency)
        return new

    @property
    def _percent(self) -> Decimal:
        return money.number(self.number) or Decimal(0)


def _nearest(amount: Decimal, unit: int) -> int:
    """The multiple of `unit` that is nearest; in the middle, the larger one."""
    return int((amount / unit).quantize(Decimal(1), rounding=ROUND_HALF_UP)) * unit
