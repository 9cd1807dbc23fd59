"""Which language an order is in: its page's, the one of Stripe's page, or the shop's."""

import pytest
from django.utils import translation
from pytest_django import Settings

from orders import language


@pytest.mark.parametrize("active, kept", [("de", "de"), ("en", "en"), ("fr", ""), (None, "")])
def test_reader_reads_a_language_of_the_shop_or_none(active: str | None, kept: str) -> None:
    with translation.override(active):
        assert language.of_reader() == kept


@pytest.mark.parametrize(
    "locale, kept",
    [
        ("de", "de"), ("en", "en"), ("en-GB", "en"), ("de-AT", "de"), ("auto", ""), ("", ""), ("fr", ""), ("zh-HK", ""),
        ("d\x00e", ""), ("x" * 10_000, ""), ("../de", ""), ("ðe", ""),
    ],
)  # fmt: skip
def test_language_of_stripes_page_is_the_orders_where_the_shop_speaks_it(locale: str, kept: str) -> None:
    assert language.of_stripe(locale) == kept


def test_mails_are_in_the_shops_language_where_the_orders_is_not_spoken(settings: Settings) -> None:
    assert [language.of_mails(kept) for kept in ("de", "en", "", "fr")] == ["de", "en", "en", "en"]
    settings.LANGUAGE_CODE = "de"
    assert [language.of_mails(kept) for kept in ("de", "en", "", "fr")] == ["de", "en", "de", "de"]
