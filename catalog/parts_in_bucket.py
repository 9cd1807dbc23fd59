"""Parts that the browser sends straight to the bucket, by the S3 protocol's multipart upload.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.storage import storages

from catalog import parts
from catalog.upload_models import Upload

MINUTES = 15  # that the address of a part is good for
MISSING = {"NoSuchUpload", "NoSuchKey", "404"}


def begin(key: str) -> str:
    with _bucket():
        begun = client().create_multipart_upload(**_object(key), ContentType="application/octet-stream")
    return str(begun["UploadId"])


def listed(upload: Upload) -> dict[int, int]:
    return {number: size for number, (size, _etag) in _parts(upload).items()}


def _parts(upload: Upload) -> dict[int, tuple[int, str]]:
    """Sizes and ETags by number, from the bucket itself: what a browser says of them is not asked."""
    with _bucket():
        pages = client().get_paginator("list_parts").paginate(**_object(upload.key), UploadId=upload.multipart)
        return {one["PartNumber"]: (one["Size"], one["ETag"]) for page in pages for one in page.get("Parts", [])}


def address(upload: Upload, number: int) -> str:
    """The length is signed, too: the bucket takes no byte more than was declared."""
    return str(
        client().generate_presigned_url(
            "upload_part",
            Params={
                **_object(upload.key),
                "UploadId": upload.multipart,
                "PartNumber": number,
                "ContentLength": upload.size_of(number),
            },
            ExpiresIn=MINUTES * 60,
        )
    )


def receive(upload: Upload, number: int, source: BinaryIO) -> None:
    raise ValueError("parts go to the bucket")


def join(upload: Upload) -> None:
    try:
        found = _parts(upload)
        _check(upload, found)
        with _bucket():
            client().complete_multipart_upload(
                **_object(upload.key),
                UploadId=upload.multipart,
                MultipartUpload={
                    "Parts": [{"PartNumber": number, "ETag": found[number][1]} for number in sorted(found)]
                },
            )
    except parts.Gone:
        # Joined already, by somebody who died before he could say so.
        with _bucket():
            if client().head_object(**_object(upload.key))["ContentLength"] != upload.size:
                raise


def _check(upload: Upload, found: dict[int, tuple[int, str]]) -> None:
    if {number: size for number, (size, _etag) in found.items()} != upload.sizes:
        raise parts.Gone


def forget(upload: Upload) -> None:
    abort(upload.key, upload.multipart)


def abort(key: str, multipart: str) -> None:
    try:
        with _bucket():
            client().abort_multipart_upload(**_object(key), UploadId=multipart)
    except parts.Gone:
        pass  # joined, or forgotten before


def origin() -> str:
    url = urlsplit(str(client().meta.endpoint_url))
    return f"{url.scheme}://{url.netloc}"


def client() -> Any:
    storage: Any = storages["default"]
    return storage.connection.meta.client


def bucket_name() -> str:
    storage: Any = storages["default"]
    return str(storage.bucket_name)


def prefix() -> str:
    """What stands before each of our keys in the bucket."""
    storage: Any = storages["default"]
    return f"{storage.location.strip('/')}/".lstrip("/")


def _object(key: str) -> dict[str, str]:
    return {"Bucket": bucket_name(), "Key": f"{prefix()}{key}"}


@contextmanager
def _bucket() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in MISSING:
            raise parts.Gone(code) from error
        raise parts.Away(code or "the bucket refuses") from error
    except (BotoCoreError, OSError) as error:
        raise parts.Away(type(error).__name__) from error
