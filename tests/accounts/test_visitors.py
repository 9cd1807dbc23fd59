"""What a browser calls itself, as its owner would call it."""

import pytest

from accounts.visitors import device_of

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0 Safari/537.36"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Mobile Safari/604.1"


@pytest.mark.parametrize(
    "agent, device",
    [
        (CHROME, "Chrome, Windows"),
        (f"{CHROME} Edg/150.0", "Edge, Windows"),
        (SAFARI, "Safari, iPhone"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox, Linux"),
        ("curl/8.9", "curl/8.9"),
        ("", ""),
    ],
)
def test_device_has_the_name_that_people_use(agent: str, device: str) -> None:
    assert device_of(agent) == device
