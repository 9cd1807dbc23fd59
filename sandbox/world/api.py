"""The gate of the API: key, faults, idempotency, routing, and Stripe's shape for whatever goes wrong."""

import hashlib
import hmac
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Blueprint, Response, request

from sandbox.world.account import Account
from sandbox.world.errors import ApiError
from sandbox.world.faults import Fault
from sandbox.world.forms import Form, check_names, decode
from sandbox.world.ids import chance
from sandbox.world.listing import expanded
from sandbox.world.objects import API_VERSION
from sandbox.world.operations import OPERATIONS, Call, Operation
from sandbox.world.operations import account as _account  # noqa: F401 - registers its operations
from sandbox.world.operations import catalog as _catalog  # noqa: F401
from sandbox.world.operations import money as _money  # noqa: F401
from sandbox.world.operations import sessions as _sessions  # noqa: F401
from sandbox.world.restricted import check_permission
from sandbox.world.store import Stale

logger = logging.getLogger(__name__)
Answer = tuple[int, dict[str, Any]]
METHODS = ["GET", "POST", "DELETE"]
FAULT_ERRORS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "A fault of the sandbox: the request is refused."),
    401: ("invalid_request_error", None, "A fault of the sandbox: the key is refused."),
    402: ("card_error", "card_declined", "Your card was declined."),
    409: ("invalid_request_error", "lock_timeout", "This object cannot be accessed right now."),
    429: ("invalid_request_error", "rate_limit", "Request rate limit exceeded."),
}


def blueprint(account: Account) -> Blueprint:
    api, gate = Blueprint("api", __name__), Gate(account)

    @api.route("/v1/<path:path>", methods=METHODS)
    def answer(path: str) -> Response:
        return gate.answer(f"/v1/{path}".rstrip("/"))

    return api


class Gate:
    """Answers API calls. `busy` holds the idempotency keys of calls in progress."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.busy: set[str] = set()
        self.lock = threading.Lock()

    def answer(self, path: str) -> Response:
        """One call from key check to answer, with the faults that fit it before and after the work."""
        call = self.account.call
        call.request_id, call.key = f"req_{chance(14)}", request.headers.get("Idempotency-Key")
        facts = {"path": path, "method": request.method}
        faults = self.account.faults
        early = faults.take("api", "error", "timeout", "drop", **facts)
        stale = faults.take("api", "stale", **facts) if request.method == "GET" else None
        replayed = False
        try:
            self.check_key(path)
            form = decode([*request.args.items(multi=True), *request.form.items(multi=True)])
            with self.reserved(call.key):
                if early and early.options["when"] == "before":
                    strike(early)
                (status, body), replayed = self.once(path, form, stale)
            if early and early.options["when"] == "after":
                strike(early)
        except ApiError as error:
            status, body = error.status, error.body
        except Exception:
            logger.exception("%s %s", request.method, path)
            status, body = 500, ApiError("The sandbox failed; see its log.", kind="api_error").body
        finally:
            request_id, call.request_id, key, call.key = call.request_id, None, call.key, None
        return respond(status, body, request_id, key, replayed)

    def check_key(self, path: str) -> None:
        """Bearer, or the user name of basic authentication, as Stripe takes it. A restricted key may do what it may."""
        header = request.headers.get("Authorization", "")
        given = header.removeprefix("Bearer ").strip() if header.startswith("Bearer ") else ""
        if not given and request.authorization is not None:
            given = request.authorization.username or ""
        if not given:
            raise ApiError("You did not provide an API key.", status=401)
        if given in self.account.restricted:
            route(request.method, path)
            check_permission(given, self.account.restricted[given], request.method, path)
            return
        valid = filter(None, (self.account.secret_key, self.account.former_key))
        if not any(hmac.compare_digest(given.encode(), key.encode()) for key in valid):
            raise ApiError(f"Invalid API Key provided: {given[:8]}****", status=401)

    @contextmanager
    def reserved(self, key: str | None) -> Iterator[None]:
        """Only one call at a time works under an idempotency key; another is told so with 409."""
        if key is None or request.method == "GET":
            yield
            return
        with self.lock:
            if key in self.busy:
                message = "There is currently another in-progress request using this Idempotency-Key."
                raise ApiError(message, status=409, kind="idempotency_error", code="idempotency_key_in_use")
            self.busy.add(key)
        try:
            yield
        finally:
            with self.lock:
                self.busy.discard(key)

    def once(self, path: str, form: Form, stale: Fault | None) -> tuple[Answer, bool]:
        """Do the work, or repeat the answer that its idempotency key already has. Work and memory are one commit."""
        key = self.account.call.key if request.method == "POST" else None
        if key is None:
            return self.work(path, form, stale), False
        if len(key) > 255:
            raise ApiError("Idempotency keys have up to 255 characters.", kind="idempotency_error")
        fingerprint = hashlib.sha256(json.dumps([path, form], sort_keys=True).encode()).hexdigest()
        store = self.account.store
        found = store.rows("SELECT * FROM answers WHERE key = ?", key)
        if found and found[0]["fingerprint"] != fingerprint:
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request."
            )
            raise ApiError(message, kind="idempotency_error")
        if found:
            return (found[0]["status"], json.loads(found[0]["body"])), True
        with store.transaction():
            # A refusal raises past this line and is not remembered, so the caller may correct it and use the key again.
            status, body = self.work(path, form, stale)
            values = (key, fingerprint, status, json.dumps(body), self.account.call.request_id)
            store.run("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", *values)
        return (status, body), False

    def work(self, path: str, form: Form, stale: Fault | None) -> Answer:
        operation, ids = route(request.method, path)
        check_names(form, operation.names)
        age = Stale(stale.options["seconds"], stale.options["changes"]) if stale else None
        call = Call(self.account, form, ids, path, age)
        if request.method == "GET":
            return 200, expanded(call, operation.function(call))
        with self.account.store.transaction():
            return 200, expanded(call, operation.function(call))


def route(method: str, path: str) -> tuple[Operation, tuple[str, ...]]:
    for operation in OPERATIONS:
        match = operation.pattern.fullmatch(path)
        if match and operation.method == method:
            return operation, match.groups()
    raise ApiError(f"Unrecognized request URL ({method}: {path}).", status=404)


def strike(fault: Fault) -> None:
    """Let the fault happen to the call of this thread."""
    if fault.kind == "timeout":
        time.sleep(fault.options["seconds"])
        return
    if fault.kind == "drop":
        cut_connection()
        raise ApiError("The connection is gone; nobody hears this.", status=500, kind="api_error")
    status = fault.options["status"]
    kind, code, message = FAULT_ERRORS.get(status, ("api_error", None, "A fault of the sandbox."))
    raise ApiError(message, status=status, kind=kind, code=fault.options["error_code"] or code)


def cut_connection() -> None:
    """Close the caller's connection without an answer."""
    request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)


def respond(status: int, body: dict[str, Any], request_id: str | None, key: str | None, replayed: bool) -> Response:
    response = Response(json.dumps(body, indent=2), status, content_type="application/json")
    response.headers["Request-Id"] = request_id or ""
    response.headers["Stripe-Version"] = API_VERSION
    if key is not None and request.method == "POST":
        response.headers["Idempotency-Key"] = key
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="Stripe"'
    return response
