"""Every amount is an integer of minor units, in every currency that Stripe charges."""

from decimal import Decimal

import pytest
from babel.numbers import get_currency_name
from django.core.exceptions import ValidationError
from django.utils import translation

from catalog import money

# What a price of 7 is sent to Stripe as, and how finely prices may be written. Typed in from
# https://docs.stripe.com/currencies, not taken from the code.
ZERO_DECIMAL = {
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf",
}  # fmt: skip
THREE_DECIMAL = {"bhd", "jod", "kwd", "omr", "tnd"}
TIMES_100 = {"isk", "ugx"}


def refusal(text: str, currency: str) -> tuple[str, str]:
    """The code and the words with which a price is refused."""
    with pytest.raises(ValidationError) as caught:
        money.parse(text, currency)
    return str(caught.value.code), caught.value.messages[0]


@pytest.mark.parametrize("currency", money.CURRENCIES)
def test_s43_price_in_each_currency_of_stripe(currency: str) -> None:
    scale = 1 if currency in ZERO_DECIMAL else 1000 if currency in THREE_DECIMAL else 100
    step = 10 if currency in THREE_DECIMAL else 100 if currency in TIMES_100 else 1
    digits = 0 if scale == 1 or currency in TIMES_100 else 2

    assert money.parse("75000", currency) == 75_000 * scale
    assert money.plain(75_000 * scale, currency) == f"{Decimal(75_000):.{digits}f}"
    finest = 75_000 * scale + step
    assert money.parse(money.plain(finest, currency), currency) == finest
    too_fine = f"75000.{'0' * digits}5"
    assert refusal(too_fine, currency) == ("decimals", f"{currency.upper()} prices have at most {digits} decimals.")
    assert Decimal("".join(c for c in money.display(75_000 * scale, currency) if c in "0123456789.")) == 75_000


def test_currencies_are_known_to_unicode_by_name() -> None:
    assert len(money.CURRENCIES) == len(set(money.CURRENCIES))
    assert [code for code in money.CURRENCIES if get_currency_name(code.upper(), locale="en") == code.upper()] == []
    assert set(money.MINIMUM) < set(money.CURRENCIES)
    assert ("usd", "USD – US Dollar") in money.choices()


def test_s42_every_cent_up_to_a_thousand_round_trips() -> None:
    for amount in range(100_001):
        text = f"{amount // 100}.{amount % 100:02}"
        assert money.plain(amount, "usd") == text
        if amount == 0 or amount >= 50:
            assert money.parse(text, "usd") == amount


@pytest.mark.parametrize(
    "text, currency, amount",
    [
        ("19.99", "usd", 1999),  # int(19.99 * 100) is 1998
        ("12.50", "usd", 1250),
        ("12,50", "eur", 1250),
        ("12.5", "usd", 1250),
        ("12", "usd", 1200),
        (" 12.50 ", "usd", 1250),
        ("007", "usd", 700),
        ("0", "usd", 0),
        ("0.00", "usd", 0),
        ("12.500", "usd", 1250),
        ("500", "jpy", 500),
        ("500.0", "jpy", 500),
        ("5.12", "kwd", 5120),
        ("5.120", "kwd", 5120),
        ("5", "isk", 500),
        ("5", "ugx", 500),
        ("999999.99", "usd", 99_999_999),
        ("0.50", "usd", 50),
        ("0.30", "gbp", 30),
        ("175", "huf", 17_500),
    ],
)
def test_price_as_people_write_it_is_read(text: str, currency: str, amount: int) -> None:
    assert money.parse(text, currency) == amount


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(
    "text, amount",
    [
        ("1,234.50", 123_450), ("1.234,50", 123_450), ("1,234.5", 123_450), ("12.345,67", 1_234_567),
        ("999,999.99", 99_999_999), ("12.5", 1250), ("12,5", 1250), ("1234,50", 123_450), ("1234.50", 123_450),
    ],
)  # fmt: skip
def test_price_is_read_with_either_separator_whatever_the_language(language: str, text: str, amount: int) -> None:
    with translation.override(language):
        assert money.parse(text, "eur") == amount


@pytest.mark.parametrize("language, thousand, fine", [("en", "1,000", "1.000"), ("de", "1.000", "1,000")])
def test_thousand_is_never_taken_for_one(language: str, thousand: str, fine: str) -> None:
    """Three digits behind what groups thousands in the reader's language: it was meant as a thousand, or not."""
    with translation.override(language):
        assert money.number(thousand) is None
        assert money.parse(fine, "usd") == 100


