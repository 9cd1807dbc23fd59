"""Nonsense in any path, query, form, cookie or header of any address is answered below 500.

Hypothesis makes it up: NONSENSE=5000 pytest tests/storefront/test_abuse_nonsense.py tries more of it.
"""

import os
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.steps import body_of
from tests.storefront.addresses import PLACE, Address, Shop, every_address, shop

pytestmark = pytest.mark.django_db

NASTY = (
    b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"'", b'"', b"%", b"..", b"/", b"\\", b"-1", b"0", b"99999999999999999999",
    b"[]", b"{}", b"NaN", b"1e400", b"\xf0\x9f\x98\x80", b"\xe2\x80\xae", b"\r\n", b"<script>", b"{{7*7}}", b"%00",
    b"x" * 5_000, b"1" * 5_000, "１".encode(), b"true", b"null", b"cs_test_", b"evt_",
)  # fmt: skip
junk = st.one_of(
    st.sampled_from(NASTY), st.binary(max_size=60), st.lists(st.sampled_from(NASTY), max_size=4).map(b"".join)
)
PARAMETERS = (
    "after", "category", "period", "tag", "type", "currency", "least", "most", "free", "sort",
    "session_id", "looked", "product", "link", "next", "sent", "email", "login", "password",
    "password1", "code", "action", "q", "o", "p", "e", "_changelist_filters", "_popup", "state__exact",
    "created_at__day", "reason", "to", "csrfmiddlewaretoken", "action_add", "oldpassword", "name", "price", "new_files",
)  # fmt: skip
HEADERS = (
    "HTTP_RANGE", "HTTP_IF_RANGE", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_COOKIE", "HTTP_ACCEPT",
    "HTTP_ACCEPT_LANGUAGE", "HTTP_ACCEPT_ENCODING", "HTTP_REFERER", "HTTP_ORIGIN", "HTTP_USER_AGENT", "HTTP_HOST",
    "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO", "HTTP_AUTHORIZATION",
    "HTTP_STRIPE_SIGNATURE", "HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_REQUESTED_WITH", "CONTENT_TYPE", "CONTENT_LENGTH",
    "REMOTE_ADDR",
)  # fmt: skip
BODY = b"a=0123456789"
EVERY = list(every_address())
few = settings(
    max_examples=int(os.environ.get("NONSENSE", "40")),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def abused(db: None) -> Shop:
    made = shop()
    signed_in = {actor: made.client(actor) for actor in made.actors()}
    made.client = lambda actor: signed_in[actor]  # type: ignore[method-assign]
    return made


def latin(raw: bytes) -> str:
    """As a web server hands bytes to WSGI."""
    return raw.decode("latin-1")


def ask(abused: Shop, actor: str, method: str, path: str, query: str = "", body: bytes = b"", **environ: Any) -> None:
    """The answer is below 500, and the database still works. Nothing of it is kept."""
    client = abused.client(actor)
    environ = {"PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": method, **environ}
    try:
        with transaction.atomic():
            answer = client.generic(method, "/", body, "application/x-www-form-urlencoded", **environ)
            body_of(answer)
            transaction.set_rollback(True)
    except Exception as error:
        raise AssertionError((method, path[:200], query[:200], environ)) from error
    assert answer.status_code < 500, (answer.status_code, method, path[:200], query[:200], environ)


actors = st.sampled_from(["anonymous", "buyer", "owner"])
addresses = st.sampled_from(EVERY)
methods = st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PROPFIND"])


def quoted(value: bytes) -> str:
    return "".join(f"%{byte:02x}" for byte in value)


def in_the_path(address: Address, value: bytes) -> str:
    return "/" + PLACE.sub(lambda _: latin(value), address.pattern)


@pytest.mark.parametrize("address", [one for one in EVERY if "admin:" not in one.name], ids=lambda one: one.name)
def test_s61_known_nonsense_in_all_places_of_an_address(abused: Shop, address: Address) -> None:
    """Each nasty value in every parameter and field at once, and in each part of the path."""
    path, _, _ = abused.path(address).partition("?")
    for value in NASTY:
        everywhere = "&".join(f"{name}={quoted(value)}" for name in PARAMETERS)
        for actor, method in (("anonymous", "GET"), ("buyer", "POST")):
            ask(abused, actor, method, path, everywhere, everywhere.encode())
            if address.converters:
                ask(abused, actor, method, in_the_path(address, value))


@pytest.mark.parametrize("name", HEADERS)
def test_s61_known_nonsense_in_a_header(abused: Shop, name: str) -> None:
    download = next(one for one in EVERY if one.name == "download")
    for path in ("/", "/accounts/login/", abused.path(download), "/webhooks/stripe/"):
        for value in NASTY:
            ask(
                abused,
                "anonymous",
                "POST" if "webhook" in path else "GET",
                path,
                "",
                BODY,
                **{name: as_header(name, value)},
            )


def as_header(name: str, value: bytes) -> str:
    """What a web server lets through: no line ends, no NUL, and as length a number within the body."""
    text = latin(value).replace("\r", "").replace("\n", "").replace("\x00", "")
    if name == "CONTENT_LENGTH":
        return "".join(filter(str.isdigit, text if text.isascii() else ""))[:1]
    return text


@few
@given(actor=actors, address=addresses, values=st.lists(junk, min_size=3, max_size=3), after=junk)
def test_s61_nonsense_in_paths(abused: Shop, actor: str, address: Address, values: list[bytes], after: bytes) -> None:
    left = iter(values)
    path = PLACE.sub(lambda _: latin(next(left)), address.pattern).replace("^", "").replace("$", "")
    for method in ("GET", "POST"):
        ask(abused, actor, method, f"/{path}")
        ask(abused, actor, method, f"/{path}{latin(after)}")


@few
@given(actor=actors, address=addresses, method=methods, name=st.sampled_from(PARAMETERS), value=junk)
def test_s61_nonsense_in_queries_and_forms(
    abused: Shop, actor: str, address: Address, method: str, name: str, value: bytes
) -> None:
    path, _, query = abused.path(address).partition("?")
    junk_query = "&".join([f"{name}={quoted(value)}", f"{name}[]={latin(value)}"] * 2)
    ask(abused, actor, method, path, junk_query)
    ask(abused, actor, "POST", path, query, f"{name}={quoted(value)}&{quoted(value)}={quoted(value)}".encode() * 2)


@few
@given(actor=actors, address=addresses, method=methods, name=st.sampled_from(HEADERS), value=junk)
def test_s61_nonsense_in_headers(
    abused: Shop, actor: str, address: Address, method: str, name: str, value: bytes
) -> None:
    path, _, query = abused.path(address).partition("?")
    ask(abused, actor, method, path, query, BODY, **{name: as_header(name, value)})


COOKIES = ("session", "csrf", "messages", "language", "sessionid")


@few
@given(address=addresses, name=st.sampled_from(COOKIES), value=junk)
def test_s61_nonsense_in_cookies(abused: Shop, address: Address, name: str, value: bytes) -> None:
    path, _, query = abused.path(address).partition("?")
    text = latin(value).replace("\r", "").replace("\n", "")
    ask(abused, "anonymous", "GET", path, query, HTTP_COOKIE=f"{name}={text}; {text}={name}")
    ask(abused, "anonymous", "POST", path, query, HTTP_COOKIE=f"{name}={text}")


def test_s61_forms_of_staff_take_nonsense_as_mistakes(abused: Shop) -> None:
    """Every field of every form in the admin."""
    client = Client(raise_request_exception=False)
    client.force_login(abused.owner)
    for address in EVERY:
        if not address.name.endswith(("_change", "_add")) or not address.name.startswith("admin:"):
            continue
        path = abused.path(address)
        context: Any = client.get(path).context
        form: Any = context.get("adminform") if context else None
        for value in ("\x00", "x" * 10_000, "-1", "１", "9" * 40, "NaN") if form else ():
            with transaction.atomic():
                answer = client.post(path, dict.fromkeys(form.form.fields, value))
                transaction.set_rollback(True)
            assert answer.status_code < 500, (path, value)
