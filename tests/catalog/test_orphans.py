"""What nobody names any more is deleted; what somebody names, is young, or is not ours never is."""

import os
import time
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from django.test import Client

from accounts.models import User
from catalog import orphans, parts_in_folder, upload_checks
from catalog.models import File, Product
from catalog.stored_bytes import random_key
from catalog.upload_models import Upload
from tests.catalog.sending import Sending, send, start
from tests.factories import EditionFactory, FileFactory, ProductFactory, UserFactory

pytestmark = pytest.mark.django_db

WEEK = timedelta(days=7)


@pytest.fixture(autouse=True)
def owner(client: Client) -> User:
    user: User = UserFactory(is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


def put(key: str, *, days: float = 2, alias: str = "default") -> str:
    assert storages[alias].save(key, ContentFile(b"bytes")) == key
    age(Path(storages[alias].path(key)), days)
    return key


def age(path: Path, days: float = 2) -> None:
    at = time.time() - days * 86400
    os.utime(path, (at, at))


def there(key: str, alias: str = "default") -> bool:
    return storages[alias].exists(key)


def rest(sending: Sending, days: float) -> None:
    Upload.objects.filter(public_id=sending.id).update(touched_at=Now() - timedelta(days=days))


def counted(purged: orphans.Purged) -> tuple[int, int, int, int, int]:
    return purged.uploads, purged.parts, purged.files, purged.covers, purged.failed


def test_file_that_nothing_names_is_deleted_and_others_are_not(db: None) -> None:
    lost, young = put(random_key()), put(random_key(), days=0.9)
    named = FileFactory(edition=EditionFactory(product=ProductFactory(content=None, status="draft")), key=random_key())
    put(named.key)
    assert counted(orphans.purge(older_than=WEEK)) == (0, 0, 1, 0, 0)
    assert [there(key) for key in (lost, young, named.key)] == [False, True, True]
    assert counted(orphans.purge(older_than=WEEK)) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "key",
    [
        "check-abc",
        "ab/" + "ab" * 19,
        "ab/" + "cd" * 20,
        "ab/ab" + "0" * 39,
        "AB/AB" + "0" * 38,
        "ab/ab" + "0" * 38 + ".pdf",
        "x/ab/ab" + "0" * 38,
        "ab" + "0" * 38,
        "backup.tar",
    ],
)
def test_what_is_not_exactly_of_our_form_is_somebody_elses(key: str) -> None:
    put(key, days=1000)
    assert counted(orphans.purge(older_than=WEEK)) == (0, 0, 0, 0, 0)
    assert there(key)


def test_deleted_files_bytes_go(db: None) -> None:
    product = ProductFactory(content=None, status=Product.Status.DRAFT)
    file = FileFactory(edition=EditionFactory(product=product), key=put(random_key()))
    key = file.key
    file.delete()
    assert orphans.purge(older_than=WEEK).files == 1
    assert not there(key)


def test_upload_that_rests_is_given_up_and_one_that_moves_is_not(client: Client) -> None:
    left, moving = start(client, b"Words.\n", "left.txt"), start(client, b"Words.\n", "moving.txt")
    for sending in (left, moving):
        sending.put(1)
    rest(left, 8)
    rest(moving, 6)
    assert orphans.purge(older_than=WEEK).uploads == 1
    assert list(Upload.objects.values_list("name", flat=True)) == ["moving.txt"]
    assert [folder.name for folder in parts_in_folder.all_folders().iterdir()] == [moving.row.public_id.hex]


def test_upload_that_was_never_saved_is_given_up_with_its_bytes(client: Client) -> None:
    sending = send(client, b"Words.\n", "book.txt")
    upload_checks.inspect(sending.row.pk)
    key = sending.row.key
    rest(sending, 8)
    assert orphans.purge(older_than=WEEK).uploads == 1
    assert (Upload.objects.exists(), there(key)) == (False, False)


def test_upload_that_waits_for_a_storage_is_kept(client: Client) -> None:
    sending = send(client, b"Words.\n", "book.txt")
    rest(sending, 1000)
    assert orphans.purge(older_than=WEEK).uploads == 0


