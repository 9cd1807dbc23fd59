import re
from collections.abc import Callable

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.test import Client

from accounts.models import User
from catalog.models import Product
from fulfillment.models import Entitlement
from orders.models import Order
from tests.factories import OrderFactory, ProductFactory, UserFactory

Code = Callable[[], str]
Mailed = Callable[[], list[EmailMessage]]

SIGNUP, CONFIRM, REQUEST = "/accounts/signup/", "/accounts/confirm-email/", "/accounts/login/code/"


def signed_in(client: Client) -> User | None:
    user_id = client.session.get("_auth_user_id")
    return User.objects.get(pk=user_id) if user_id else None


def bought_as_guest(email: str) -> Product:
    product: Product = ProductFactory()
    order = OrderFactory(email=email, state=Order.State.PAID, product=product)
    Entitlement.objects.create(order_line=order.lines.get(), product=product, email=email)
    return product


def test_signup_leads_over_a_mailed_code_into_the_library(client: Client, mailed: Mailed, code: Code) -> None:
    answer = client.post(SIGNUP, {"email": "Bob@Example.com"})
    assert (answer.status_code, answer["Location"]) == (302, CONFIRM)
    [message] = mailed()
    assert message.to == ["bob@example.com"]
    assert signed_in(client) is None

    answer = client.post(CONFIRM, {"code": code()})
    assert (answer.status_code, answer["Location"]) == (302, "/library/")
    assert client.get("/library/").status_code == 200
    user = User.objects.get()
    assert signed_in(client) == user
    assert (user.email, user.has_usable_password()) == ("bob@example.com", False)
    assert list(EmailAddress.objects.values_list("email", "verified", "primary")) == [("bob@example.com", True, True)]


def test_signup_asks_for_an_address_only(client: Client, mailed: Mailed) -> None:
    assert list(client.get(SIGNUP).context["form"].fields) == ["email"]


def test_signup_pages_allow_no_script_inline(client: Client, mailed: Mailed) -> None:
    for page in (SIGNUP, "/accounts/login/", REQUEST, "/accounts/password/reset/"):
        answer = client.get(page)
        assert "script-src 'self'" in answer["Content-Security-Policy"], page
        scripts = re.findall(rb"<script[^>]*>", answer.content)  # the sign-in's own, for passkeys; it works without
        assert all(b' src="/static/' in script for script in scripts), page
        assert len(scripts) == (3 if page == "/accounts/login/" else 0), page
        assert b" style=" not in answer.content, page


def test_signup_keeps_where_the_visitor_was_going(client: Client, code: Code) -> None:
    answer = client.post(f"{SIGNUP}?next=/orders/", {"email": "bob@example.com", "next": "/orders/"})
    assert client.post(answer["Location"], {"code": code()})["Location"] == "/orders/"


def test_signup_code_may_be_typed_in_small_letters_and_without_the_dash(client: Client, code: Code) -> None:
    client.post(SIGNUP, {"email": "bob@example.com"})
    client.post(CONFIRM, {"code": code().replace("-", "").lower()})
    assert signed_in(client) == User.objects.get()


def test_s35_signup_code_guessed_three_times_is_void(client: Client, code: Code) -> None:
    client.post(SIGNUP, {"email": "bob@example.com"})
    right = code()
    for _ in range(3):
        client.post(CONFIRM, {"code": "AAAA-AAAA"})
    client.post(CONFIRM, {"code": right})
    assert signed_in(client) is None
    assert not EmailAddress.objects.get().verified


def test_signup_code_is_of_no_use_in_another_browser(client: Client, code: Code) -> None:
    client.post(SIGNUP, {"email": "bob@example.com"})
    other = Client()
    answer = other.post(CONFIRM, {"code": code()})
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/")
    assert signed_in(other) is None


def test_signup_code_can_be_mailed_again(client: Client, mailed: Mailed, code: Code) -> None:
    client.post(SIGNUP, {"email": "bob@example.com"})
    first = code()
    cache.clear()  # as if ten seconds had passed: one code may be mailed in that time
    assert client.post(CONFIRM, {"action": "resend"})["Location"] == CONFIRM
    assert len(mailed()) == 2
    assert code() != first
    client.post(CONFIRM, {"code": code()})
    assert signed_in(client) == User.objects.get()


def test_s36_signup_with_the_address_of_an_account_looks_the_same(client: Client, mailed: Mailed) -> None:
    UserFactory(email="bob@example.com")
    known = client.post(SIGNUP, {"email": "BOB@example.com"})
    unknown = Client().post(SIGNUP, {"email": "new@example.com"})
    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"]) == (302, CONFIRM)
    assert b"bob@example.com" in client.get(CONFIRM).content
    assert sorted(m.to[0] for m in mailed()) == ["bob@example.com", "new@example.com"]
    [to_owner] = [m for m in mailed() if m.to == ["bob@example.com"]]
    assert to_owner.subject == "You have an account already"
    assert User.objects.count() == 2


def test_s36_code_page_is_the_same_for_known_and_new_addresses(client: Client, mailed: Mailed) -> None:
    UserFactory(email="known@example.com")
    pages = []
    for email in ("known@example.com", "newby@example.com"):
        browser = Client()
        browser.post(SIGNUP, {"email": email})
        page = browser.get(CONFIRM).content.decode().replace(email, "…")
        wrong = browser.post(CONFIRM, {"code": "AAAA-AAAA"}).content.decode().replace(email, "…")
        pages.append((without_tokens(page), without_tokens(wrong)))
    assert pages[0] == pages[1]


