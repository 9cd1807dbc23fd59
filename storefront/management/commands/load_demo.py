import os
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.db.models import Count, F, Manager, QuerySet
from django.utils.text import slugify

from accounts.models import User
from catalog import covers, uploads
from catalog.cover_images import Cover, render_image_cover
from catalog.demo_books import DemoBook, DemoEdition, books
from catalog.models import Category, Edition, Product, Tag

ADMIN_EMAIL, ADMIN_PASSWORD = "admin@example.com", "admin"
HALF_A_YEAR = timedelta(days=182)

Group = TypeVar("Group", Category, Tag)


@dataclass(frozen=True)
class Made:
    """A book's cover, and the files of its editions, checked as an upload in the admin would be."""

    book: DemoBook
    cover: Cover
    editions: list[tuple[DemoEdition, list[uploads.Checked]]]


class Command(BaseCommand):
    help = "Fill the shop with demo books and a demo admin. What is there already is left as it is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reset", action="store_true", help="empty the whole database first")

    def handle(self, *args: Any, reset: bool, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("load_demo is for development: DEBUG is off, so nothing was touched.")
        if reset:
            call_command("flush", interactive=False, verbosity=0)
        if not User.objects.filter(email=ADMIN_EMAIL).exists():
            User.objects.create_superuser(ADMIN_EMAIL, ADMIN_PASSWORD)
        known = {product.slug: product for product in demo_books()}
        missing = [book for book in reversed(books()) if book.slug not in known]  # the newest stands first in the shop
        grown = [book for book in books() if book.slug in known and has_grown(book, known[book.slug])]
        # Covers are drawn and files inspected in child processes, one for each processor at a time.
        with TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
            for made in pool.map(partial(make, folder=Path(folder)), missing):
                put_on_sale(made)
            for made in pool.map(partial(make, folder=Path(folder)), grown):
                bring_up_to_date(made)
        self.stdout.write(f"{len(missing)} demo books added, {Product.objects.count()} products in the shop")


def demo_books() -> QuerySet[Product]:
    """Those that are there, with the `number` of their editions."""
    return Product.objects.filter(slug__in=[book.slug for book in books()]).annotate(number=Count("editions"))


def make(book: DemoBook, folder: Path) -> Made:
    editions = []
    for edition in book.editions:
        checked = []
        for number, file in enumerate(book.files(edition)):
            path = folder / f"{book.slug}-{edition.number}-{number}"
            file.write(path)
            checked.append(uploads.check(path, file.name))
        editions.append((edition, checked))
    return Made(book, render_image_cover(book.cover_svg.encode()), editions)


@transaction.atomic
def put_on_sale(made: Made) -> None:
    """Each edition before the newest came out half a year before the next."""
    book = made.book
    product = Product.objects.create(
        name=book.name,
        slug=book.slug,
        summary=book.summary,
        description=book.description,
        price=book.price,
        currency=book.currency,
        status=Product.Status.PUBLISHED,
        cover=covers.store(made.cover),
        cover_height=made.cover.large_height,
    )
    product.categories.set(named(Category.objects, name) for name in book.categories)
    product.tags.set(named(Tag.objects, name) for name in book.tags)
    for edition, checked in made.editions:
        added = uploads.add_files(product, checked, as_new_edition=True, notes=edition.notes)
        if later := len(made.editions) - edition.number:
            Edition.objects.filter(pk=added.pk).update(published_at=F("published_at") - later * HALF_A_YEAR)


def has_grown(book: DemoBook, product: Any) -> bool:
    """Whether an older release made it with fewer editions. Another book under its address is somebody's own."""
    return bool(product.name == book.name and 0 < product.number < len(book.editions))


@transaction.atomic
def bring_up_to_date(made: Made) -> None:
    product = Product.objects.get(slug=made.book.slug)
    known = product.editions.count()
    for edition, checked in made.editions[known:]:
        uploads.add_files(product, checked, as_new_edition=True, notes=edition.notes)


def named(groups: Manager[Group], name: str) -> Group:
    return groups.get_or_create(slug=slugify(name), defaults={"name": name})[0]
