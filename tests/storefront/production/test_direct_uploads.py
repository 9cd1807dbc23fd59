"""A bucket that lets the admin's pages send to it, one that does not, and one that will not say."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.files.storage import storages
from django.core.management import call_command
from pytest_django import Settings

from storefront import settings as shop_settings
from storefront.production import direct_uploads
from tests.sigcheck import BUCKET, SECRET, Bucket, running_bucket
from tests.storefront.production.conftest import line

NAME = "direct uploads"


@pytest.fixture(scope="module")
def module_bucket() -> Iterator[Bucket]:
    with running_bucket() as bucket:
        yield bucket


@pytest.fixture
def bucket(module_bucket: Bucket, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    url = module_bucket.origin.replace("http://", f"s3://key:{SECRET}@") + f"/{BUCKET}?scheme=http"
    monkeypatch.setattr(shop_settings, "STORAGE_URL", url)
    settings.SITE_URL = "https://shop.example"
    settings.STORAGES = {**settings.STORAGES, "default": shop_settings.storage_backend("private")}
    yield module_bucket
    storages["default"].connection.meta.client.close()  # type: ignore[attr-defined]
    module_bucket.faults.clear()
    module_bucket.client.delete_bucket_cors(Bucket=BUCKET)


def found() -> Any:
    return line(direct_uploads.check(), NAME)


def allow(bucket: Bucket, *origins: str, method: str = "PUT") -> None:
    rules = [{"AllowedOrigins": [one], "AllowedMethods": [method]} for one in origins]
    bucket.client.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": rules})


def test_folder_needs_nothing() -> None:
    assert (found().state, found().found) == ("ok", "none: files come in parts to the shop itself")
    assert direct_uploads.fix() == "Nothing to fix: the files are in a folder."


def test_bucket_without_rules_is_wrong_and_fixed(bucket: Bucket) -> None:
    assert (found().state, found().do) == ("wrong", "python manage.py check_production --only uploads --fix")
    assert direct_uploads.fix() == "The bucket takes files from pages of https://shop.example now."
    assert found().state == "ok"
    assert direct_uploads.fix() == "The bucket’s CORS rules were right already."


def test_rules_of_others_are_kept(bucket: Bucket) -> None:
    allow(bucket, "https://other.example")
    assert found().state == "wrong"
    direct_uploads.fix()
    rules = bucket.client.get_bucket_cors(Bucket=BUCKET)["CORSRules"]
    assert [rule["AllowedOrigins"] for rule in rules] == [["https://other.example"], ["https://shop.example"]]


@pytest.mark.parametrize("origin, method, state", [("*", "PUT", "ok"), ("https://shop.example", "GET", "wrong")])
def test_rule_is_read_as_the_bucket_reads_it(bucket: Bucket, origin: str, method: str, state: str) -> None:
    allow(bucket, origin, method=method)
    assert found().state == state


def test_storage_that_knows_no_rules_cannot_be_checked(bucket: Bucket) -> None:
    bucket.faults.extend([("?cors", 405)] * 5)
    assert found().state == "warning"
    assert "cannot be checked" in found().found
    assert "Allow PUT from https://shop.example by hand" in found().do
    assert "were not changed" in direct_uploads.fix()


def test_command_fixes_the_rules_alone_when_it_is_told_so(bucket: Bucket) -> None:
    call_command("check_production", only=["uploads"], fix=True, stdout=(said := StringIO()))
    assert said.getvalue().splitlines()[-1] == "The bucket takes files from pages of https://shop.example now."
    assert SECRET not in said.getvalue()
