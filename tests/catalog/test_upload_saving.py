"""Uploads that arrived become files when the product form is saved: in order, once, and never anybody else's."""

import threading
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.storage import storages
from django.db import connections
from django.test import Client

from accounts.models import User
from catalog import upload_checks
from catalog.models import File, Product
from catalog.upload_models import Upload
from tests.catalog.samples import pdf, upload
from tests.catalog.sending import Sending, send, start
from tests.catalog.test_admin import NO_PRICES, PRODUCTS, TYPED, errors
from tests.factories import FileFactory, ProductFactory, UserFactory
from tests.steps import stamp_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def owner(client: Client) -> User:
    user: User = UserFactory(is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


def ready(client: Client, content: bytes, name: str) -> Sending:
    sending = send(client, content, name)
    assert upload_checks.inspect(sending.row.pk)
    return sending


def save(client: Client, product: Product | None = None, **typed: Any) -> Any:
    path = f"{PRODUCTS}{product.pk}/change/" if product else f"{PRODUCTS}add/"
    named = {"name": product.name, "slug": product.slug, **stamp_of(client, product)} if product else {}
    return client.post(path, {**TYPED, **NO_PRICES, **named, **typed})


def names(product: Product, edition: int = 1) -> list[str]:
    return list(product.editions.get(number=edition).files.values_list("name", flat=True))


def test_uploads_become_files_in_the_order_of_the_form(client: Client) -> None:
    first, second = ready(client, pdf(3), "b.pdf"), ready(client, b"Words.\n", "a.txt")
    keys = [first.row.key, second.row.key]
    assert save(client, uploads=[second.id, first.id]).status_code == 302
    product = Product.objects.get()
    assert (names(product), product.status) == (["a.txt", "b.pdf"], "published")
    files = list(File.objects.all())
    assert [file.key for file in files] == keys[::-1]  # no byte was copied
    assert [(file.position, file.pages, file.size) for file in files] == [(1, None, 7), (2, 3, len(pdf(3)))]
    assert storages["default"].exists(keys[0])
    assert not Upload.objects.exists()


def test_uploads_join_the_newest_edition_or_begin_one(client: Client) -> None:
    product = ProductFactory()
    save(client, product, uploads=[ready(client, b"More.\n", "more.txt").id])
    assert names(product) == [f"{product.name}.pdf", "more.txt"]
    new = ready(client, b"New.\n", "new.txt").id
    save(client, product, uploads=[new], as_new_edition="on", edition_notes="Better.")
    assert names(product, edition=2) == ["new.txt"]
    assert product.editions.get(number=2).notes == "Better."


def test_uploads_come_before_files_of_the_form_itself(client: Client) -> None:
    save(client, uploads=[ready(client, b"One.\n", "one.txt").id], new_files=upload(b"Two.\n", "two.txt"))
    assert names(Product.objects.get()) == ["one.txt", "two.txt"]


@pytest.mark.parametrize(
    "state, words",
    [
        ("started", "book.txt has not arrived yet. Wait for it, or remove it."),
        ("arrived", "book.txt is still being checked. Save again in a moment, or remove it."),
        ("refused", "book.txt: This is a Windows program."),
        ("gone", "A file is not there any more: it was saved with a product, or removed. Choose it again."),
        ("foreign", "A file is not there any more: it was saved with a product, or removed. Choose it again."),
    ],
)
def test_upload_that_is_not_ready_is_a_mistake_that_loses_nothing(client: Client, state: str, words: str) -> None:
    good = ready(client, b"Good.\n", "good.txt")
    content = b"MZ program" if state == "refused" else b"Words.\n"
    bad = start(client, content, "book.txt") if state == "started" else send(client, content, "book.txt")
    if state == "refused":
        upload_checks.inspect(bad.row.pk)
    if state == "gone":
        bad.row.delete()
    if state == "foreign":
        upload_checks.inspect(bad.row.pk)
        Upload.objects.filter(public_id=bad.id).update(owner=UserFactory())
    answer = save(client, uploads=[good.id, bad.id])
    [said] = errors(answer)["uploads"]
    assert said.startswith(words)
    page = answer.content.decode()
    assert page.index(f'value="{good.id}"') < page.index(f'value="{bad.id}"')
    assert (Product.objects.count(), File.objects.count()) == (0, 0)
    assert good.row.state == "checked"


@pytest.mark.parametrize("value", ["", "x", "\x00", "0" * 32, "' OR 1=1", "9" * 5000])
def test_s61_id_that_is_none_is_a_mistake_and_no_error(client: Client, value: str) -> None:
    answer = save(client, uploads=[value])
    assert answer.status_code == 200
    assert not Product.objects.exists()


def test_so_many_uploads_and_no_more(client: Client) -> None:
    found = errors(save(client, uploads=[f"{number:032x}" for number in range(201)]))
    assert found["uploads"] == ["Save at most 200 files at a time."]


def test_other_mistake_in_the_form_keeps_the_uploads(client: Client) -> None:
    sending = ready(client, b"Words.\n", "book.txt")
    answer = save(client, name="ab", uploads=[sending.id])
    assert list(errors(answer)) == ["name"]
    assert f'<input type="hidden" name="uploads" value="{sending.id}"' in answer.content.decode()
    assert save(client, uploads=[sending.id]).status_code == 302


def test_same_upload_named_twice_is_one_file(client: Client) -> None:
    sending = ready(client, b"Words.\n", "book.txt")
    save(client, uploads=[sending.id, sending.id])
    assert names(Product.objects.get()) == ["book.txt"]


@pytest.mark.django_db(transaction=True)
def test_i16_saving_twice_at_once_makes_one_file(client: Client, owner: User) -> None:
    sending, product = ready(client, b"Words.\n", "book.txt"), ProductFactory()
    answers: list[int] = []
    both = threading.Barrier(2)

    def press() -> None:
        browser = Client()
        browser.force_login(owner)
        both.wait()
        answers.append(save(browser, product, uploads=[sending.id]).status_code)
        connections.close_all()

    threads = [threading.Thread(target=press) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 302]
    assert names(product) == [f"{product.name}.pdf", "book.txt"]


def test_who_may_only_look_sees_no_field_for_uploads() -> None:
    product, client = ProductFactory(), Client()
    person = UserFactory(is_staff=True)
    person.user_permissions.add(Permission.objects.get(codename="view_product"))
    client.force_login(person)
    page = client.get(f"{PRODUCTS}{product.pk}/change/").content.decode()
    assert "new_files" not in page
    assert "file_order" not in page


# The order of files that are there


@pytest.fixture
def three(db: None) -> Product:
    product: Product = ProductFactory()
    edition = product.editions.get()
    edition.files.update(name="a")
    for position, name in ((2, "b"), (3, "c")):
        FileFactory(edition=edition, name=name, position=position)
    return product


def places(product: Product, *numbers: object) -> dict[str, object]:
    files = product.editions.get(number=1).files.order_by("name")
    return {f"file_order-{file.pk}": number for file, number in zip(files, numbers, strict=True)}


@pytest.mark.parametrize(
    "numbers, order",
    [((1, 2, 3), "abc"), ((3, 2, 1), "cba"), ((9, 1, 5), "bca"), ((2, 2, 2), "abc"), ((2, 1, 1), "bca")],
)
def test_files_are_put_in_the_order_of_their_numbers(
    client: Client, three: Product, numbers: tuple[int, ...], order: str
) -> None:
    assert save(client, three, **places(three, *numbers)).status_code == 302
    assert "".join(names(three)) == order
    if numbers != (1, 2, 3):
        assert list(three.editions.get().files.values_list("position", flat=True)) == [1, 2, 3]


@pytest.mark.parametrize("number", ["0", "-1", "x", "", "1.5", "99999", "٣" * 40])
def test_place_that_is_none_is_a_mistake_and_stays_in_its_field(client: Client, three: Product, number: str) -> None:
    answer = save(client, three, **places(three, 1, number, 3))
    assert errors(answer)["file_order"] == ["The place of a file is a number from 1."]
    assert f'value="{number}"' in answer.content.decode()
    assert "".join(names(three)) == "abc"


def test_place_of_somebody_elses_file_changes_nothing(client: Client, three: Product) -> None:
    other = ProductFactory().editions.get().files.get()
    assert save(client, three, **{f"file_order-{other.pk}": 7, "file_order-x": 1}).status_code == 302
    other.refresh_from_db()
    assert other.position == 1


def test_older_edition_keeps_its_order(client: Client, three: Product) -> None:
    save(client, three, uploads=[ready(client, b"New.\n", "new.txt").id], as_new_edition="on")
    page = client.get(f"{PRODUCTS}{three.pk}/change/").content.decode()
    assert page.count('name="file_order-') == 1
    save(client, three, **places(three, 3, 2, 1))
    assert "".join(names(three)) == "abc"


def test_new_order_makes_the_sample_anew(client: Client, three: Product) -> None:
    unchanged = {"sample_pages": three.sample_pages}
    for numbers, samples in (((1, 2, 3), 0), ((2, 1, 3), 1), ((2, 1, 3), 1)):
        assert save(client, three, **unchanged, **places(three, *numbers)).status_code == 302
        assert three.samples.count() == samples
