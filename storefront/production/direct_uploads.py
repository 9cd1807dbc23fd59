"""Whether the browsers of staff may send the parts of large files straight to the bucket: its CORS rules say."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.files.storage import FileSystemStorage, storages

from storefront.production.lines import Line, brief, ok, warning, wrong

NAME = "direct uploads"
FIX = "python manage.py check_production --only uploads --fix"
NONE = "NoSuchCORSConfiguration"


def check() -> Iterator[Line]:
    if _folder():
        yield ok(NAME, "none: files come in parts to the shop itself")
        return
    try:
        rules = _rules()
    except Exception as error:  # noqa: BLE001 - buckets refuse each in their own way
        do = f"Some storages know no such question. Allow PUT from {settings.SITE_URL} by hand (docs/deploying.md)."
        yield warning(NAME, f"the bucket’s CORS rules cannot be checked: {brief(error)}", do)
        return
    if _allowed(rules):
        yield ok(NAME, f"the bucket takes files from pages of {settings.SITE_URL}")
    else:
        yield wrong(NAME, f"the bucket takes none from pages of {settings.SITE_URL}: uploads in the admin fail", FIX)


def fix() -> str:
    """Have a rule for the shop's own pages, beside those that are there. May be repeated; tells what was done."""
    if _folder():
        return "Nothing to fix: the files are in a folder."
    try:
        rules = _rules()
        if _allowed(rules):
            return "The bucket’s CORS rules were right already."
        _client().put_bucket_cors(Bucket=_bucket(), CORSConfiguration={"CORSRules": [*rules, rule()]})
    except Exception as error:  # noqa: BLE001 - the same
        return f"The bucket’s CORS rules were not changed: {brief(error)}"
    return f"The bucket takes files from pages of {settings.SITE_URL} now."


def rule() -> dict[str, Any]:
    """What docs/deploying.md shows, too."""
    return {
        "AllowedOrigins": [settings.SITE_URL],
        "AllowedMethods": ["PUT"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 3600,
    }


def _folder() -> bool:
    return isinstance(storages["default"], FileSystemStorage)


def _rules() -> list[dict[str, Any]]:
    from botocore.exceptions import ClientError

    try:
        found: list[dict[str, Any]] = _client().get_bucket_cors(Bucket=_bucket())["CORSRules"]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == NONE:
            return []
        raise
    return found


def _allowed(rules: list[dict[str, Any]]) -> bool:
    return any(
        {"*", settings.SITE_URL} & set(one["AllowedOrigins"]) and "PUT" in one["AllowedMethods"] for one in rules
    )


def _client() -> Any:
    storage: Any = storages["default"]
    return storage.connection.meta.client


def _bucket() -> str:
    storage: Any = storages["default"]
    return str(storage.bucket_name)
