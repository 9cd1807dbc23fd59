from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

import pytest
from django.core.mail import EmailMessage
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from tests.factories import UserFactory

Code = Callable[[], str]
Mailed = Callable[[], list[EmailMessage]]

LOGIN, REQUEST, CONFIRM = "/accounts/login/", "/accounts/login/code/", "/accounts/login/code/confirm/"
RESET, RESET_CODE, RESET_NEW = (f"/accounts/password/reset/{step}" for step in ("", "confirm/", "complete/"))
PASSWORD = "a good long password"


@pytest.fixture
def bob(db: None) -> User:
    return UserFactory(email="bob@example.com", password=PASSWORD)


def signed_in(client: Client) -> User | None:
    user_id = client.session.get("_auth_user_id")
    return User.objects.get(pk=user_id) if user_id else None


def test_mailed_code_signs_in(client: Client, bob: User, mailed: Mailed, code: Code) -> None:
    answer = client.post(REQUEST, {"email": "BOB@example.com"})
    assert (answer.status_code, answer["Location"]) == (302, CONFIRM)
    assert [message.to for message in mailed()] == [["bob@example.com"]]
    assert signed_in(client) is None
    answer = client.post(CONFIRM, {"code": code()})
    assert (answer.status_code, answer["Location"]) == (302, "/library/")
    assert signed_in(client) == bob


def test_code_is_mailed_in_the_language_of_the_page(client: Client, bob: User, mailed: Mailed) -> None:
    client.post(REQUEST, {"email": "bob@example.com"}, headers={"accept-language": "de"})
    assert [message.subject for message in mailed()] == ["Ihr Anmeldecode"]
    assert "Ihr Code zum Anmelden:" in mailed()[0].body


def test_s25_mailed_code_works_once(client: Client, bob: User, code: Code) -> None:
    client.post(REQUEST, {"email": "bob@example.com"})
    client.post(CONFIRM, {"code": code()})
    client.post("/accounts/logout/")
    answer = client.post(CONFIRM, {"code": code()})
    assert (answer.status_code, answer["Location"]) == (302, REQUEST)
    assert signed_in(client) is None


def test_s25_mailed_code_expires(client: Client, bob: User, code: Code, settings: Settings) -> None:
    client.post(REQUEST, {"email": "bob@example.com"})
    settings.ACCOUNT_LOGIN_BY_CODE_TIMEOUT = -1
    client.post(CONFIRM, {"code": code()})
    assert signed_in(client) is None


def test_s35_mailed_code_guessed_three_times_is_void(client: Client, bob: User, code: Code) -> None:
    client.post(REQUEST, {"email": "bob@example.com"})
    for _ in range(3):
        client.post(CONFIRM, {"code": "AAAA-AAAA"})
    client.post(CONFIRM, {"code": code()})
    assert signed_in(client) is None


def test_second_code_replaces_the_first(client: Client, bob: User, mailed: Mailed, code: Code) -> None:
    client.post(REQUEST, {"email": "bob@example.com"})
    first = code()
    assert client.post(CONFIRM, {"action": "resend"})["Location"] == CONFIRM
    assert len(mailed()) == 2
    client.post(CONFIRM, {"code": first})
    assert signed_in(client) is None
    client.post(CONFIRM, {"code": code()})
    assert signed_in(client) == bob


def test_s35_code_is_mailed_three_times_at_most(client: Client, bob: User, mailed: Mailed) -> None:
    client.post(REQUEST, {"email": "bob@example.com"})
    assert client.get(CONFIRM).context["can_resend"]
    for _ in range(2):
        client.post(CONFIRM, {"action": "resend"})
    assert not client.get(CONFIRM).context["can_resend"]
    client.post(CONFIRM, {"action": "resend"})
    assert len(mailed()) == 3


