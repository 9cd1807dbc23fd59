from pytest_django import Settings

from storefront.production import people
from tests.storefront.production.conftest import Zone


def found(settings: Settings, *addresses: str) -> tuple[str, str]:
    settings.ADMINS = [("", address) for address in addresses]
    [only] = people.check()
    return only.state.value, only.found


def test_admins_who_can_be_reached(settings: Settings, zone: Zone) -> None:
    zone["lantern.shop", "MX"] = ["10 mail.lantern.shop."]
    zone["small.shop", "A"] = ["192.0.2.1"]
    assert found(settings, "ada@lantern.shop") == ("ok", "1 address")
    assert found(settings, "ada@lantern.shop", "bo@small.shop") == ("ok", "2 addresses")


def test_admins_who_cannot(settings: Settings, zone: Zone) -> None:
    zone["deaf.shop", "MX"] = ["0 ."]
    assert found(settings) == ("wrong", "nobody: alerts are told to nobody")
    for broken in ("ada", "ada@", "ada@example.com", "ada lovelace <ada@lantern.shop>", "a@b@c.shop"):
        assert found(settings, "bo@deaf.shop", broken) == ("wrong", "number 2 is no address that could get mail")
    assert found(settings, "ada@deaf.shop") == ("warning", "nobody takes mail for deaf.shop")
    assert found(settings, "ada@gone.shop") == ("warning", "nobody takes mail for gone.shop")


def test_silent_name_server_leaves_their_looks(settings: Settings) -> None:
    settings.DNS_SERVERS = ["127.0.0.1:9"]
    assert found(settings, "ada@lantern.shop") == ("ok", "1 address")
