"""Files that come in parts before the form is saved: begun, resumed, complete, given up. Here into a folder."""

import io
import json
import os
import tracemalloc
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.storage import storages
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from catalog import parts, parts_in_folder, upload_checks
from catalog.arriving import RESUMED
from catalog.models import File
from catalog.upload_models import Upload
from tests.catalog.samples import pdf
from tests.catalog.sending import MODIFIED, UPLOADS, ask, send, start
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

BOOK = b"A text of twenty-six bytes"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SIZE", 10)


@pytest.fixture(autouse=True)
def owner(client: Client) -> User:
    user: User = UserFactory(is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


def folders() -> list[Path]:
    root = parts_in_folder.all_folders()
    return list(root.iterdir()) if root.exists() else []


def content_of(upload: Upload) -> bytes:
    with storages["default"].open(upload.key) as file:
        content: bytes = file.read()
    return content


def problem(answer: Any, status: int) -> str:
    assert answer.status_code == status
    return str(answer.json()["problem"])


# From the first part to the last


def test_file_arrives_in_parts_and_is_checked(client: Client) -> None:
    sending = send(client, BOOK, "book.txt")
    assert upload_checks.inspect(sending.row.pk)
    upload = sending.row
    assert (upload.state, upload.safe_name, upload.media_type) == ("checked", "book.txt", "text/plain")
    assert (upload.size, upload.stored_size, upload.due_at, upload.claim) == (26, 26, None, None)
    assert content_of(upload) == BOOK
    assert folders() == []
    told = client.get(sending.path).json()
    assert told == {
        "id": sending.id, "name": "book.txt", "size": 26, "state": "checked", "problem": "", "part_size": 10
    }  # fmt: skip


def test_parts_come_in_any_order_and_twice(client: Client) -> None:
    sending = start(client, BOOK, "book.txt")
    for number in (3, 1, 2, 1):
        assert sending.put(number).status_code == 204
    sending.complete()
    upload_checks.inspect(sending.row.pk)
    assert content_of(sending.row) == BOOK


def test_addresses_of_parts_lead_to_the_shop(client: Client) -> None:
    sending = start(client, BOOK, "book.txt")
    answer = ask(client, f"{sending.path}parts/", numbers=[1, 3])
    assert answer.json() == {"addresses": {"1": f"{sending.path}parts/1/", "3": f"{sending.path}parts/3/"}}


@pytest.mark.parametrize("numbers", [[0], [4], [-1], ["1"], [True], [1.0], [None], list(range(1, 22))])
def test_address_of_a_part_that_is_none_is_refused(client: Client, numbers: list[Any]) -> None:
    sending = start(client, BOOK, "book.txt")
    assert problem(ask(client, f"{sending.path}parts/", numbers=numbers), 400) == "There are no such parts."


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 9, b"x" * 11, b"x" * 10_000])
def test_s52_part_of_another_length_is_refused(client: Client, content: bytes) -> None:
    sending = start(client, BOOK, "book.txt")
    assert "another length" in problem(sending.put(1, content), 400)
    assert folders() == []


def test_part_that_is_cut_off_leaves_nothing_behind(client: Client) -> None:
    """It claims ten bytes and breaks off after four; the one that came before stays whole."""
    sending = start(client, BOOK, "book.txt")
    sending.put(1)
    broken: Any = {"wsgi.input": io.BytesIO(b"cut!"), "CONTENT_LENGTH": "10"}
    answer = client.generic("PUT", f"{sending.path}parts/1/", content_type="application/octet-stream", **broken)
    assert problem(answer, 400) == "This part was cut off on its way."
    [folder] = folders()
    assert [(one.name, one.read_bytes()) for one in folder.iterdir()] == [("1", BOOK[:10])]


@pytest.mark.parametrize("number", [0, 4, 99_999, 10**30])
def test_part_that_is_none_is_not_kept(client: Client, number: int) -> None:
    sending = start(client, BOOK, "book.txt")
    assert sending.put(number, b"x" * 10).status_code == 400
    assert folders() == []


def test_completing_without_all_parts_names_those_that_are_missing(client: Client) -> None:
    sending = start(client, BOOK, "book.txt")
    sending.put(2)
    answer = sending.complete()
    assert (answer.status_code, answer.json()) == (409, {"missing": [1, 3]})
    assert sending.row.state == "started"


def test_part_that_lost_bytes_on_the_disk_is_missing(client: Client) -> None:
    sending = start(client, BOOK, "book.txt")
    sending.put_all()
    (parts_in_folder.folder_of(sending.row) / "2").write_bytes(b"short")
    assert sending.complete().json() == {"missing": [2]}


