"""An owner erases a customer who asked for it: with a reason, the address typed out, and no address in the log."""

from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from accounts.models import User
from orders.models import NOBODY, Order
from tests.desk.test_customer_pages import ANN, LIST, bought, page, text_of
from tests.desk.test_who_may import dump
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

ERASE = f"{LIST}erase/?email=ann%2Bbooks%40example.com"
SENT = {"email": ANN, "reason": f"{ANN} wrote on Monday"}


def test_guest_is_erased_and_the_log_names_nobody(desk: Client, owner: User) -> None:
    order = bought(total=1250)
    assert ERASE.replace("&", "&amp;") in text_of(page(desk))
    assert "Orders, amounts and refunds stay" in text_of(desk.get(ERASE))
    answer = desk.post(ERASE, SENT)
    assert (answer.status_code, answer["Location"]) == (303, LIST)
    order.refresh_from_db()
    assert (order.email.endswith(NOBODY), order.total) == (True, 1250)
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_repr, entry.object_id) == (owner, "erased", None)
    assert entry.get_change_message() == "erased 1 orders, 0 mails, 0 downloads: a…@example.com wrote on Monday"


def test_account_is_erased_with_what_it_bought(desk: Client) -> None:
    order = bought(user=UserFactory(email=ANN))
    desk.post(ERASE, SENT)
    order.refresh_from_db()
    assert (order.user, User.objects.filter(email=ANN).exists()) == (None, False)


@pytest.mark.parametrize(
    "wrong, fields",
    [({"email": "bob@example.com"}, ["email"]), ({"email": ""}, ["email"]), ({"reason": " "}, ["reason"])],
)
def test_form_that_is_not_whole_erases_nothing(desk: Client, wrong: dict[str, str], fields: list[str]) -> None:
    bought()
    before = dump()
    assert list(desk.post(ERASE, {**SENT, **wrong}).context["form"].errors) == fields
    assert dump() == before


def test_order_in_motion_is_named_and_nothing_erased(desk: Client) -> None:
    order = bought(dispute=Order.Dispute.OPEN)
    before = dump()
    assert f"is still open: {order.reference}." in text_of(desk.post(ERASE, SENT))
    assert dump() == before


def test_people_of_the_shop_are_not_erased(desk: Client) -> None:
    UserFactory(email=ANN, is_staff=True)
    assert "People of the shop are not erased" in text_of(desk.post(ERASE, SENT))
    assert User.objects.filter(email=ANN).exists()


def test_only_who_may_delete_people_erases(person_who: Callable[..., Client]) -> None:
    bought()
    support = person_who("view_customer", "mail_order", "replay_order", "suspend_order")
    before = dump()
    assert [support.get(ERASE).status_code, support.post(ERASE, SENT).status_code] == [403, 403]
    assert "Erase this customer" not in [label for label, _address in page(support).context["acts"]]
    assert dump() == before
    assert person_who("view_customer", "delete_user").get(ERASE).status_code == 200


def test_reason_of_a_mail_is_shown_on_the_customers_page(desk: Client) -> None:
    bought()
    assert "What people of the shop did" not in text_of(page(desk))
    desk.post(f"{LIST}mail/?email=ann%2Bbooks%40example.com", {"reason": "the mailbox was full"})
    assert "everything bought mailed to its address: the mailbox was full" in text_of(page(desk))