def without_tokens(page: str) -> str:
    return re.sub(r'name="csrfmiddlewaretoken" value="[^"]+"', "", page)


def test_signup_begun_before_can_be_finished_by_signing_in(client: Client, mailed: Mailed, code: Code) -> None:
    Client().post(SIGNUP, {"email": "bob@example.com"})
    answer = client.post(REQUEST, {"email": "bob@example.com"})
    client.post(answer["Location"], {"code": code()})
    assert signed_in(client) == User.objects.get()
    assert EmailAddress.objects.get().verified


@pytest.mark.parametrize(
    "email",
    [
        "mıke@b.co",
        "ſam@b.co",
        "ｂｏｂ@b.co",
        "a@b.co,evil@x.yz",
        "a@b.co\nBcc: evil@x.yz",
        "a%0d%0a@b .co",
        '"a,b"@b.co',
        "b" * 300 + "@b.co",
        "bob@b.co\x00",
        "",
        "bob",
    ],
)
@pytest.mark.parametrize("path", [SIGNUP, REQUEST, "/accounts/password/reset/"])
def test_s32_s33_address_that_is_not_one_is_refused_on_every_page(
    client: Client, mailed: Mailed, path: str, email: str
) -> None:
    answer = client.post(path, {"email": email})
    assert answer.status_code == 200
    assert answer.context["form"].errors["email"]
    assert mailed() == []
    assert not User.objects.exists()


def test_s32_signup_with_an_international_domain_mails_its_punycode(client: Client, mailed: Mailed) -> None:
    client.post(SIGNUP, {"email": "bob@bücher.example"})
    assert mailed()[0].to == ["bob@xn--bcher-kva.example"]
    assert User.objects.get().email == "bob@xn--bcher-kva.example"


def test_s29_registering_a_victims_address_opens_nothing(client: Client, mailed: Mailed) -> None:
    product = bought_as_guest("victim@example.com")
    client.post(SIGNUP, {"email": "victim@example.com", "password1": "attackers password"})
    answer = client.get("/library/")
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/?next=/library/")
    assert product.name.encode() not in client.get("/").content.partition(b"In your library")[2]
    answer = Client().post("/accounts/login/", {"login": "victim@example.com", "password": "attackers password"})
    assert answer.status_code == 200
    assert answer.context["form"].errors


def test_s29_password_left_by_a_stranger_does_not_open_the_account_once_it_is_proven(
    mailed: Mailed, code: Code
) -> None:
    product = bought_as_guest("victim@example.com")
    attacker, victim = Client(), Client()
    attacker.post(SIGNUP, {"email": "victim@example.com", "password1": "attackers password"})
    answer = victim.post(REQUEST, {"email": "victim@example.com"})
    victim.post(answer["Location"], {"code": code()})
    assert product.name.encode() in victim.get("/library/").content

    assert attacker.get("/library/").status_code == 302
    attacker.post(CONFIRM, {"code": code()})
    attacker.post("/accounts/login/", {"login": "victim@example.com", "password": "attackers password"})
    assert signed_in(attacker) is None
    assert attacker.get("/library/").status_code == 302


def test_guests_purchase_is_in_the_library_as_soon_as_the_address_is_proven(client: Client, code: Code) -> None:
    product = bought_as_guest("bob@example.com")
    client.post(SIGNUP, {"email": "Bob@example.com"})
    client.post(CONFIRM, {"code": code()})
    assert product.name.encode() in client.get("/library/").content


def test_s29_added_address_opens_nothing_before_its_code_was_typed(client: Client, mailed: Mailed, code: Code) -> None:
    product = bought_as_guest("work@example.com")
    client.force_login(UserFactory(email="bob@example.com"))
    answer = client.post("/accounts/email/", {"action_add": "", "email": "Work@example.com"})
    assert (answer.status_code, answer["Location"]) == (302, CONFIRM)
    assert product.name.encode() not in client.get("/library/").content
    client.post(CONFIRM, {"code": code()})
    assert product.name.encode() in client.get("/library/").content


def test_s34_s36_address_of_another_account_cannot_be_added(client: Client, mailed: Mailed) -> None:
    UserFactory(email="alice@example.com")
    bob = UserFactory(email="bob@example.com")
    client.force_login(bob)
    answer = client.post("/accounts/email/", {"action_add": "", "email": "alice@example.com"})
    assert (answer.status_code, answer["Location"]) == (302, CONFIRM)  # as for any other address
    assert list(bob.emailaddress_set.values_list("email", flat=True)) == ["bob@example.com"]


@pytest.mark.parametrize("email", ["mıke@b.co", "a@b.co,evil@x.yz", "a@b.co\x00", "b" * 300 + "@b.co"])
def test_s33_address_that_is_not_one_cannot_be_added(client: Client, mailed: Mailed, email: str) -> None:
    client.force_login(UserFactory())
    for action in ("action_add", "action_send", "action_primary", "action_remove"):
        assert client.post("/accounts/email/", {action: "", "email": email}).status_code in (200, 302)
    assert mailed() == []
    assert EmailAddress.objects.count() == 1