@pytest.mark.django_db(transaction=True)
def test_completing_twice_is_one_wake_up_and_one_file(client: Client, drain: Callable[[], int]) -> None:
    sending = send(client, BOOK, "book.txt")
    assert sending.complete().json()["state"] == "arrived"
    assert drain() == 1
    assert sending.complete().json()["state"] == "checked"
    assert drain() == 0


def test_part_after_completion_is_not_taken(client: Client) -> None:
    """Nobody changes what is being looked into."""
    sending = send(client, BOOK, "book.txt")
    assert problem(sending.put(1, b"y" * 10), 400) == "This file has arrived already."
    assert "arrived already" in problem(ask(client, f"{sending.path}parts/", numbers=[1]), 400)


# The same file again


def test_same_file_goes_on_where_it_stopped(client: Client) -> None:
    sending = start(client, BOOK, "book.txt")
    sending.put(2)
    again = start(client, BOOK, "book.txt")
    assert (again.id, again.arrived) == (sending.id, [2])
    assert Upload.objects.count() == 1


@pytest.mark.parametrize("other", [{"name": "other.txt"}, {"size": 27}, {"modified": MODIFIED + 1}])
def test_another_file_is_another_upload(client: Client, other: dict[str, Any]) -> None:
    sending = start(client, BOOK, "book.txt")
    told = ask(client, UPLOADS, **{"name": "book.txt", "size": 26, "modified": MODIFIED, **other}).json()
    assert told["id"] != sending.id


def test_file_that_was_checked_need_not_be_sent_again(client: Client) -> None:
    sending = send(client, BOOK, "book.txt")
    upload_checks.inspect(sending.row.pk)
    told = ask(client, UPLOADS, name="book.txt", size=26, modified=MODIFIED).json()
    assert (told["id"], told["state"]) == (sending.id, "checked")
    assert "arrived" not in told


def test_refused_file_may_be_tried_again(client: Client) -> None:
    sending = send(client, b"MZ a program", "book.pdf")
    upload_checks.inspect(sending.row.pk)
    assert start(client, b"MZ a program", "book.pdf").id != sending.id


def test_upload_older_than_a_week_begins_anew(client: Client) -> None:
    sending = start(client, BOOK, "book.txt")
    sending.put(1)
    Upload.objects.update(created_at=Now() - RESUMED)
    again = start(client, BOOK, "book.txt")
    assert again.id != sending.id
    assert (again.arrived, folders(), Upload.objects.count()) == ([], [], 1)


def test_one_person_has_one_upload_of_a_file(client: Client, owner: User) -> None:
    upload = start(client, BOOK, "book.txt").row
    upload.pk, upload.key = None, "other"
    upload.public_id = uuid.uuid4()
    with pytest.raises(IntegrityError, match="upload_once_at_a_time"), transaction.atomic():
        upload.save(force_insert=True)


# Names and sizes


@pytest.mark.parametrize(
    "size, words",
    [
        (0, "book.pdf is empty."),
        (-5, "book.pdf is empty."),
        (5 * 1024**3 + 1, "book.pdf is too large: a file may have up to 5.0\xa0GB."),
        (10**30, "book.pdf is too large: a file may have up to 5.0\xa0GB."),
    ],
)
def test_size_that_cannot_be_is_refused_before_a_byte_is_sent(client: Client, size: int, words: str) -> None:
    answer = ask(client, UPLOADS, name="book.pdf", size=size, modified=MODIFIED)
    assert problem(answer, 400).startswith(words)
    assert not Upload.objects.exists()


def test_s52_limit_is_the_shops_own(client: Client, settings: Settings) -> None:
    settings.MAX_UPLOAD_BYTES = 100
    assert ask(client, UPLOADS, name="a.txt", size=100, modified=MODIFIED).status_code == 200
    assert "up to 100" in problem(ask(client, UPLOADS, name="b.txt", size=101, modified=MODIFIED), 400)


@pytest.mark.parametrize("size, part_size, count", [(5 * 1024**3, 8 << 20, 640), (10**12, 10**8, 10_000)])
def test_parts_grow_so_that_they_stay_few(
    monkeypatch: pytest.MonkeyPatch, size: int, part_size: int, count: int
) -> None:
    monkeypatch.undo()
    found = parts.size_for(size)
    assert (found, Upload(size=size, part_size=found).parts) == (part_size, count)


