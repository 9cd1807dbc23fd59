"""SPF, DKIM and DMARC, asked of a name server on this machine; what to add is said to the letter."""

import base64

import pytest
from pytest_django import Settings

from storefront.production import sending_domain
from storefront.production.lines import Line
from tests.storefront.production.conftest import Zone, line, states

DOMAIN = "lantern.shop"
KEY = base64.b64encode(bytes(294)).decode()
SHORT = base64.b64encode(bytes(162)).decode()


def txt(text: str) -> str:
    """In parts of at most 255 characters, as name servers keep it."""
    return " ".join(f'"{text[first : first + 255]}"' for first in range(0, len(text), 255))


@pytest.fixture(autouse=True)
def domain(settings: Settings) -> None:
    settings.MAIL_DOMAIN = DOMAIN
    settings.EMAIL_HOST = "smtp.lantern.shop"


@pytest.fixture
def whole(zone: Zone) -> Zone:
    zone[DOMAIN, "TXT"] = ['"some-site-verification=1"', txt("v=spf1 a:smtp.lantern.shop ~all")]
    zone[f"s1._domainkey.{DOMAIN}", "TXT"] = [txt(f"v=DKIM1; k=rsa; p={KEY}")]
    zone[f"_dmarc.{DOMAIN}", "TXT"] = [txt("v=DMARC1; p=quarantine; rua=mailto:dmarc@lantern.shop")]
    return zone


def found(name: str) -> Line:
    return line(sending_domain.check(), name)


def test_whole_domain_is_green(whole: Zone) -> None:
    assert list(sending_domain.check()) == [
        Line("spf", "ok", "v=spf1 a:smtp.lantern.shop ~all"),  # type: ignore[arg-type]
        Line("dkim", "ok", "a key under s1"),  # type: ignore[arg-type]
        Line("dmarc", "ok", "p=quarantine, at _dmarc.lantern.shop"),  # type: ignore[arg-type]
    ]


def test_empty_domain_is_told_what_to_add(zone: Zone) -> None:
    lines = list(sending_domain.check())
    assert states(lines) == {"spf": "wrong", "dkim": "warning", "dmarc": "wrong"}
    assert line(lines, "spf").do == 'Add a TXT record at lantern.shop: "v=spf1 a:smtp.lantern.shop ~all"'
    assert line(lines, "dmarc").do == (
        'Add a TXT record at _dmarc.lantern.shop: "v=DMARC1; p=none; rua=mailto:dmarc@lantern.shop"'
    )
    assert "NAME._domainkey.lantern.shop" in line(lines, "dkim").do


@pytest.mark.parametrize(
    "host, mechanism",
    [
        ("smtp.sendgrid.net", "include:sendgrid.net"),
        ("smtp.eu.mailgun.org", "include:mailgun.org"),
        ("email-smtp.eu-west-1.amazonaws.com", "include:amazonses.com"),
        ("localhost", "a"),
    ],
)
def test_record_names_the_provider_of_the_mail_server(
    zone: Zone, settings: Settings, host: str, mechanism: str
) -> None:
    settings.EMAIL_HOST = host
    assert found("spf").do == f'Add a TXT record at lantern.shop: "v=spf1 {mechanism} ~all"'


@pytest.mark.parametrize(
    "records, state, said",
    [
        (["v=spf1 a ~all", "v=spf1 mx ~all"], "wrong", "Put them together into one"),
        (["v=spf1 a +all"], "wrong", 'should be "v=spf1 a ~all"'),
        (["v=spf1 a all"], "wrong", 'should be "v=spf1 a ~all"'),
        (["v=spf1 a ?all"], "warning", 'should be "v=spf1 a ~all"'),
        (["v=spf1 a"], "warning", 'should be "v=spf1 a ~all"'),
        (["v=spf1 a -all"], "ok", ""),
        (["v=spf1 redirect=_spf.lantern.shop"], "ok", ""),
        (["v=spf10 a -all"], "wrong", "Add a TXT record"),
        ([f"v=spf1 {'a ' * 11}~all"], "wrong", "no longer use"),
    ],
)
def test_spf_record_that_is_not_whole(whole: Zone, records: list[str], state: str, said: str) -> None:
    whole[DOMAIN, "TXT"] = [txt(record) for record in records]
    assert (found("spf").state, said in found("spf").do) == (state, True)