def test_password_signs_in(client: Client, bob: User, mailed: Mailed) -> None:
    answer = client.post(LOGIN, {"login": "Bob@Example.com", "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/library/")
    assert signed_in(client) == bob
    assert mailed() == []


def test_password_of_an_unproven_account_asks_for_a_code_first(client: Client, mailed: Mailed, code: Code) -> None:
    user = UserFactory(email="bob@example.com", password=PASSWORD, proven=False)
    answer = client.post(LOGIN, {"login": "bob@example.com", "password": PASSWORD})
    assert answer["Location"] == "/accounts/confirm-email/"
    assert signed_in(client) is None
    client.post("/accounts/confirm-email/", {"code": code()})
    assert signed_in(client) == user


def test_s36_wrong_password_unknown_address_and_account_without_password_get_the_same_answer(
    client: Client, bob: User, mailed: Mailed
) -> None:
    UserFactory(email="sue@example.com")
    for email in ("bob@example.com", "nobody@example.com", "sue@example.com"):
        answer = client.post(LOGIN, {"login": email, "password": "wrong"})
        assert answer.status_code == 200
        assert answer.context["form"].errors == {
            "__all__": ["The email address and/or password you specified are not correct."]
        }
    assert mailed() == []


@pytest.mark.parametrize("path, next_path", [(REQUEST, CONFIRM), (RESET, RESET_CODE)])
def test_s36_unknown_address_gets_the_same_answer_and_no_mail(
    bob: User, mailed: Mailed, path: str, next_path: str
) -> None:
    UserFactory(email="gone@example.com", is_active=False)
    pages = []
    for email in ("bob@example.com", "who@example.com", "gone@example.com"):
        browser = Client()
        answer = browser.post(path, {"email": email})
        assert (answer.status_code, answer["Location"]) == (302, next_path)
        wrong = browser.post(next_path, {"code": "AAAA-AAAA"})
        pages.append((wrong.status_code, wrong.context["form"].errors, wrong.context.get("can_resend")))
    assert pages[0] == pages[1] == pages[2]
    assert pages[0][:2] == (200, {"code": ["Incorrect code."]})
    assert [message.to for message in mailed()] == [["bob@example.com"]]


def test_sign_in_goes_on_when_the_mail_server_is_down(
    client: Client, bob: User, mailed: Mailed, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    for email in ("bob@example.com", "who@example.com"):
        answer = Client().post(REQUEST, {"email": email})
        assert (answer.status_code, answer["Location"]) == (302, CONFIRM)
    mailed()
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "a mail with a code was not sent: ConnectionRefusedError"
    ]


def test_s37_sign_in_makes_a_new_session(client: Client, bob: User, mailed: Mailed) -> None:
    client.get("/")
    session = client.session
    session["planted"] = "x"
    session.save()
    before = session.session_key
    client.post(LOGIN, {"login": "bob@example.com", "password": PASSWORD})
    assert signed_in(client) == bob
    assert client.session.session_key != before


def test_page_to_sign_in_sends_those_who_are_in_to_their_library(client: Client, bob: User) -> None:
    client.force_login(bob)
    for page in (LOGIN, REQUEST, "/accounts/signup/"):
        assert client.get(page)["Location"] == "/library/"


def test_s38_sign_out_is_a_post(client: Client, bob: User) -> None:
    client.force_login(bob)
    assert client.get("/accounts/logout/").status_code == 200
    assert signed_in(client) == bob
    answer = client.post("/accounts/logout/")
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert signed_in(client) is None


def test_s38_forms_of_strangers_are_refused(bob: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    for page in (LOGIN, REQUEST, "/accounts/signup/", RESET, "/accounts/logout/"):
        assert strict.post(page, {"email": "bob@example.com"}).status_code == 403, page


def test_s37_password_is_reset_by_code(client: Client, bob: User, mailed: Mailed, code: Code) -> None:
    elsewhere = Client()
    elsewhere.force_login(bob)
    answer = client.post(RESET, {"email": "BOB@example.com"})
    assert (answer.status_code, answer["Location"]) == (302, RESET_CODE)
    answer = client.post(RESET_CODE, {"code": code()})
    assert (answer.status_code, answer["Location"]) == (302, RESET_NEW)
    answer = client.post(RESET_NEW, {"password1": "another long password", "password2": "another long password"})
    assert (answer.status_code, answer["Location"]) == (302, "/library/")
    bob.refresh_from_db()
    assert bob.check_password("another long password")
    assert signed_in(client) == bob
    assert elsewhere.get("/library/").status_code == 302  # signed out there
    assert [message.subject for message in mailed()] == [
        "Your code for a new password",
        "Your password was changed",
    ]


def test_password_is_not_reset_without_the_code(client: Client, bob: User, mailed: Mailed) -> None:
    client.post(RESET, {"email": "bob@example.com"})
    for page in (RESET_CODE, RESET_NEW):
        client.post(page, {"code": "AAAA-AAAA", "password1": "stolen password", "password2": "stolen password"})
    bob.refresh_from_db()
    assert bob.check_password(PASSWORD)


@pytest.mark.parametrize("password", ["short", "password1", "bob@example.com"])
def test_weak_password_is_refused(client: Client, mailed: Mailed, password: str) -> None:
    user = UserFactory(email="bob@example.com")
    client.force_login(user)
    answer = client.post("/accounts/password/set/", {"password1": password, "password2": password})
    assert answer.status_code == 200
    assert answer.context["form"].errors["password1"]
    user.refresh_from_db()
    assert not user.has_usable_password()


def test_password_can_be_added_later(client: Client, mailed: Mailed) -> None:
    user = UserFactory(email="bob@example.com")
    client.force_login(user)
    assert client.get("/accounts/password/change/")["Location"] == "/accounts/password/set/"
    client.post("/accounts/password/set/", {"password1": PASSWORD, "password2": PASSWORD})
    assert signed_in(client) == user  # stays in
    assert Client().post(LOGIN, {"login": user.email, "password": PASSWORD})["Location"] == "/library/"
    assert [message.subject for message in mailed()] == ["Your account has a password now"]


def test_s37_password_change_signs_out_elsewhere(client: Client, bob: User, mailed: Mailed) -> None:
    elsewhere = Client()
    for browser in (client, elsewhere):
        browser.force_login(bob)
    new = {"oldpassword": PASSWORD, "password1": "another long password", "password2": "another long password"}
    client.post("/accounts/password/change/", new)
    assert client.get("/library/").status_code == 200
    assert elsewhere.get("/library/").status_code == 302
    assert [message.subject for message in mailed()] == ["Your password was changed"]


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https:evil.example",
        "https:/evil.example",
        "https://evil.example",
        "http://localhost@evil.example/",
        "https://testserver@evil.example",
        "\thttps://evil.example",
        "\t//evil.example",
        "/\t/evil.example",
        "/\n//evil.example",
        "/%09/evil.example",
        "/%0a/evil.example",
        "//evil.example%00.testserver",
        "javascript:alert(1)",
        "data:text/html,x",
        "ht\ntps://evil.example",
        "http://testserver.evil.example",
        "http:///evil.example",
        "\x00//evil.example",
        "x" * 10_000,
    ],
)
def test_s39_sign_in_never_ends_on_another_site(client: Client, bob: User, mailed: Mailed, target: str) -> None:
    """Read as a browser does: tabs and line ends vanish, backslashes are slashes."""
    answer = client.post(LOGIN, {"login": "bob@example.com", "password": PASSWORD, "next": target})
    assert answer.status_code == 302
    assert signed_in(client) == bob
    seen = answer["Location"].translate(str.maketrans("\\", "/", "\t\r\n")).strip("\x00 ")
    assert urlsplit(urljoin("http://testserver/accounts/login/", seen))[:2] == ("http", "testserver")
    answer = client.post("/accounts/logout/", {"next": target})
    seen = answer["Location"].translate(str.maketrans("\\", "/", "\t\r\n")).strip("\x00 ")
    assert urlsplit(urljoin("http://testserver/accounts/logout/", seen))[:2] == ("http", "testserver")


def test_sign_in_returns_to_the_page_that_asked_for_it(client: Client, bob: User, mailed: Mailed, code: Code) -> None:
    answer = client.post(REQUEST, {"email": "bob@example.com", "next": "/orders/"})
    assert answer["Location"] == f"{CONFIRM}?next=%2Forders%2F"
    assert client.post(answer["Location"], {"code": code(), "next": "/orders/"})["Location"] == "/orders/"


@pytest.mark.parametrize("value", ["\x00", "x" * 100_000, "\ud800", "-1", "😀"])
def test_s61_odd_values_are_mistakes_and_not_errors(client: Client, bob: User, mailed: Mailed, value: str) -> None:
    value = value.encode("utf-8", "replace").decode()
    client.post(REQUEST, {"email": "bob@example.com"})
    assert client.post(CONFIRM, {"code": value}).status_code == 200
    for page in (LOGIN, "/accounts/signup/", RESET):
        data = {"login": value, "password": value, "email": value, "next": value}
        assert Client().post(page, data).status_code == 200, page
        assert Client().get(page, {"next": value, "email": value}).status_code == 200, page