@pytest.mark.parametrize(
    "name, shown",
    [
        ("../../etc/x.txt", "x.txt"),
        ("C:\\books\\x.txt", "x.txt"),
        ("x\x00y.txt", "xy.txt"),
        ("x\u202etxt.txt", "xtxt.txt"),
        ("x.php.txt", "x-php.txt"),
        ("", "file.txt"),
        ("é" * 400, "é" * 116 + ".txt"),
    ],
)
def test_s46_name_is_made_safe(client: Client, name: str, shown: str) -> None:
    sending = send(client, BOOK, name)
    upload_checks.inspect(sending.row.pk)
    assert (sending.row.state, sending.row.safe_name) == ("checked", shown)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"{", b"\xff", b'{"name": "a"}', b'{"name": 1, "size": 1, "modified": 1}',
        b'{"name": "a", "size": "1", "modified": 1}', b'{"name": "a", "size": true, "modified": 1}',
        b'{"name": "a", "size": 1, "modified": 1, "key": "x"}', b"[" * 4000,
        json.dumps({"name": "a" * 5000, "size": 1, "modified": 1}).encode(),
    ],
)  # fmt: skip
def test_s61_question_that_is_none_is_a_mistake_and_no_error(client: Client, body: bytes) -> None:
    answer = client.post(UPLOADS, body, content_type="application/json")
    assert "not understood" in problem(answer, 400)


# Who may


def test_s19_upload_of_somebody_else_is_not_there(client: Client) -> None:
    sending = start(client, BOOK, "book.txt")
    stranger = Client()
    stranger.force_login(UserFactory(is_staff=True, is_superuser=True))
    assert stranger.get(sending.path).status_code == 404
    for path in ("parts/", "complete/", "abandon/"):
        assert ask(stranger, f"{sending.path}{path}", numbers=[1]).status_code == 404
    sending.client = stranger
    assert sending.put(1).status_code == 404
    assert start(stranger, BOOK, "book.txt").id != sending.id


@pytest.mark.parametrize(
    "permission, status", [(None, 403), ("view_product", 403), ("add_product", 200), ("change_product", 200)]
)
def test_s60_upload_needs_the_permission_for_products(permission: str | None, status: int) -> None:
    person, client = UserFactory(is_staff=True), Client()
    if permission:
        person.user_permissions.add(Permission.objects.get(codename=permission))
    client.force_login(person)
    assert ask(client, UPLOADS, name="a.txt", size=1, modified=1).status_code == status


