"""What static/upload.js does, step by step, for tests that want to do each step wrong."""

import json
from dataclasses import dataclass
from typing import Any

from django.test import Client

from catalog.upload_models import Upload

UPLOADS = "/admin/catalog/product/uploads/"
MODIFIED = 1_700_000_000_000  # as browsers tell it, in milliseconds


def ask(client: Client, path: str, **question: Any) -> Any:
    return client.post(path, json.dumps(question), content_type="application/json")


@dataclass
class Sending:
    """One file that goes to the shop's own folder."""

    client: Client
    content: bytes
    id: str
    part_size: int
    arrived: list[int]

    @property
    def path(self) -> str:
        return f"{UPLOADS}{self.id}/"

    @property
    def row(self) -> Upload:
        return Upload.objects.get(public_id=self.id)

    def content_of(self, number: int) -> bytes:
        return self.content[(number - 1) * self.part_size : number * self.part_size]

    def put(self, number: int, content: bytes | None = None, **extra: Any) -> Any:
        body = self.content_of(number) if content is None else content
        return self.client.put(
            f"{self.path}parts/{number}/", body, content_type="application/octet-stream", headers=extra
        )

    def put_all(self) -> None:
        for number in range(1, self.row.parts + 1):
            assert self.put(number).status_code == 204

    def complete(self) -> Any:
        return ask(self.client, f"{self.path}complete/")


def start(client: Client, content: bytes, name: str = "book.pdf", *, modified: int = MODIFIED) -> Sending:
    answer = ask(client, UPLOADS, name=name, size=len(content), modified=modified)
    assert answer.status_code == 200, answer.content
    told = answer.json()
    return Sending(client, content, told["id"], told["part_size"], told.get("arrived", []))


def send(client: Client, content: bytes, name: str = "book.pdf") -> Sending:
    """All of it, as far as the worker takes over."""
    sending = start(client, content, name)
    sending.put_all()
    assert sending.complete().json()["state"] == "arrived"
    return sending
