"""What one visit to a page costs: what its browser fetches, what had to wait for what, and what its visitor feels."""

from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import CDPSession, Page

# Lighthouse's phone on a slow mobile network, four times slower than this machine.
# https://github.com/GoogleChrome/lighthouse/blob/main/docs/throttling.md
ROUND_TRIP = 150  # milliseconds
DOWN, UP = 1_638_400 / 8, 768_000 / 8  # bytes per second
SLOWER = 4

# Chromium tells of tasks only when they take more than 50 ms. https://www.w3.org/TR/longtasks-1/
WATCH = """
window.felt = {lcp: 0, shown: "", cls: 0, longest: 0};
const watch = (type, look) => new PerformanceObserver(list => list.getEntries().forEach(look))
  .observe({type, buffered: true});
watch("largest-contentful-paint", entry => {
  felt.lcp = entry.startTime;
  felt.shown = (entry.url || entry.element?.tagName || "").split("/").pop();
});
watch("layout-shift", entry => { if (!entry.hadRecentInput) felt.cls += entry.value; });
watch("longtask", entry => { felt.longest = Math.max(felt.longest, entry.duration); });
"""


@dataclass(frozen=True)
class Felt:
    """The Core Web Vitals of a visit. https://web.dev/articles/vitals"""

    largest_paint: float  # seconds
    largest: str  # what that was
    shift: float
    longest_task: float  # milliseconds; 0 when none took more than 50
    first_paint: float  # seconds
    first_byte: float  # seconds


@dataclass
class Wire:
    """Everything that a page fetches, by address: bytes on the wire, headers included, and how deep it hangs: the
    page itself at 0, what it names at 1, what only these name at 2."""

    weights: dict[str, int] = field(default_factory=dict)
    depths: dict[str, int] = field(default_factory=dict)
    _addresses: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, session: CDPSession) -> "Wire":
        """From now on, with nothing cached."""
        wire = cls()
        session.on("Network.requestWillBeSent", wire._sent)
        session.on("Network.loadingFinished", wire._finished)
        session.send("Network.enable")
        session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        return wire

    @property
    def weight(self) -> int:
        return sum(self.weights.values())

    @property
    def deepest(self) -> int:
        return max(self.depths.values())

    def _sent(self, event: dict[str, Any]) -> None:
        address = event["request"]["url"]
        if not address.startswith("data:"):
            self._addresses[event["requestId"]] = address
            self.depths[address] = self._depth(event["initiator"])

    def _depth(self, initiator: dict[str, Any]) -> int:
        frames = initiator.get("stack", {}).get("callFrames", [])
        by = frames[0]["url"] if frames else initiator.get("url", "")
        if not self.depths:
            return 0
        return self.depths.get(by.partition("#")[0], 0) + 1

    def _finished(self, event: dict[str, Any]) -> None:
        if address := self._addresses.get(event["requestId"]):
            self.weights[address] = int(event["encodedDataLength"])


def slow_down(session: CDPSession) -> None:
    """From now on this page is on the phone described above."""
    conditions = {"offline": False, "latency": ROUND_TRIP, "downloadThroughput": DOWN, "uploadThroughput": UP}
    session.send("Network.emulateNetworkConditions", conditions)
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})


def visit(page: Page, address: str) -> tuple[Felt, Wire]:
    """Open the address in a page that was never used, and wait until nothing more happens."""
    session = page.context.new_cdp_session(page)
    wire = Wire.of(session)
    slow_down(session)
    session.send("Page.enable")
    session.send("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})  # not subject to the page's CSP
    page.goto(address, wait_until="networkidle")
    felt = page.evaluate(
        """async () => {
            while (!felt.lcp) await new Promise(later => setTimeout(later, 50));
            const [page] = performance.getEntriesByType("navigation");
            const [paint] = performance.getEntriesByName("first-contentful-paint");
            return {...felt, byte: page.responseStart, paint: paint.startTime};
        }"""
    )
    session.detach()
    return (
        Felt(
            largest_paint=felt["lcp"] / 1000,
            largest=felt["shown"],
            shift=felt["cls"],
            longest_task=felt["longest"],
            first_paint=felt["paint"] / 1000,
            first_byte=felt["byte"] / 1000,
        ),
        wire,
    )
