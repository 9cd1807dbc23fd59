"""A gate before moto, which believes every address: it recomputes the signature of what is presigned, and its expiry.

Like a real bucket it knows strangers (no signature at all), the shop itself (signed in a header, which moto is left
to believe), whoever has a presigned address, and the browser's question before it sends to another origin (CORS).
"""

import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import boto3
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from sandbox.world.server import Handler

KEY, SECRET, REGION, BUCKET = "key", "secret", "us-east-1", "books"


def judge(method: str, url: str, headers: dict[str, str], *, secret: str = SECRET, now: float | None = None) -> str:
    """ "ok", or why a bucket would refuse this presigned request: "unsigned", "expired", "tampered" (which is also a
    wrong secret).

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    given = query.pop("X-Amz-Signature", "")
    needed = ("X-Amz-Date", "X-Amz-Expires", "X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Algorithm")
    if not given or any(name not in query for name in needed):
        return "unsigned"
    try:
        began = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return "tampered"
    if not began - 900 <= (time.time() if now is None else now) <= began + int(query["X-Amz-Expires"]):
        return "expired"
    rest = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query.items())
    request = AWSRequest(method, f"{parts.scheme}://{parts.netloc}{parts.path}?{rest}")
    request.context["timestamp"] = query["X-Amz-Date"]
    for name in query["X-Amz-SignedHeaders"].split(";"):
        request.headers[name] = headers.get(name, "") if name != "host" else parts.netloc
    auth = S3SigV4QueryAuth(Credentials(KEY, secret), "s3", REGION)
    canonical = auth.canonical_request(request)
    return "ok" if auth.signature(auth.string_to_sign(request, canonical), request) == given else "tampered"


@dataclass
class Bucket:
    """moto behind the gate. `faults` are answered, in turn, instead of whatever is asked: (part of "METHOD path?query",
    status or "slow" or "cut")."""

    client: Any = None
    judged: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, verdict of each presigned request
    faults: list[tuple[str, int | str]] = field(default_factory=list)
    clock: float = 0.0  # seconds that the bucket's clock is ahead
    origin: str = ""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method, path, query = environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("QUERY_STRING", "")
        for fault in self.faults:
            if fault[0] in f"{method} {path}?{query}":
                self.faults.remove(fault)
                return self._fail(environ, start_response, fault[1])
        if method == "OPTIONS":
            return self._preflight(environ, start_response)
        if "HTTP_AUTHORIZATION" not in environ:
            raw = quote(path, safe="/-_.~")
            headers = {"content-length": environ.get("CONTENT_LENGTH") or ""}
            url = f"{self.origin}{raw}?{query}"
            verdict = judge(method, url, headers, now=time.time() + self.clock)
            self.judged.append((method, path, verdict))
            if verdict != "ok":
                return _answer(start_response, "403 Forbidden", f"<Error><Code>{verdict}</Code></Error>".encode())
        allowed = self._allowed(environ, method)

        def answered(status: str, headers: list[tuple[str, str]], failure: Any = None) -> Any:
            kept = [one for one in headers if not one[0].lower().startswith("access-control-")]
            return start_response(status, [*kept, *allowed], failure)

        answer: Iterable[bytes] = self.moto(environ, answered)
        return answer

    def _fail(self, environ: dict[str, Any], start_response: Any, fault: int | str) -> Iterable[bytes]:
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if fault == "slow":
            time.sleep(0.5)
            answer: Iterable[bytes] = self.moto(environ, start_response)
            return answer
        if fault == "cut":
            start_response("200 OK", [("Content-Length", "1000")])
            return [b"only so much"]
        return _answer(start_response, f"{fault} Fault", b"<Error><Code>Fault</Code></Error>")

    def _preflight(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        allowed = self._allowed(environ, environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD", ""))
        if not allowed:
            return _answer(start_response, "403 Forbidden", b"")
        start_response("204 No Content", allowed)
        return []

    def _allowed(self, environ: dict[str, Any], method: str) -> list[tuple[str, str]]:
        """What a browser is told of another origin's request, as the bucket's own rules say."""
        origin = environ.get("HTTP_ORIGIN", "")
        try:
            rules = self.client.get_bucket_cors(Bucket=BUCKET)["CORSRules"] if origin else []
        except self.client.exceptions.ClientError:
            rules = []
        if not any(origin in rule["AllowedOrigins"] and method in rule["AllowedMethods"] for rule in rules):
            return []
        return [("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Methods", method)]

    @cached_property
    def moto(self) -> Any:
        return DomainDispatcherApplication(create_backend_app)

    def clear(self) -> None:
        """Everything in the bucket, and what a test left set."""
        self.judged.clear()
        self.faults.clear()
        self.clock = 0.0
        listed = self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        for one in listed:
            self.client.abort_multipart_upload(Bucket=BUCKET, Key=one["Key"], UploadId=one["UploadId"])
        for one in self.keys():
            self.client.delete_object(Bucket=BUCKET, Key=one)

    def keys(self) -> list[str]:
        return [one["Key"] for one in self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    def multiparts(self) -> list[str]:
        return [one["UploadId"] for one in self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]


def _answer(start_response: Any, status: str, body: bytes) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]


class Unbuffered(Handler):
    """boto says `Expect: 100-continue` and waits a second for the answer: it must not lie in a buffer."""

    wbufsize = 0


@contextmanager
def running_bucket() -> Iterator[Bucket]:
    bucket = Bucket()
    server = make_server("127.0.0.1", 0, bucket, threaded=True, request_handler=Unbuffered)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    bucket.origin = f"http://127.0.0.1:{server.server_port}"
    bucket.client = boto3.client(
        "s3",
        endpoint_url=bucket.origin,
        region_name=REGION,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )
    bucket.client.create_bucket(Bucket=BUCKET)
    yield bucket
    bucket.clear()
    bucket.client.delete_bucket(Bucket=BUCKET)
    bucket.client.close()
    server.shutdown()
    thread.join()
    server.server_close()


def tampered(url: str) -> Iterator[str]:
    """The address with each of its values changed, one at a time, and with what a trickster would add."""
    start, query = url.split("?")
    pairs = query.split("&")
    for index, pair in enumerate(pairs):
        name, _, value = pair.partition("=")
        changed = re.sub(r"[0-9]", lambda digit: str((int(digit[0]) + 1) % 10), value) if value else "x"
        changed = changed if changed != value else f"x{value}"
        yield f"{start}?{'&'.join([*pairs[:index], f'{name}={changed}', *pairs[index + 1 :]])}"
    yield f"{start}x?{query}"
    yield f"{url}&response-content-type=text%2Fhtml"
