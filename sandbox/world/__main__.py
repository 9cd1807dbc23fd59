"""Command line: `python -m sandbox.world --port 8001 --smtp-port 8002 --data DIR …`."""

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

from sandbox.world.errors import ApiError
from sandbox.world.server import SECRET_KEY, WEBHOOK_SECRET, PortTaken, World

STOP = {signal.SIGTERM, signal.SIGINT}


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "sandbox.world", description="A local Stripe and a mailbox, for this machine alone."
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=8001, help="HTTP: API, Checkout, dashboard, mailbox")
    parser.add_argument("--smtp-port", type=int, default=8002)
    parser.add_argument("--data", type=Path, required=True, help="folder that keeps objects and mail")
    parser.add_argument("--webhook-url", help="where events go, for example http://127.0.0.1:8000/webhooks/stripe/")
    parser.add_argument("--webhook-secret", default=WEBHOOK_SECRET)
    parser.add_argument("--secret-key", default=SECRET_KEY)
    parser.add_argument("--shop-name", default="PDF shop")
    parser.add_argument("--settle-after", type=float, help="seconds until bank debits settle by themselves")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    # Blocked here and in every thread to come, so that they wait for sigwait. A handler that sets an Event would hang
    # when the signal meets the main thread on its way into Event.wait, which holds the same lock.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    try:
        world = World(**vars(options(arguments)))
        world.start()
    except (ApiError, PortTaken) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"sandbox ready: {world.base_url}/ (mail to 127.0.0.1:{world.smtp_port})", flush=True)
    signal.sigwait(STOP)
    world.stop()
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    # Answers that a fault holds back sit in threads of their own; nobody waits for them.
    os._exit(status)
