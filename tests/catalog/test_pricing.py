"""New prices from old ones, in every kind of currency."""

import pytest
from django.core.exceptions import ValidationError

from catalog import money
from catalog.pricing import Ending, How, Pricing


@pytest.mark.parametrize(
    "how, number, price, currency, expected",
    [
        ("set", "12.50", 900, "usd", 1250),
        ("set", "12,50", 900, "eur", 1250),
        ("set", "0", 900, "usd", 0),
        ("set", "500", 300, "jpy", 500),
        ("raise", "10", 1250, "usd", 1375),
        ("raise", "10", 1255, "usd", 1381),  # 1380.5: the middle goes up
        ("raise", "2.5", 1000, "eur", 1025),
        ("raise", "7", 123, "jpy", 132),  # 131.61
        ("raise", "10", 5120, "kwd", 5630),  # 5632, in steps of 10
        ("raise", "10", 50_000, "isk", 55_000),
        ("raise", "15", 50_100, "isk", 57_600),  # 57 615, in steps of 100
        ("lower", "15", 1250, "usd", 1063),  # 1062.5
        ("lower", "99.9", 99_999_900, "usd", 100_000),
        ("raise", "50", 0, "usd", 0),
        ("lower", "50", 0, "usd", 0),
    ],
)
def test_price_is_rounded_to_the_smallest_coin(how: str, number: str, price: int, currency: str, expected: int) -> None:
    pricing = Pricing(How(how), number)
    pricing.check()
    assert pricing.new_price(price, currency) == expected


@pytest.mark.parametrize(
    "how, number, price, currency, expected",
    [
        ("raise", "10", 1250, "usd", 1399),  # 13.75: the nearest
        ("raise", "10", 1200, "usd", 1299),  # 13.20
        ("raise", "10", 999, "usd", 1099),  # 10.99 on the cent
        ("lower", "10", 1000, "usd", 899),
        ("lower", "90", 100, "usd", 99),  # 10 cents: never 0, nor below
        ("raise", "10", 5120, "kwd", 5990),
        ("raise", "7", 123, "jpy", 132),  # nothing stands behind the point there
        ("raise", "15", 50_100, "isk", 57_600),
    ],
)
def test_price_ends_in_99_where_there_are_decimals(
    how: str, number: str, price: int, currency: str, expected: int
) -> None:
    assert Pricing(How(how), number, Ending.NINETY_NINE).new_price(price, currency) == expected


def test_amount_that_is_set_stays_as_written_whatever_the_ending() -> None:
    assert Pricing(How.SET, "12.50", Ending.NINETY_NINE).new_price(900, "usd") == 1250


@pytest.mark.parametrize(
    "how, number, price, currency, code",
    [
        ("set", "0.30", 1250, "usd", "minimum"),
        ("set", "12.50", 1250, "jpy", "decimals"),
        ("set", "9999999", 1250, "usd", "maximum"),
        ("lower", "90", 300, "usd", "minimum"),
        ("lower", "99", 30, "xaf", "free"),
        ("raise", "1000", 99_000_000, "usd", "maximum"),
    ],
)
def test_price_that_cannot_be_charged_is_refused(how: str, number: str, price: int, currency: str, code: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Pricing(How(how), number).new_price(price, currency)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "how, number, code",
    [
        ("set", "cheap", "format"),
        ("raise", "10%", "format"),
        ("raise", "-10", "format"),
        ("raise", "0", "percent"),
        ("raise", "1000.5", "percent"),
        ("lower", "100", "percent"),
        ("lower", "0", "percent"),
    ],
)
def test_number_without_meaning_is_refused(how: str, number: str, code: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Pricing(How(how), number).check()
    assert refused.value.code == code


@pytest.mark.parametrize("ending", list(Ending))
@pytest.mark.parametrize("how", [How.RAISE, How.LOWER])
@pytest.mark.parametrize("currency", money.CURRENCIES)
def test_new_price_can_be_charged_in_every_currency(currency: str, how: How, ending: Ending) -> None:
    """Prices so large that half of each is more than the least."""
    least, step = 4 * max(money.MINIMUM.get(currency, 1), 1000), money.step(currency)
    for amount in (least, least + 7, 123_456, 999_999):
        price = -(-amount // step) * step
        for number in ("0.1", "3.333", "12.5", "33", "49"):
            new = Pricing(how, number, ending).new_price(price, currency)
            money.validate(new, currency)
            assert new % step == 0
