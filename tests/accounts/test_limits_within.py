"""Attempts are counted by network and by what they are for, in one statement that waits for nobody's lock."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.test import RequestFactory

from accounts import limits
from accounts.models import Attempts


def attempt(address: str = "192.0.2.1", *, key: str = "a book", per_network: int = 3, per_key: int = 5) -> bool:
    request = RequestFactory(REMOTE_ADDR=address).post("/")
    return limits.within(request, "test", per_network=per_network, key=key, per_key=per_key)


@pytest.mark.django_db
def test_count_begins_anew_ten_minutes_after_its_first_attempt() -> None:
    assert [attempt() for _ in range(4)] == [True, True, True, False]
    Attempts.objects.update(began_at=F("began_at") - timedelta(seconds=limits.WINDOW - 5))
    assert not attempt()
    Attempts.objects.update(began_at=F("began_at") - timedelta(seconds=10))
    assert attempt()


@pytest.mark.django_db
def test_what_a_network_may_not_do_is_not_counted_for_the_key() -> None:
    assert [attempt() for _ in range(10)].count(True) == 3
    assert attempt("192.0.2.2")
    assert sorted(Attempts.objects.values_list("count", flat=True)) == [1, 4, 10]


@pytest.mark.django_db
def test_old_counts_go_and_no_address_is_kept() -> None:
    attempt("192.0.2.1")
    Attempts.objects.update(began_at=F("began_at") - timedelta(seconds=limits.WINDOW + 1))
    attempt("192.0.2.2", key="another")
    assert Attempts.objects.count() == 2
    assert not Attempts.objects.filter(who__contains="192").exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address, network",
    [
        ("192.0.2.1", "192.0.2.1/32"),
        ("2001:db8:0:1::9", "2001:db8:0:1::/64"),
        ("not an address", ""),
    ],
)
def test_network_of_an_address(address: str, network: str) -> None:
    assert limits.network_of(RequestFactory(REMOTE_ADDR=address).get("/")) == network


@pytest.mark.django_db(transaction=True)
def test_of_twenty_at_once_as_many_as_allowed_go_on() -> None:
    def one(_: int) -> bool:
        try:
            return attempt(per_network=7, per_key=100)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(20))).count(True) == 7
