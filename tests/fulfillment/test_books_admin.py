"""The admin's page about the books: who sees it, what it says, and what its buttons do."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from accounts.models import User
from fulfillment.book_models import BooksCheck, Difference
from orders.models import Order
from sandbox.world.server import World
from tests.factories import ProductFactory
from tests.fulfillment.books_steps import age, books, found, only_row, sold, sql
from tests.steps import buy, pay_by_link, states

pytestmark = pytest.mark.django_db

PAGE = "/admin/fulfillment/difference/"


def staff(*permissions: str) -> Client:
    user = User.objects.create_user(email=f"{'-'.join(permissions) or 'none'}@example.com", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def lost(world: World) -> Order:
    order = buy(world, Client(), ProductFactory())
    age(world)
    books(code=1)
    return order


def page(client: Client) -> str:
    answer = client.get(PAGE)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def mend(client: Client, row: Difference) -> int:
    return client.post(f"{PAGE}{row.pk}/mend/").status_code


def test_page_of_books_that_were_never_checked(admin_client: Client) -> None:
    assert "Never checked yet." in page(admin_client)


def test_page_says_that_the_books_agree_and_what_both_sides_come_to(smtp: World, admin_client: Client) -> None:
    sold(smtp)
    books()
    text = page(admin_client)
    assert "<strong>The books agree.</strong>" in text
    for cell in ('<th scope="row">USD paid</th>', '<td class="amount">$12.50</td>', '<td class="amount"> $0.00 </td>'):
        assert cell in text
    assert "1 sessions compared, 0 of other applications, 0 in flight." in text


def test_page_shows_each_difference_with_its_meaning_its_command_and_its_button(
    smtp: World, admin_client: Client
) -> None:
    order = lost(smtp)
    row = only_row()
    text = page(admin_client)
    assert "<strong>1 difference is open.</strong>" in text
    for words in (
        "<h2>Paid at Stripe, not paid here</h2>",
        f'<a href="/admin/orders/order/{order.pk}/change/">{order.reference}</a>',
        "<dd>$12.50 paid</dd>",
        "<p>A buyer paid, and the order does not show it: they got nothing.</p>",
        f"<code>python manage.py replay --order {order.reference}</code>",
        f'action="{PAGE}{row.pk}/mend/"',
        '<strong class="wrong">-$12.50</strong>',
    ):
        assert words in text


def test_page_shows_what_was_resolved_lately(smtp: World, admin_client: Client) -> None:
    lost(smtp)
    books("--mend")
    text = page(admin_client)
    assert "Recently resolved" in text
    assert "<td> Paid at Stripe, not paid here <br>" in text


def test_page_says_when_stripe_could_not_be_asked_and_shows_the_last_sums(smtp: World, admin_client: Client) -> None:
    sold(smtp)
    books()
    smtp.control("faults", {"area": "api", "kind": "error", "status": 503})
    books(code=2)
    text = page(admin_client)
    assert "Stripe could not be asked at the last check" in text
    assert "<p>StripeUnavailable: " in text
    assert '<th scope="row">USD paid</th>' in text


def test_page_shows_the_nightly_check_beside_the_last_one(smtp: World, admin_client: Client) -> None:
    sold(smtp)
    age(smtp, timedelta(days=10))
    books("--since", "30d")
    books()
    assert page(admin_client).count("Payments since ") == 2


def test_page_shows_the_oldest_200_and_says_so(admin_client: Client) -> None:
    now = timezone.now()
    Difference.objects.bulk_create(
        Difference(kind="amount", subject=f"N{number}", livemode=False, mend="person", first_seen=now, last_seen=now)
        for number in range(201)
    )
    text = page(admin_client)
    assert text.count('<section class="module difference">') == 200
    assert "The 200 oldest are shown" in text


def test_difference_without_an_order_shows_its_session(smtp: World, admin_client: Client) -> None:
    ProductFactory(slug="knots")
    session_id = pay_by_link(smtp, slug="knots")
    age(smtp)
    books(code=1)
    assert f'<span class="id">{session_id}</span>' in page(admin_client)
    assert mend(admin_client, only_row()) == 302
    assert found() == []
    assert LogEntry.objects.get().object_repr == f"paid at Stripe, no order here: {session_id}"


def test_books_stand_in_the_index_of_the_admin(admin_client: Client) -> None:
    for path in ("/admin/", "/admin/fulfillment/"):
        assert f'<a href="{PAGE}">Bookkeeping</a>' in admin_client.get(path).content.decode()


def test_button_leaves_who_pressed_it_in_the_history_of_the_order(smtp: World, admin_user: User) -> None:
    order = lost(smtp)
    client = Client()
    client.force_login(admin_user)
    assert mend(client, only_row()) == 302
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.object_repr) == (admin_user, str(order.pk), order.reference)
    assert entry.change_message == "paid at Stripe, not paid here: mended, fulfilled again; the mail was accepted"
    assert list(order.timeline.filter(door="books").values_list("kind", flat=True)) == ["state", "access"]


def test_button_pressed_twice_does_nothing_more(smtp: World, admin_client: Client) -> None:
    order = lost(smtp)
    row = only_row()
    for _ in range(2):
        assert mend(admin_client, row) == 302
    assert states(order) == ("paid", ["active"], ["sent"])
    assert len(smtp.mails(to="guest@example.com")) == 1
    assert LogEntry.objects.first().change_message.endswith("mended, it was gone already")  # type: ignore[union-attr]


def test_button_says_when_stripe_cannot_be_asked_and_changes_nothing(smtp: World, admin_client: Client) -> None:
    order = lost(smtp)
    smtp.control("faults", {"area": "api", "kind": "error", "status": 503})
    answer = admin_client.post(f"{PAGE}{only_row().pk}/mend/", follow=True)
    assert "Stripe could not be asked: nothing is known yet." in answer.content.decode()
    assert found() == [("unpaid_here", order.reference)]
    assert states(order) == ("open", [], [])


def test_button_says_why_it_still_differs(smtp: World, admin_client: Client) -> None:
    order = sold(smtp)
    sql("UPDATE fulfillment_delivery SET state = 'gave_up', sent_at = NULL, created_at = now() - interval '1 hour'")
    smtp.control("faults", {"area": "mail", "kind": "refuse_recipient", "code": 550})
    books(code=1)
    answer = admin_client.post(f"{PAGE}{only_row().pk}/mend/", follow=True)
    assert f"{order.reference}: still differs, the mail: " in answer.content.decode()
    assert found() == [("no_mail", order.reference)]


def test_check_now_wakes_a_worker(
    smtp: World, admin_client: Client, drain: Callable[[], int], django_capture_on_commit_callbacks: object
) -> None:
    buy(smtp, Client(), ProductFactory())
    age(smtp)
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        assert admin_client.post(f"{PAGE}check/").status_code == 302
    assert drain() == 1
    assert [kind for kind, _ in found()] == ["unpaid_here"]
    assert BooksCheck.objects.count() == 1


def test_s60_only_who_may_sees_the_books_and_only_who_may_mends_them(smtp: World) -> None:
    lost(smtp)
    row = only_row()
    nobody, viewer = staff(), staff("view_difference")
    assert nobody.get(PAGE).status_code == 403
    assert "Mend" not in page(viewer)
    for client in (nobody, viewer):
        assert mend(client, row) == 403
        assert client.post(f"{PAGE}check/").status_code == 403
    assert Client().get(PAGE).status_code == 302
    assert mend(Client(), row) == 302
    assert [kind for kind, _ in found()] == ["unpaid_here"]
    assert LogEntry.objects.count() == 0
    mender = staff("view_difference", "change_difference")
    assert "Mend" in page(mender)
    assert mend(mender, row) == 302
    assert found() == []


def test_s38_nothing_is_mended_or_checked_by_get(smtp: World, admin_client: Client) -> None:
    lost(smtp)
    assert admin_client.get(f"{PAGE}{only_row().pk}/mend/").status_code == 405
    assert admin_client.get(f"{PAGE}check/").status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = admin_client.cookies
    assert mend(strict, only_row()) == 403
    assert [kind for kind, _ in found()] == ["unpaid_here"]


def test_page_runs_under_the_strict_policy(smtp: World, admin_client: Client) -> None:
    lost(smtp)
    answer = admin_client.get(PAGE)
    assert "script-src 'self';" in answer["Content-Security-Policy"] + ";"
    assert b" style=" not in answer.content.replace(b"<svg", b"")
    assert b"onclick" not in answer.content