def test_s59_nothing_is_taken_without_the_token(owner: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    assert ask(client, UPLOADS, name="a.txt", size=1, modified=1).status_code == 403
    assert client.put(f"{UPLOADS}{Upload().public_id}/parts/1/", b"x").status_code == 403
    assert not Upload.objects.exists()


def test_one_person_begins_so_many_and_no_more(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.arriving.MOST", 2)
    for number in range(2):
        start(client, BOOK, f"{number}.txt")
    answer = ask(client, UPLOADS, name="2.txt", size=26, modified=MODIFIED)
    assert "Too many files" in problem(answer, 400)
    assert ask(client, UPLOADS, name="1.txt", size=26, modified=MODIFIED).status_code == 200


# Given up


@pytest.mark.parametrize("how_far", ["begun", "some parts", "arrived", "checked", "refused"])
def test_given_up_upload_leaves_nothing(client: Client, how_far: str) -> None:
    content = b"MZ is no text, but a program" if how_far == "refused" else BOOK
    sending = start(client, content, "book.txt")
    if how_far != "begun":
        sending.put(1)
    if how_far in ("arrived", "checked", "refused"):
        sending.put_all()
        sending.complete()
    if how_far in ("checked", "refused"):
        assert upload_checks.inspect(sending.row.pk)
        assert sending.row.state == how_far
    assert ask(client, f"{sending.path}abandon/").status_code == 204
    assert not Upload.objects.exists()
    root = Path(storages["default"].path(""))
    assert [name for _, _, names in os.walk(root) for name in names] == []
    assert ask(client, f"{sending.path}abandon/").status_code == 404


# What the worker makes of it


def test_refused_file_says_why_and_leaves_no_bytes(client: Client) -> None:
    sending = send(client, b"MZ a program", "book.pdf")
    assert upload_checks.inspect(sending.row.pk)
    upload = sending.row
    assert (upload.state, upload.problem[:26]) == ("refused", "This is a Windows program.")
    assert not storages["default"].exists(upload.key)
    assert client.get(sending.path).json()["problem"] == upload.problem


def test_refusal_is_in_the_language_of_the_page(client: Client) -> None:
    client.cookies["language"] = "de"
    sending = send(client, b"MZ a program", "book.pdf")
    assert sending.row.language == "de"
    upload_checks.inspect(sending.row.pk)
    assert sending.row.problem.startswith("Das ist ein Windows-Programm")


def test_s49_unlocked_copy_is_stored_under_a_key_of_its_own(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SIZE", 500)
    content = pdf(owner_password="secret")
    sending = send(client, content)
    before = sending.row.key
    upload_checks.inspect(sending.row.pk)
    upload = sending.row
    assert (upload.state, upload.pages) == ("checked", 2)
    assert upload.key != before
    assert not storages["default"].exists(before)
    assert len(content_of(upload)) == upload.stored_size
    assert b"/Encrypt" not in content_of(upload)


def test_worker_that_is_told_twice_walks_away(client: Client) -> None:
    sending = send(client, BOOK, "book.txt")
    Upload.objects.update(due_at=Now() + upload_checks.LEASE, claim=sending.id)  # somebody holds it
    assert not upload_checks.inspect(sending.row.pk)
    assert sending.row.state == "arrived"
    assert upload_checks.due() == []
    Upload.objects.update(due_at=Now())  # and died
    assert upload_checks.due() == [sending.row.pk]
    assert upload_checks.inspect(sending.row.pk)
    assert not upload_checks.inspect(sending.row.pk)


def test_i16_death_between_joining_and_the_row_is_made_good(client: Client) -> None:
    sending = send(client, BOOK, "book.txt")
    parts.join(sending.row)
    assert folders() == []
    assert upload_checks.inspect(sending.row.pk)
    assert content_of(sending.row) == BOOK


def test_f66_full_disk_is_tried_again_and_says_so(client: Client) -> None:
    sending = send(client, BOOK, "book.txt")
    target = Path(storages["default"].path(sending.row.key)).parent
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("in the way, as an error of the disk would be")
    assert not upload_checks.inspect(sending.row.pk)
    told = client.get(sending.path).json()
    assert (told["state"], told["problem"]) == (
        "arrived",
        "The storage does not answer just now. It is tried again by itself.",
    )
    assert upload_checks.due() == []  # later
    target.unlink()
    Upload.objects.update(due_at=Now())
    assert upload_checks.inspect(sending.row.pk)
    assert (sending.row.state, sending.row.problem, sending.row.attempts) == ("checked", "", 2)


def test_storage_that_is_away_when_a_part_comes_is_a_503(client: Client) -> None:
    sending = start(client, BOOK, "book.txt")
    parts_in_folder.all_folders().parent.mkdir(parents=True, exist_ok=True)
    parts_in_folder.all_folders().write_text("no folder")
    assert "does not answer" in problem(sending.put(1), 503)
    assert sending.row.state == "started"


def test_bytes_that_vanished_are_refused_with_what_to_do(client: Client) -> None:
    sending = send(client, BOOK, "book.txt")
    (parts_in_folder.folder_of(sending.row) / "1").unlink()
    assert upload_checks.inspect(sending.row.pk)
    assert (sending.row.state, sending.row.problem) == (
        "refused",
        "Its bytes are gone from the storage. Upload it again.",
    )


@pytest.mark.django_db(transaction=True)
def test_lease_is_renewed_while_the_work_goes_on(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_checks, "RENEW_SECONDS", 0.01)
    upload = send(client, BOOK, "book.txt").row
    claim = upload.public_id
    Upload.objects.update(claim=claim, due_at=Now())
    with upload_checks._renewed(upload, claim):
        for _ in range(500):
            if not upload_checks.due():
                break
    assert upload_checks.due() == []
    assert not File.objects.exists()


def test_s52_file_of_200_mb_is_never_held_in_memory(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent, put together and looked into; what is measured includes the part that the test itself holds."""
    monkeypatch.setattr(parts, "SIZE", 8 << 20)
    size, part = 200 << 20, b"la la la" * (1 << 20)
    told = ask(client, UPLOADS, name="big.txt", size=size, modified=MODIFIED).json()
    path = f"{UPLOADS}{told['id']}/"
    tracemalloc.start()
    try:
        for number in range(1, 26):
            address = f"{path}parts/{number}/"
            assert client.put(address, part, content_type="application/octet-stream").status_code == 204
        assert ask(client, f"{path}complete/").json()["state"] == "arrived"
        sending = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        upload = Upload.objects.get()
        assert upload_checks.inspect(upload.pk)
        looking = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    upload.refresh_from_db()
    assert (upload.state, upload.stored_size) == ("checked", size)
    assert max(sending, looking) < 100 << 20
