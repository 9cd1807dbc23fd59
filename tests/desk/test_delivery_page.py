"""The admin's page of a mail: what it says without a link that works, its tries, and one more try."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.core import mail as outgoing
from django.test import Client
from django.utils import timezone

from accounts import mail_choices
from fulfillment import lost_link, mail_preview, outbox
from fulfillment.delivery_models import Delivery
from fulfillment.mails import compose
from fulfillment.models import Entitlement
from fulfillment.news_models import News
from fulfillment.sweep import sweep
from orders.models import Order, new_nobody
from sandbox.world.server import World
from tests.desk.test_who_may import dump
from tests.factories import EditionFactory, FileFactory
from tests.steps import GUEST

pytestmark = pytest.mark.django_db


def address(delivery: Delivery, page: str = "change") -> str:
    return f"/admin/fulfillment/delivery/{delivery.pk}/{page}/"


def letter(kind: str = "lost", **fields: object) -> Delivery:
    return Delivery.objects.create(**{"kind": kind, "recipient": GUEST, "about": "L" * 16, **fields})


def news_of(order: Order) -> Delivery:
    """A letter that tells of a new edition of what was bought."""
    product = order.lines.get().product
    edition = EditionFactory(product=product, number=2, notes="New maps.", published_at=timezone.now())
    FileFactory(edition=edition)
    found = letter("news", about="N" * 16)
    News.objects.create(edition=edition, email=GUEST, due_at=timezone.now(), delivery=found)
    return found


def every_mail(order: Order) -> list[Delivery]:
    """One of each kind, letters included."""
    refunds = [
        Delivery(order=order, kind=kind, recipient=GUEST, about="re_1", amount=100)
        for kind in ("refund", "refund_failed")
    ]
    others = [Delivery(order=order, kind=kind, recipient=GUEST) for kind in ("link", "waiting", "failed")]
    Delivery.objects.bulk_create([*refunds, *others])
    return [*order.deliveries.order_by("pk"), letter(), news_of(order)]


def test_s60_no_link_in_a_shown_mail_opens_anything(client: Client, desk: Client, paid: Callable[..., Order]) -> None:
    """Of every kind: whatever a signed address could be cut out of, in the text, the HTML and the subject."""
    mails = every_mail(paid())
    assert {one.kind for one in mails} == set(Delivery.Kind.values)
    signed = 0
    for delivery in mails:
        real, shown = compose(delivery), mail_preview.preview(delivery)
        secrets = set(re.findall(r"/(?:links|mails)/([^\s\"'<>/]+)", f"{real.body} {real.alternatives[0][0]!s}"))
        assert all(client.get(f"/links/{one}/").status_code == 200 or mail_choices.email_of(one) for one in secrets)
        signed += len(secrets)
        page = desk.get(address(delivery)).content.decode() + desk.get(address(delivery, "html")).content.decode()
        for text in (shown.subject, shown.text, shown.html, page):
            assert not re.search(r"[0-9A-Z]{16}\.\w+\.[\w-]{20}", text)
            assert not re.findall(r"/(?:links|mails)/[^…/\s\"'<>]", text)
        assert shown.text
    assert signed >= 4


def test_mail_is_shown_as_it_would_be_written(desk: Client, paid: Callable[..., Order]) -> None:
    order = paid()
    text = desk.get(address(order.deliveries.get())).content.decode()
    for found in (
        "Your files are here", "Thank you for your order.", "http://localhost/links/…/", order.reference, GUEST,
        "&lt;" + order.deliveries.get().message_id[1:-1], "not tried yet, next at",
    ):  # fmt: skip
        assert found in text, found


def test_html_is_shown_in_a_page_that_can_do_nothing(desk: Client, paid: Callable[..., Order]) -> None:
    answer = desk.get(address(paid().deliveries.get(), "html"))
    policy = answer["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:;")
    assert "script" not in policy
    assert "Open my files" in answer.content.decode()


def test_looking_at_mails_writes_nothing(desk: Client, paid: Callable[..., Order]) -> None:
    mails = every_mail(paid())
    before = dump()
    for delivery in mails:
        for page in ("change", "html"):
            assert desk.get(address(delivery, page)).status_code == 200
    assert (dump(), outgoing.outbox) == (before, [])


def test_mail_that_would_not_be_sent_says_so(desk: Client, paid: Callable[..., Order]) -> None:
    order = paid()
    Order.objects.filter(pk=order.pk).update(dispute="open")
    assert "What it tells is no longer so" in desk.get(address(order.deliveries.get())).content.decode()
    nothing = letter(recipient="nobody@example.com")
    assert "There is nothing to tell any more" in desk.get(address(nothing)).content.decode()
    assert "There is nothing to tell any more" in desk.get(address(nothing, "html")).content.decode()


def test_tries_are_shown_with_the_servers_words(desk: Client, smtp: World, paid: Callable[..., Order]) -> None:
    delivery = paid().deliveries.get()
    smtp.control("faults", {"area": "mail", "kind": "refuse_recipient", "to": GUEST})
    outbox.send(delivery.pk)
    attempt = delivery.attempt_log.get()
    text = " ".join(desk.get(address(delivery)).content.decode().split())
    assert attempt.reply.startswith("550 ")
    for found in (attempt.reply, ">refused<", ">Started<", "tried once", "gave up"):
        assert found in text, found


def test_f29_mail_that_was_given_up_is_tried_now(desk: Client, smtp: World, paid: Callable[..., Order]) -> None:
    order = paid()
    delivery = order.deliveries.get()
    smtp.control("faults", {"area": "mail", "kind": "refuse_recipient", "to": GUEST})
    outbox.send(delivery.pk)
    smtp.control("faults/clear", {"area": "mail"})
    assert address(delivery, "try") in desk.get(address(delivery)).content.decode()
    answer = desk.post(address(delivery, "try"), {"reason": "their mailbox was full, says a@example.com"})
    assert (answer.status_code, answer["Location"]) == (303, address(delivery))
    assert sweep().mails == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("sent", 2)
    assert len(smtp.mails(to=GUEST)) == 1
    entry = LogEntry.objects.get()
    said = "mail tried now: their mailbox was full, says a…@example.com"
    assert (entry.object_repr, entry.get_change_message()) == (order.reference, said)
    assert order.timeline.get(kind="by_hand").detail.startswith(f"{said} – o…@example.com")
    assert address(delivery, "try") not in desk.get(address(delivery)).content.decode()


def test_mail_that_waits_is_tried_now(desk: Client, paid: Callable[..., Order]) -> None:
    delivery = paid().deliveries.get()
    Delivery.objects.update(next_attempt_at=timezone.now() + timedelta(hours=4), attempts=7)
    desk.post(address(delivery, "try"), {"reason": "server is back"})
    delivery.refresh_from_db()
    assert delivery.next_attempt_at <= timezone.now()
    assert (delivery.state, delivery.attempts) == ("pending", 7)


@pytest.mark.parametrize("state", ["sent", "sending", "unconfirmed", "withdrawn"])
def test_mail_that_neither_waits_nor_was_given_up_is_left_alone(
    desk: Client, paid: Callable[..., Order], state: str
) -> None:
    delivery = paid().deliveries.get()
    Delivery.objects.update(state=state, sent_at=timezone.now(), next_attempt_at=timezone.now() + timedelta(hours=1))
    before = dump()
    page = desk.post(address(delivery, "try"), {"reason": "why not"}, follow=True)
    assert [str(said) for said in page.context["messages"]] == [
        "Nothing was done: this mail neither waits nor was given up."
    ]
    assert dump() == before


def test_mail_to_who_was_forgotten_is_left_alone(desk: Client) -> None:
    gone = letter(recipient=new_nobody(), state="gave_up")
    desk.post(address(gone, "try"), {"reason": "why not"})
    gone.refresh_from_db()
    assert (gone.state, LogEntry.objects.count()) == ("gave_up", 0)


def test_trying_asks_for_a_reason(desk: Client, paid: Callable[..., Order]) -> None:
    delivery = paid().deliveries.get()
    before = dump()
    answer = desk.post(address(delivery, "try"), {"reason": " "})
    assert list(answer.context["form"].errors) == ["reason"]
    assert dump() == before


def test_acts_lead_where_a_mail_is_sent_again(
    desk: Client, person_who: Callable[..., Client], paid: Callable[..., Order]
) -> None:
    order = paid()
    delivery, other = order.deliveries.get(), letter(recipient="bob+books@example.com")
    again = f"/admin/orders/order/{order.pk}/mail/"
    everything = "/admin/fulfillment/customer/mail/?email=bob%2Bbooks%40example.com"
    assert again in desk.get(address(delivery)).content.decode()
    assert everything in desk.get(address(other)).content.decode()
    looker = person_who("view_delivery")
    assert again not in looker.get(address(delivery)).content.decode()
    assert everything not in looker.get(address(other)).content.decode()


@pytest.mark.parametrize(
    "words, kinds",
    [(GUEST.upper(), ["lost", "order"]), ("l" * 16, ["lost"]), ("guest", []), ("\x00", ["lost", "order"])],
)
def test_list_finds_whole_addresses_and_names(
    desk: Client, paid: Callable[..., Order], words: str, kinds: list[str]
) -> None:
    order = paid()
    letter()
    rows = desk.get("/admin/fulfillment/delivery/", {"q": words}).context["cl"].result_list
    assert [row.kind for row in rows] == kinds
    rows = desk.get("/admin/fulfillment/delivery/", {"q": order.reference.lower()}).context["cl"].result_list
    assert [row.kind for row in rows] == ["order"]


def test_preview_and_sender_agree(desk: Client, smtp: World, paid: Callable[..., Order]) -> None:
    order = paid()
    delivery = order.deliveries.get()
    outbox.send(delivery.pk)
    [received] = smtp.mails(to=GUEST)
    shown = mail_preview.preview(delivery)
    assert shown.subject == received["subject"]
    assert shown.text.split() == mail_preview.without_links(received["text"]).split()
    assert Entitlement.objects.count() == 1


def test_letter_asked_for_twice_is_one(desk: Client) -> None:
    lost_link.ask(GUEST)
    lost_link.ask(GUEST)
    assert Delivery.objects.filter(kind="lost").count() == 1


def test_page_says_that_the_mail_is_of_today_and_the_rest_of_then(desk: Client, paid: Callable[..., Order]) -> None:
    delivery = paid().deliveries.get()
    text = " ".join(desk.get(f"/admin/fulfillment/delivery/{delivery.pk}/change/").content.decode().split())
    assert "This is how it would read today. What was sent then is not kept" in text
    assert "the Message-ID and the replies of the mail server are those of then." in text
