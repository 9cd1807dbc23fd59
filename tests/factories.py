"""Rows for tests."""

from typing import Any

import factory
from allauth.account.models import EmailAddress
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from catalog.models import Category, Edition, File, Product, Tag
from orders.models import Order, OrderLine

PDF = b"%PDF-1.4 the bytes of a book for tests"
PDF_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class UserFactory(factory.django.DjangoModelFactory[User]):
    class Meta:
        model = User
        skip_postgeneration_save = True

    email = factory.Sequence(lambda n: f"reader{n}@example.com")

    @classmethod
    def _create(cls, _model: type[User], *_args: Any, proven: bool = True, **kwargs: Any) -> User:
        user = User.objects.create_user(**kwargs)
        EmailAddress.objects.create(user=user, email=user.email, verified=proven, primary=True)
        return user


class CategoryFactory(factory.django.DjangoModelFactory[Category]):
    class Meta:
        model = Category

    name = factory.Sequence(lambda n: f"Category {n}")
    slug = factory.Sequence(lambda n: f"category-{n}")


class TagFactory(factory.django.DjangoModelFactory[Tag]):
    class Meta:
        model = Tag

    name = factory.Sequence(lambda n: f"Tag {n}")
    slug = factory.Sequence(lambda n: f"tag-{n}")


class ProductFactory(factory.django.DjangoModelFactory[Product]):
    """A product on sale with one file, its bytes in the storage. `content=None` makes one without files."""

    class Meta:
        model = Product

    name = factory.Sequence(lambda n: f"Book {n}")
    slug = factory.Sequence(lambda n: f"book-{n}")
    summary = "A book."
    price = 1250
    currency = "usd"
    status = Product.Status.PUBLISHED

    @classmethod
    def _create(cls, _model: type[Product], *_args: Any, content: bytes | None = PDF, **kwargs: Any) -> Product:
        with transaction.atomic():
            product = Product.objects.create(**kwargs)
            if content is not None:
                FileFactory(edition=EditionFactory(product=product), content=content)
        return product


class EditionFactory(factory.django.DjangoModelFactory[Edition]):
    class Meta:
        model = Edition

    number = 1


class FileFactory(factory.django.DjangoModelFactory[File]):
    class Meta:
        model = File

    name = factory.LazyAttribute(lambda file: f"{file.edition.product.name}.pdf")
    media_type = "application/pdf"
    sha256 = PDF_SHA256

    @classmethod
    def _create(cls, _model: type[File], *_args: Any, content: bytes = PDF, **kwargs: Any) -> File:
        kwargs.setdefault("key", storages["default"].save("file", ContentFile(content)))
        kwargs.setdefault("size", len(content))
        return File.objects.create(**kwargs)


class OrderFactory(factory.django.DjangoModelFactory[Order]):
    """An open order of one line. `product` may be given."""

    class Meta:
        model = Order

    source = Order.Source.CHECKOUT
    currency = "usd"
    livemode = False

    @classmethod
    def _create(cls, _model: type[Order], *_args: Any, product: Product | None = None, **kwargs: Any) -> Order:
        product = product or ProductFactory()
        kwargs.setdefault("total", product.price)
        if kwargs.get("state") == Order.State.PAID:
            kwargs.setdefault("paid_at", timezone.now())
        order = Order.objects.create(**kwargs)
        OrderLine.objects.create(
            order=order,
            product=product,
            edition=product.editions.get(number=1),
            name=product.name,
            unit_price=product.price,
        )
        return order
