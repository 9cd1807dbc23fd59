"""Amounts as Stripe counts them: an integer of minor units and a lower-case ISO 4217 currency. Never a float.

Source of the tables: https://docs.stripe.com/currencies (zero-decimal, three-decimal, special cases, minimum charge).
"""

import re
from decimal import Decimal

from babel.core import UnknownLocaleError
from babel.numbers import format_currency, get_currency_name, get_currency_precision
from django.core.exceptions import ValidationError
from django.utils.formats import get_format
from django.utils.translation import get_language, to_locale
from django.utils.translation import gettext as _

TWO_DECIMAL = """
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny cop crc
    cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr jmd kes kgs khr kyd
    kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php
    pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah usd uyu uzs
    wst xcd yer zar zmw
""".split()
ZERO_DECIMAL = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split()
# Stripe wants the last digit to be 0: 5.124 KWD cannot be charged, 5.12 can.
THREE_DECIMAL = "bhd jod kwd omr tnd".split()
# Written without decimals, yet sent to Stripe times 100.
WHOLE_UNITS_TIMES_100 = "isk ugx".split()

CURRENCIES = sorted([*TWO_DECIMAL, *ZERO_DECIMAL, *THREE_DECIMAL, *WHOLE_UNITS_TIMES_100])

# The least that Stripe charges, in minor units. A currency not named here is settled in another one, where Stripe
# applies that one's minimum after conversion: it is known at checkout only.
MINIMUM = {
    "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250, "eur": 50,
    "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50,
    "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
}  # fmt: skip
MAXIMUM = 99_999_999  # eight digits, whatever the currency

NUMBER = re.compile(r"(\d{1,9})(?:([.,])(\d{1,3}))?", re.ASCII)
# Both separators, so that the second can only be the decimal one.
GROUPED = re.compile(r"\d{1,3}(?:(?:,\d{3}){1,2}\.|(?:\.\d{3}){1,2},)\d{1,3}", re.ASCII)
# Unicode's rule that Babel leaves out: "KWD 5.12", not "KWD5.12".
# https://www.unicode.org/reports/tr35/tr35-numbers.html#Currencies (currencySpacing)
LETTER_BEFORE_DIGIT = re.compile(r"(?<=[^\W\d_])(?=\d)")


def exponent(currency: str) -> int:
    """How many digits of a minor-unit amount stand behind the point: 2 for USD, 0 for JPY, 3 for KWD."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def step(currency: str) -> int:
    """An amount in minor units must be a multiple of this to be chargeable."""
    if currency in WHOLE_UNITS_TIMES_100:
        return 100
    return 10 if currency in THREE_DECIMAL else 1


def parse(text: str, currency: str) -> int:
    """Minor units of a price as people write it: "12.50", "12,50", "12". Free is "0".

    Raises ValidationError with what is wrong: not a price, more digits than the currency has, under Stripe's minimum.
    """
    amount = read(text, currency)
    validate(amount, currency)
    return amount


def read(text: str, currency: str) -> int:
    """Minor units of any amount as people write it, also one too small to charge.

    Raises ValidationError for what is no amount or has more digits than the currency.
    """
    value = number(text)
    if value is None:
        raise ValidationError(_("Write the price as a plain number, such as 12.50, or 0 for free."), code="format")
    return _minor_units(value, currency)


def number(text: str) -> Decimal | None:
    """A number as people write it: "12.50", "12,50", "1,234.50", "1.234,50"; None for what is none.

    A single separator is the decimal one. Only where it would be the thousands' in the reader's language, "1,000" in
    English and "1.000" in German, nobody guesses: a thousand would be sold for one.
    """
    if match := NUMBER.fullmatch(text.strip()):
        whole, separator, rest = match.groups("")
        is_unclear = len(rest) == 3 and separator == get_format("THOUSAND_SEPARATOR")
        return None if is_unclear else Decimal(f"{whole}.{rest or 0}")
    if GROUPED.fullmatch(text.strip()):
        *groups, rest = re.split("[.,]", text.strip())
        return Decimal(f"{''.join(groups)}.{rest}")
    return None


def _minor_units(value: Decimal, currency: str) -> int:
    scaled = value.scaleb(exponent(currency))
    if scaled != scaled.to_integral_value() or int(scaled) % step(currency):
        raise ValidationError(
            _("%(currency)s prices have at most %(digits)s decimals."),
            code="decimals",
            params={"currency": currency.upper(), "digits": decimals_shown(currency)},
        )
    return int(scaled)


def decimals_shown(currency: str) -> int:
    return {1: exponent(currency), 10: 2, 100: 0}[step(currency)]


def validate(amount: int, currency: str) -> None:
    """Raise ValidationError unless Stripe can charge `amount` minor units of `currency`, or it is 0 (free)."""
    if currency not in CURRENCIES:
        raise ValidationError(_("Stripe does not charge in this currency."), code="currency")
    least = MINIMUM.get(currency, 1)
    if amount and amount < least:
        raise ValidationError(
            _("Stripe charges at least %(least)s. Ask for that or more, or 0 for free."),
            code="minimum",
            params={"least": display(least, currency)},
        )
    validate_maximum(amount, currency)


def validate_maximum(amount: int, currency: str) -> None:
    """Raise ValidationError for more than a product may cost, on sale or not."""
    if amount > MAXIMUM:
        raise ValidationError(
            _("Stripe charges at most %(most)s."), code="maximum", params={"most": display(MAXIMUM, currency)}
        )


def plain(amount: int, currency: str) -> str:
    """The amount as a bare number that `parse` reads back: 1250 usd is "12.50"."""
    return f"{Decimal(amount).scaleb(-exponent(currency)):.{decimals_shown(currency)}f}"


def typed(amount: int, currency: str) -> str:
    """The amount as people type it in the active language, for a form: 1250 usd is "12.50", in German "12,50"."""
    return plain(amount, currency).replace(".", str(get_format("DECIMAL_SEPARATOR")))


def display(amount: int, currency: str) -> str:
    """The amount for people, in the form of the active language: "$12.50", "¥500", "12,50 €"."""
    return _shown(amount, currency, to_locale(get_language() or "en"))


def recorded(amount: int, currency: str) -> str:
    """The amount in English, whoever's page asks: for what is written down, compared, or told to a bank.

    A sentence on an order would otherwise seem to change with the language of those who look at it.
    """
    return _shown(amount, currency, "en")


def _shown(amount: int, currency: str, language: str) -> str:
    value, code = Decimal(amount).scaleb(-exponent(currency)), currency.upper()
    # Unicode's tables round some currencies that Stripe charges in hundredths: those get the pattern's two digits.
    currency_digits = decimals_shown(currency) == get_currency_precision(code)
    try:
        text = format_currency(value, code, locale=language, currency_digits=currency_digits)
    except UnknownLocaleError:
        text = format_currency(value, code, locale="en", currency_digits=currency_digits)
    return LETTER_BEFORE_DIGIT.sub("\u00a0", text)


def choices() -> list[tuple[str, str]]:
    """Every currency Stripe charges in, for a form's select, named in the active language."""
    return [(code, f"{code.upper()} – {_name(code.upper())}") for code in CURRENCIES]


def _name(code: str) -> str:
    try:
        return get_currency_name(code, locale=to_locale(get_language() or "en"))
    except UnknownLocaleError:
        return get_currency_name(code, locale="en")
