from argparse import ArgumentParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils.text import slugify

from accounts.models import User
from catalog import covers, uploads
from catalog.cover_images import render_image_cover
from catalog.demo_books import DemoBook, books
from catalog.models import Category, Product

ADMIN_EMAIL, ADMIN_PASSWORD = "admin@example.com", "admin"


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
        made = sum(self._load(book) for book in reversed(books()))  # the newest stands first in the shop
        self.stdout.write(f"{made} demo books added, {Product.objects.count()} products in the shop")

    @transaction.atomic
    def _load(self, book: DemoBook) -> bool:
        """One book, through the same checks as an upload in the admin."""
        if Product.objects.filter(slug=book.slug).exists():
            return False
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"{book.slug}.pdf"
            book.write_pdf(path)
            cover = render_image_cover(book.cover_svg.encode())
            product = Product.objects.create(
                name=book.name,
                slug=book.slug,
                summary=book.summary,
                description=book.description,
                price=book.price,
                currency=book.currency,
                status=Product.Status.PUBLISHED,
                cover=covers.store(cover),
                cover_height=cover.large_height,
            )
            product.categories.set(category(name) for name in book.categories)
            uploads.add_files(product, [uploads.check(path, f"{book.name}.pdf")])
        return True


def category(name: str) -> Category:
    return Category.objects.get_or_create(slug=slugify(name), defaults={"name": name})[0]