def test_spf_of_another_provider_is_wrong_and_found_through_includes(whole: Zone, settings: Settings) -> None:
    settings.EMAIL_HOST = "smtp.sendgrid.net"
    assert found("spf").do == (
        'The TXT record at lantern.shop should be "v=spf1 include:sendgrid.net a:smtp.lantern.shop ~all"'
    )
    whole[DOMAIN, "TXT"] = [txt("v=spf1 include:_spf.lantern.shop ~all")]
    whole["_spf.lantern.shop", "TXT"] = [txt("v=spf1 include:sendgrid.net ~all")]
    assert found("spf").state == "ok"


def test_spf_that_includes_itself_ends(whole: Zone) -> None:
    whole[DOMAIN, "TXT"] = [txt(f"v=spf1 include:{DOMAIN} ~all")]
    assert found("spf").found == "takes 11 look-ups or more, and more than 10 break it"


@pytest.mark.parametrize(
    "record, state, said",
    [
        (f"v=DKIM1; p={SHORT}", "warning", "the key under s1 is short"),
        (f"k=ed25519; p={base64.b64encode(bytes(32)).decode()}", "ok", "a key under s1"),
        ("v=DKIM1; p=", "wrong", "withdrawn or broken"),
        ("v=DKIM1; p=nonsense!", "wrong", "withdrawn or broken"),
        ("v=DKIM1", "warning", "no key under any usual name"),
    ],
)
def test_dkim_key_that_is_not_whole(whole: Zone, record: str, state: str, said: str) -> None:
    whole[f"s1._domainkey.{DOMAIN}", "TXT"] = [txt(record)]
    assert (found("dkim").state, said in found("dkim").found) == (state, True)


def test_selectors_that_are_named_must_all_be_there(whole: Zone, settings: Settings) -> None:
    settings.DKIM_SELECTORS = ["lamp"]
    assert (found("dkim").state, found("dkim").found) == ("wrong", "no key under lamp")
    assert "lamp._domainkey.lantern.shop" in found("dkim").do
    settings.DKIM_SELECTORS = ["s1", "lamp"]
    assert (found("dkim").state, found("dkim").found) == ("wrong", "no key under lamp")
    whole[f"lamp._domainkey.{DOMAIN}", "TXT"] = [txt(f"v=DKIM1; p={KEY}")]
    assert found("dkim").found == "a key under s1, lamp"


@pytest.mark.parametrize(
    "records, state", [(["v=DMARC1"], "wrong"), (["v=DMARC1; p=NONE"], "ok"), (["v=DMARC1; p=none"] * 2, "wrong")]
)
def test_dmarc_record_that_is_not_whole(whole: Zone, records: list[str], state: str) -> None:
    whole[f"_dmarc.{DOMAIN}", "TXT"] = [txt(f"{record};{number}") for number, record in enumerate(records)]
    assert found("dmarc").state == state


def test_dmarc_of_the_domain_above_counts(whole: Zone, settings: Settings) -> None:
    settings.MAIL_DOMAIN = "mail.lantern.shop"
    assert found("dmarc").found == "p=quarantine, at _dmarc.lantern.shop"


def test_name_server_that_does_not_answer_is_said_once(settings: Settings) -> None:
    settings.DNS_SERVERS = ["127.0.0.1:9"]
    [only] = sending_domain.check()
    assert (only.name, only.state) == ("dns", "wrong")


def test_domain_of_nobody_is_not_asked_for(settings: Settings) -> None:
    settings.MAIL_DOMAIN = "shop.example.com"
    [only] = sending_domain.check()
    assert (only.name, only.state) == ("sending domain", "wrong")