@pytest.mark.parametrize(
    "language, amount, currency, shown",
    [("en", 553, "eur", "5.53"), ("de", 553, "eur", "5,53"), ("de", 123_450, "usd", "1234,50"),
     ("de", 5120, "kwd", "5,12"), ("de", 500, "jpy", "500"), ("xx", 553, "eur", "5.53")],
)  # fmt: skip
def test_amount_in_a_form_is_written_as_its_reader_types_it(
    language: str, amount: int, currency: str, shown: str
) -> None:
    with translation.override(language):
        assert money.typed(amount, currency) == shown
        assert money.parse(shown, currency) == amount


def test_currencies_are_named_in_the_readers_language() -> None:
    with translation.override("de"):
        assert {("usd", "USD – US-Dollar"), ("chf", "CHF – Schweizer Franken")} <= set(money.choices())
    with translation.override("xx"):
        assert ("usd", "USD – US Dollar") in money.choices()


NOT_A_PRICE = """
    -1 +1 1e400 1e2 NaN inf １ ١ ½ 1. .5 1,234 1,000 1,234.567.89
    1.234,567,89 1,23.50 12,345,6.7 $5 0x10 1_000 9999999999 1.2345 1.2.3 --1 12;50 =1+1
""".split()


@pytest.mark.parametrize("text", ["", " ", "1 000", "5 USD", "1\x00", "1\n2", "9" * 100_000, *NOT_A_PRICE])
def test_s42_what_is_not_a_price_is_refused(text: str) -> None:
    assert refusal(text, "usd") == ("format", "Write the price as a plain number, such as 12.50, or 0 for free.")


@pytest.mark.parametrize(
    "text, currency, code, words",
    [
        ("1.005", "usd", "decimals", "USD prices have at most 2 decimals."),
        ("0.001", "usd", "decimals", "USD prices have at most 2 decimals."),
        ("5.5", "jpy", "decimals", "JPY prices have at most 0 decimals."),
        ("5.124", "kwd", "decimals", "KWD prices have at most 2 decimals."),
        ("5.5", "isk", "decimals", "ISK prices have at most 0 decimals."),
        ("0.10", "usd", "minimum", "Stripe charges at least $0.50. Ask for that or more, or 0 for free."),
        ("0.49", "usd", "minimum", "Stripe charges at least $0.50. Ask for that or more, or 0 for free."),
        ("49", "jpy", "minimum", "Stripe charges at least ¥50. Ask for that or more, or 0 for free."),
        ("174.99", "huf", "minimum", "Stripe charges at least HUF\xa0175.00. Ask for that or more, or 0 for free."),
        ("1000000", "usd", "maximum", "Stripe charges at most $999,999.99."),
        ("100000000", "jpy", "maximum", "Stripe charges at most ¥99,999,999."),
        ("5", "xxx", "currency", "Stripe does not charge in this currency."),
        ("5", "USD", "currency", "Stripe does not charge in this currency."),
    ],
)
def test_s43_price_that_stripe_cannot_charge_is_refused(text: str, currency: str, code: str, words: str) -> None:
    assert refusal(text, currency) == (code, words)


@pytest.mark.parametrize("currency", sorted(money.MINIMUM))
def test_s43_least_amount_of_a_currency_is_charged_and_less_is_not(currency: str) -> None:
    least = money.MINIMUM[currency]
    money.validate(least, currency)
    with pytest.raises(ValidationError, match="at least"):
        money.validate(least - 1, currency)


@pytest.mark.parametrize("language", ["en", "de", "xx"])
def test_amount_that_is_written_down_is_the_same_in_every_language(language: str) -> None:
    with translation.override(language):
        assert money.recorded(123_450, "eur") == "€1,234.50"


@pytest.mark.parametrize(
    "amount, currency, language, shown",
    [
        (1250, "usd", "en-us", "$12.50"),
        (123_456, "usd", "en-us", "$1,234.56"),
        (1250, "eur", "de", "12,50\xa0€"),
        (500, "jpy", "en-us", "¥500"),
        (5120, "kwd", "en-us", "KWD\xa05.12"),
        (500, "isk", "en-us", "ISK\xa05"),
        (500, "ugx", "en-us", "UGX\xa05"),
        (17_599, "huf", "en-us", "HUF\xa0175.99"),  # Unicode's tables would round to whole forints
        (1250, "usd", "xx", "$12.50"),
        (0, "usd", "en-us", "$0.00"),
        (-1250, "usd", "en-us", "-$12.50"),
        (1250, "cad", "en-us", "CA$12.50"),
        (5120, "kwd", "de", "5,12\xa0KWD"),
    ],
)
def test_amount_is_shown_as_people_write_it(amount: int, currency: str, language: str, shown: str) -> None:
    with translation.override(language):
        assert money.display(amount, currency) == shown
