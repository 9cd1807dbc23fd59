"""A folder, and a bucket on a local S3; a web server that serves what it should not."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest
from django.core.files.storage import storages
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from pytest_django import Settings
from werkzeug.serving import make_server

from sandbox.world.server import Handler
from storefront import settings as shop_settings
from storefront.production import files
from tests.conftest import storage
from tests.storefront.production.conftest import line, serving, states

PRIVATE = "private files are private"
POLICY = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:%s", '
    '"Resource": "arn:aws:s3:::books%s"}]}'
)


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Path:
    """That of the private files, as production keeps them."""
    private: Any = storage(tmp_path / "private")
    private["OPTIONS"]["file_permissions_mode"] = 0o600
    settings.STORAGES = {**settings.STORAGES, "default": private}
    return tmp_path / "private"


def nothing_there(path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
    return 404, {}, b""


def keys(folder: Path) -> list[str]:
    return [one.name for one in folder.rglob("*") if one.is_file()]


def test_whole_folder_is_green_and_left_empty(settings: Settings, folder: Path) -> None:
    with serving(nothing_there) as port:
        settings.SITE_URL = f"http://127.0.0.1:{port}"
        lines = list(files.check())
    assert states(lines) == {"private files": "ok", PRIVATE: "ok", "covers": "ok"}
    assert line(lines, PRIVATE).found == "a stranger gets them at none of 6 addresses"
    assert keys(folder) == []


@pytest.mark.parametrize("prefix", ["/", "/media/", "/private/", "/protected/", "/files/"])
def test_folder_that_a_web_server_serves_is_found(settings: Settings, folder: Path, prefix: str) -> None:
    settings.X_ACCEL_REDIRECT = "/protected/"

    def serve(path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
        file = folder / path.removeprefix(prefix)
        is_there = path.startswith(prefix) and file.is_file()
        return (200, {}, file.read_bytes()) if is_there else (404, {}, b"")

    with serving(serve) as port:
        settings.SITE_URL = f"http://127.0.0.1:{port}"
        found = line(files.check(), PRIVATE)
    assert (found.state, found.found) == ("wrong", f"anybody gets them at {settings.SITE_URL}{prefix}…")
    assert "internal;" in found.do
    assert keys(folder) == []


def test_folder_among_the_static_files_is_found(settings: Settings, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path
    assert line(files.check(), PRIVATE).state == "wrong"


def test_files_that_others_may_read_are_a_warning(settings: Settings, folder: Path) -> None:
    settings.STORAGES["default"]["OPTIONS"]["file_permissions_mode"] = 0o644
    settings.STORAGES = {**settings.STORAGES}
    with serving(nothing_there) as port:
        settings.SITE_URL = f"http://127.0.0.1:{port}"
        found = line(files.check(), PRIVATE)
    assert (found.state, found.do) == ("warning", f"chmod -R go-rwx {folder}")


def test_site_that_does_not_answer_leaves_it_unknown(settings: Settings, folder: Path) -> None:
    settings.SITE_URL = "http://127.0.0.1:9"
    assert line(files.check(), PRIVATE).state == "warning"


def test_folder_that_cannot_be_written_is_wrong(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    settings.STORAGES = {**settings.STORAGES, "default": storage(tmp_path / "file")}
    assert states(files.check()) == {"private files": "wrong", "covers": "ok"}


@dataclass
class S3:
    """moto, and what it leaves out: a stranger may list a bucket only where that is open to everybody."""

    client: Any = None
    is_listed: bool = False

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        listing = environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"].strip("/") == "books"
        if listing and "HTTP_AUTHORIZATION" not in environ and not self.is_listed:
            start_response("403 Forbidden", [("Content-Length", "0")])
            return []
        answer: Iterable[bytes] = self.moto(environ, start_response)
        return answer

    @cached_property
    def moto(self) -> Any:
        return DomainDispatcherApplication(create_backend_app)


@pytest.fixture(scope="module")
def module_s3() -> Iterator[S3]:
    s3 = S3()
    server = make_server("127.0.0.1", 0, s3, threaded=True, request_handler=Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    s3.client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{server.server_port}",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    yield s3
    s3.client.close()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def s3(module_s3: S3) -> S3:
    module_s3.is_listed = False
    return module_s3


@pytest.fixture
def bucket(s3: S3, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A bucket of the shop's; call it with a policy."""
    client = s3.client
    client.create_bucket(Bucket="books")
    url = client.meta.endpoint_url.replace("http://", "s3://key:secret@") + "/books?scheme=http"
    monkeypatch.setattr(shop_settings, "STORAGE_URL", url)
    settings.STORAGE_URL = url
    names = {"default": "private", "covers": "covers"}
    backends = {alias: shop_settings.storage_backend(name) for alias, name in names.items()}
    settings.STORAGES = {**settings.STORAGES, **backends}
    yield lambda policy: client.put_bucket_policy(Bucket="books", Policy=policy)
    for storage_of in (storages["default"], storages["covers"]):
        storage_of.connection.meta.client.close()  # type: ignore[attr-defined]
    left = client.list_objects_v2(Bucket="books").get("Contents", [])
    for one in left:
        client.delete_object(Bucket="books", Key=one["Key"])
    client.delete_bucket(Bucket="books")
    assert left == []


@pytest.mark.usefixtures("bucket")
def test_private_bucket_is_green() -> None:
    lines = list(files.check())
    assert states(lines) == {"private files": "ok", PRIVATE: "ok", "covers": "ok"}
    assert line(lines, "private files").found == "written and read in a bucket"


def test_public_bucket_is_found(bucket: Callable[[str], None]) -> None:
    bucket(POLICY % ("GetObject", "/*"))
    found = line(files.check(), PRIVATE)
    assert (found.state, found.found.endswith("/books/private/…")) == ("wrong", True)
    assert "Take public access away from the bucket" in found.do


def test_bucket_that_anybody_may_list_is_found(bucket: Callable[[str], None], s3: S3) -> None:
    s3.is_listed = True
    assert line(files.check(), PRIVATE).found == "anybody can list the bucket"


def test_bucket_that_is_not_there_is_wrong(bucket: Callable[[str], None], settings: Settings) -> None:
    for alias in ("default", "covers"):
        settings.STORAGES[alias]["OPTIONS"]["bucket_name"] = "gone"
    settings.STORAGES = {**settings.STORAGES}
    lines = list(files.check())
    assert states(lines) == {"private files": "wrong", "covers": "wrong"}
    assert "secret" not in line(lines, "private files").found
