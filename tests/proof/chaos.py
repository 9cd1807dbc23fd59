"""Break the running shop in every way we know while people buy, mend it, and see whether every promise was kept.

    python -m tests.proof.chaos --minutes 5 --seed 7 [--broker redis|rabbitmq] [--json FILE]

Everything is real: PostgreSQL, the broker, granian, Celery, beat, two sweeps, a local Stripe and an SMTP server. The
seed decides who buys what and what breaks when. The exit code is 0 when no invariant is violated, 1 otherwise, 2 when
the run could not take place.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox import parts
from sandbox.process import Process, StartFailed
from sandbox.unprivileged import CannotStart
from tests.proof import chaos_checks as checks
from tests.proof.brokers import BrokerMissing, find_broker
from tests.proof.chaos_faults import Breaker
from tests.proof.chaos_plan import Plan, make_plan
from tests.proof.chaos_scripts import serve
from tests.proof.chaos_traffic import Crowd, provoke
from tests.proof.figures import keep
from tests.proof.stack import Stack

AT_ONCE = 64  # buyers
FINISH = 90.0  # seconds that buyers may take after the healing
NOTE = (
    "After the mending, what lies in the future is brought forward in the database: leases of the dead, back-offs,"
    " looks at orders, the repeat of unconfirmed mail after a quarter of an hour, the next reconcile."
)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    with tempfile.TemporaryDirectory(prefix="storefront-chaos-") as name:
        folder = Path(name)
        try:
            stack = Stack(folder / "run", find_broker(options.broker, folder / "broker"))
            try:
                found = run(stack, options)
            finally:
                stack.stop()
                keep_logs(folder / "run" / "log", options.logs)
        except (BrokerMissing, CannotStart, StartFailed) as problem:
            print(f"The run could not take place: {problem}", file=sys.stderr)
            return 2
    if options.json:
        keep(options.json, {**found.figures, "violations": len(found.violations), "violated": found.violations})
    return 1 if found.violations else 0


def keep_logs(folder: Path, wanted: Path | None) -> None:
    if wanted and folder.exists():
        shutil.rmtree(wanted, ignore_errors=True)
        shutil.copytree(folder, wanted)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("tests.proof.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=None, help="a run's number; without it, one is chosen and shown")
    parser.add_argument("--broker", choices=("valkey", "redis", "rabbitmq"), default="valkey")
    parser.add_argument("--rate", type=float, default=3.0, help="orders begun each second")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--logs", type=Path, help="copy what the processes said into this folder, replacing it")
    found = parser.parse_args(arguments)
    if found.seed is None:
        found.seed = random.SystemRandom().randrange(1_000_000)
    return found


def run(stack: Stack, options: argparse.Namespace) -> checks.Verdict:
    plan = make_plan(options.seed, options.minutes * 60, rate=options.rate)
    print(
        f"seed {plan.seed}, {plan.seconds:g} s, {options.broker}: {len(plan.buyers)} orders, {len(plan.faults)} faults"
    )
    clock = [time.monotonic()]
    stack.start()
    crowd = open_shop(stack)
    breaker = Breaker(stack, crowd)
    breaker.misbehave()
    began = datetime.now(UTC)
    clock.append(time.monotonic())
    healed_at = live(stack, crowd, breaker, plan)
    clock.append(time.monotonic())
    verdict = checks.Verdict([*crowd.wrong, *checks.drain(stack, crowd, healed_at)])
    drained = (datetime.now(UTC) - healed_at).total_seconds()
    more, said = checks.once_more(stack, crowd)
    outside = checks.Outside.ask(crowd)
    with stack.connect() as connection:
        more += checks.check(connection, outside, healed_at)
    noise, explained = checks.quiet_logs(stack.folder / "log")
    verdict.violations += [one for one in more if one not in verdict.violations]
    verdict.violations += checks.answers_to_stripe(outside) + noise
    clock.append(time.monotonic())
    verdict.figures = {
        "seed": plan.seed,
        "broker": options.broker,
        "seconds": plan.seconds,
        "at": began.isoformat(timespec="seconds"),
        "orders": dict(sorted(crowd.kinds.items())),
        "shop's answers": dict(sorted(crowd.answers.items())),
        "webhooks": checks.webhook_figures(outside),
        "mails": checks.mail_figures(outside),
        **broken(stack, breaker),
        "tracebacks explained": dict(explained),
        "undisturbed": checks.timings(stack, crowd, outside, breaker.log, began.timestamp()),
        "drained after s": round(drained, 1),
        "took s": {
            what: round(later - earlier)
            for what, earlier, later in zip(("to start", "to live", "to check"), clock, clock[1:], strict=False)
        },
        "once more": said,
        "injected": breaker.report(),
    }
    show(verdict)
    return verdict


def broken(stack: Stack, breaker: Breaker) -> dict[str, Any]:
    """What was done to the shop."""
    return {
        "faults": dict(sorted(Counter(f"{one.kind}: {one.target}" for one in breaker.log).items())),
        "kills": sum(one.kind == "kill" for one in breaker.log),
        "starts": {name: part.starts for name, part in stack.parts.items()},
        "connections cut": {name: proxy.cut for name, proxy in stack.proxies.items()},
    }


def open_shop(stack: Stack) -> Crowd:
    """Books, members, Payment Links."""
    file = stack.folder / "shop.json"
    command: list[str | Path] = [sys.executable, "-m", "tests.proof.chaos_shop", file]
    environment = {**stack.environment, "DJANGO_SETTINGS_MODULE": "storefront.settings"}
    stack.run(Process(name="stock", argv=command, env=environment, cwd=parts.PROJECT, once=True, patience=120))
    crowd = Crowd(
        site=stack.site,
        world_url=stack.world_url,
        secret_key=stack.environment["STRIPE_SECRET_KEY"],
        **json.loads(file.read_text()),
    )
    crowd.open_links()
    return crowd


def live(stack: Stack, crowd: Crowd, breaker: Breaker, plan: Plan) -> datetime:
    """Buyers come and things break; returns when all is mended and the last buyer has left: the time of the mending."""
    buyers, faults, strangers = list(plan.buyers), list(plan.faults), random.Random(plan.seed)
    began = breaker.began = time.monotonic()
    next_stranger = 0.0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running: list[Future[None]] = []
        while (now := time.monotonic() - began) < plan.seconds:
            while buyers and buyers[0].at <= now:
                running.append(pool.submit(serve, crowd, buyers.pop(0)))
            while faults and faults[0].at <= now:
                breaker.strike(faults.pop(0))
            if now >= next_stranger:
                next_stranger = now + 2
                running.append(pool.submit(provoke, crowd, strangers))
            breaker.mend()
            stack.tend()
            time.sleep(0.02)
        breaker.mend(everything=True)
        crowd.control("faults/clear", {})
        stack.heal()
        healed_at = datetime.now(UTC)
        wait_for(running, stack)
    return healed_at


def wait_for(running: list[Future[None]], stack: Stack) -> None:
    deadline = time.monotonic() + FINISH
    while not all(one.done() for one in running) and time.monotonic() < deadline:
        stack.tend()
        time.sleep(0.05)


def show(verdict: checks.Verdict) -> None:
    for name, value in verdict.figures.items():
        if name != "injected":
            print(f"  {name}: {as_words(value)}")
    for one in verdict.violations[:50]:
        print(f"  VIOLATED {one}")
    print(f"  {NOTE}")
    seed = verdict.figures["seed"]
    if verdict.violations:
        print(f"seed {seed}: {len(verdict.violations)} violations")
    else:
        print(f"seed {seed}: every promise was kept")


def as_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {as_words(one)}" for key, one in value.items()) or "none"
    return str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
