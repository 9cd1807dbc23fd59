"""The world as one thing that starts and stops: HTTP, SMTP and the webhook thread, on loopback addresses."""

import json
import logging
import socket
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from flask import Flask, Response, jsonify
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from sandbox.world import api, checkout, control, dashboard, mailbox_pages
from sandbox.world.account import RETRY_DELAYS, Account
from sandbox.world.errors import ApiError
from sandbox.world.faults import Faults
from sandbox.world.mailbox import Mailbox, MailServer
from sandbox.world.objects.account import webhook_endpoint
from sandbox.world.payments import expire, settle
from sandbox.world.store import Store
from sandbox.world.webhooks import Dispatcher, check_loopback, is_loopback

logger = logging.getLogger(__name__)
SECRET_KEY = "sk_test_sandbox"  # noqa: S105 - opens nothing but this sandbox
WEBHOOK_SECRET = "whsec_sandbox"  # noqa: S105 - the same
PAGE_POLICY = "default-src 'none'; style-src 'self'; img-src * data:; frame-src 'self'; base-uri 'none'"


class PortTaken(Exception):
    """Another program listens on the port."""


class Handler(WSGIRequestHandler):
    """Quiet, and quick: header and body leave in one packet, because two would wait for a delayed ACK (40 ms)."""

    wbufsize = -1
    disable_nagle_algorithm = True

    def finish(self) -> None:
        # A caller that went away, or was cut off by a fault, cannot be told the rest.
        with suppress(OSError):
            super().finish()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


class World:
    """A running world. `base_url` is the API's address too; `webhook_url` None sends no webhooks."""

    def __init__(  # noqa: PLR0913 - the settings of the command line, all named
        self,
        *,
        data: Path,
        port: int,
        smtp_port: int,
        webhook_url: str | None = None,
        webhook_secret: str = WEBHOOK_SECRET,
        secret_key: str = SECRET_KEY,
        host: str = "127.0.0.1",
        shop_name: str = "PDF shop",
        settle_after: float | None = None,
        retry_delays: tuple[float, ...] = RETRY_DELAYS,
    ) -> None:
        if not is_loopback(host):
            raise ApiError(f"The sandbox serves this machine alone: {host} is not a loopback address.")
        if webhook_url:
            check_loopback(webhook_url, "webhook_url")
        data.mkdir(parents=True, exist_ok=True)
        self.host, self.port, self.smtp_port, self.secret_key = host, port, smtp_port, secret_key
        self.base_url = f"http://{host}:{port}"
        self.account = Account(
            store=Store(data / "stripe.sqlite3"),
            faults=Faults(),
            base_url=self.base_url,
            secret_key=secret_key,
            shop_name=shop_name,
            settle_after=settle_after,
            retry_delays=retry_delays,
        )
        self.mailbox = Mailbox(data / "mail.sqlite3")
        if webhook_url:
            self.set_endpoint(webhook_url, webhook_secret)

    def set_endpoint(self, url: str, secret: str) -> None:
        """The endpoint of the command line: one, whichever address and secret it had before the restart."""
        store = self.account.store
        mine = [one for one in store.find("webhook_endpoint") if store.private(one["id"]).get("given")]
        if mine:
            store.change(mine[0], url=url)
            store.set_private(mine[0]["id"], secret=secret)
        else:
            store.add(webhook_endpoint(url=url, enabled_events=["*"]), secret=secret, given=True)

    def start(self) -> None:
        """Returns when everything answers; raises PortTaken."""
        for port in (self.port, self.smtp_port):
            if is_taken(self.host, port):
                raise PortTaken(f"Port {port} is in use by another program.")
        self.http = bind(self.host, self.port, build_app(self.account, self.mailbox))
        self.mail = MailServer(self.mailbox, self.account.faults, self.smtp_port)
        self.mail.start()
        self.dispatcher = Dispatcher(self.account, self.on_timer)
        self.dispatcher.start()
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,), name="http", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.mail.stop()
        self.dispatcher.stop()
        self.account.store.close()
        self.mailbox.close()

    def on_timer(self, act: str, identifier: str) -> None:
        """A session's time is up, or a bank debit settles by itself; somebody may have been quicker."""
        try:
            if act == "expire":
                expire(self.account, identifier)
            else:
                settle(self.account, identifier)
        except ApiError as error:
            logger.info("timer %s %s: %s", act, identifier, error)

    def control(self, path: str, body: dict[str, Any] | None = None, *, method: str | None = None) -> Any:
        """Call the control API: `control("ledger")` gets, `control("pay/cs_…", {…})` posts. Raises ControlError."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - our own loopback address
            f"{self.base_url}/_control/{path}", data, {"Content-Type": "application/json"}
        )
        request.method = method or ("GET" if body is None else "POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - the same
                return json.load(answer)
        except HTTPError as error:
            with error:
                raise ControlError(error.code, json.loads(error.read() or b"{}")) from None

    def quiet(self, seconds: float = 5.0) -> bool:
        """Wait until no webhook is on its way; whether that came true in time."""
        try:
            return bool(self.control(f"quiet?seconds={seconds}")["pending"] == 0)
        except ControlError:
            return False

    def mails(self, to: str | None = None) -> list[dict[str, Any]]:
        return self.mailbox.mails(to=to)


class ControlError(Exception):
    """The control API refused; `status` and the decoded `body` say why."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status}: {body.get('error', body)}")
        self.status, self.body = status, body


def is_taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def bind(host: str, port: int, app: Flask) -> BaseWSGIServer:
    """Werkzeug's threaded server on a socket of ours, because on a taken port it would end the process itself."""
    with socket.create_server((host, port), backlog=512) as listener:
        return make_server(host, port, app, threaded=True, request_handler=Handler, fd=listener.fileno())


def build_app(account: Account, mailbox: Mailbox) -> Flask:
    app = Flask("sandbox.world", static_folder="static", template_folder="templates")
    app.register_blueprint(api.blueprint(account))
    app.register_blueprint(checkout.blueprint(account))
    app.register_blueprint(control.blueprint(account, mailbox))
    app.register_blueprint(dashboard.blueprint(account))
    app.register_blueprint(mailbox_pages.blueprint(mailbox))

    @app.errorhandler(ApiError)
    def refused(error: ApiError) -> tuple[Response, int]:
        return jsonify(error.body), error.status

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return app


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running_world(*, data: Path | None = None, port: int = 0, smtp_port: int = 0, **settings: Any) -> Iterator[World]:
    """A world in threads of this process, for tests. Ports that are 0 are chosen; no folder, no data afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        port, smtp_port = port or free_port(), smtp_port or free_port()
        world = World(data=data or Path(folder), port=port, smtp_port=smtp_port, **settings)
        world.start()
        try:
            yield world
        finally:
            world.stop()