def test_bytes_of_an_upload_are_named_by_it(client: Client) -> None:
    sending = send(client, b"Words.\n", "book.txt")
    upload_checks.inspect(sending.row.pk)
    age(Path(storages["default"].path(sending.row.key)))
    assert orphans.purge(older_than=WEEK).files == 0
    assert there(sending.row.key)


def test_i16_upload_that_is_saved_meanwhile_keeps_its_bytes(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list says that nothing names it; by the time it is to be deleted a file does."""
    product = ProductFactory(content=None, status=Product.Status.DRAFT)
    key, named = put(random_key()), orphans._named

    def saved_right_after(kind: str, keys: list[str]) -> set[str]:
        found = named(kind, keys)
        if len(keys) == 1 and not File.objects.exists():
            FileFactory(edition=EditionFactory(product=product), key=key)
        return found

    monkeypatch.setattr(orphans, "_named", saved_right_after)
    assert orphans.purge(older_than=WEEK).files == 0
    assert there(key)


def test_parts_without_an_upload_are_deleted_once_they_are_old() -> None:
    root = parts_in_folder.all_folders()
    for name, days in (("a" * 32, 2), ("b" * 32, 0.5), ("notes", 2)):
        (root / name).mkdir(parents=True)
        (root / name / "1").write_bytes(b"part")
        age(root / name, days)
    assert counted(orphans.purge(older_than=WEEK)) == (0, 1, 0, 0, 0)
    assert sorted(folder.name for folder in root.iterdir()) == ["b" * 32, "notes"]


def test_covers_that_no_product_shows_are_deleted() -> None:
    shown, lost = "a" * 32, "b" * 32
    ProductFactory(cover=shown, cover_height=853)
    for key in (shown, lost):
        for width in (320, 640):
            put(f"{key}-{width}.webp", alias="covers")
    put("c" * 64 + "-page-1-480.webp", alias="covers")
    assert counted(orphans.purge(older_than=WEEK)) == (0, 0, 0, 2, 0)
    left = sorted(storages["covers"].listdir("")[1])
    assert left == [f"{shown}-320.webp", f"{shown}-640.webp", "c" * 64 + "-page-1-480.webp"]


def test_what_cannot_be_deleted_is_counted_and_keeps_nothing_else(db: None) -> None:
    stuck, lost = put(f"00/00{'0' * 38}"), put(random_key())
    path = Path(storages["default"].path(stuck))
    path.unlink()
    path.mkdir()
    (path / "in the way").write_text("")
    age(path)
    assert counted(orphans.purge(older_than=WEEK))[2:] == (1, 0, 0)
    assert not there(lost)


@pytest.mark.parametrize("dry_run", [True, False])
def test_command_prints_what_it_did_and_a_dry_run_does_nothing(client: Client, dry_run: bool) -> None:
    lost, sending = put(random_key()), start(client, b"Words.\n", "left.txt")
    rest(sending, 4)
    call_command("purge_files", days=3, dry_run=dry_run, stdout=(said := StringIO()))
    verb = "would delete" if dry_run else "deleted"
    assert said.getvalue().splitlines()[-1] == (
        f"{verb}: 1 uploads, parts of 0 more, 1 files and 0 covers that nothing names; 0 failed"
    )
    assert (there(lost), Upload.objects.exists()) == (dry_run, dry_run)


@pytest.mark.parametrize("days", [0, -1, 36501])
def test_command_wants_a_number_of_days(days: int) -> None:
    with pytest.raises(CommandError):
        call_command("purge_files", days=days)


@pytest.mark.django_db(transaction=True)
def test_beat_finds_uploads_whose_wake_up_was_lost(client: Client, drain: Callable[[], int]) -> None:
    from catalog.tasks import wake_uploads

    sending = send(client, b"Words.\n", "book.txt")
    drain()
    Upload.objects.filter(public_id=sending.id).update(state="arrived", due_at=Now() - timedelta(minutes=1))
    wake_uploads()
    assert drain() == 1
    assert sending.row.state == "checked"
