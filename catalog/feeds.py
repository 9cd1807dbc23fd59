"""Atom feeds of what is new, in the whole shop or in a category. https://www.rfc-editor.org/rfc/rfc4287"""

import re

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.feedgenerator import Atom1Feed
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from catalog.models import Category, Product

ENTRIES = 20
NOT_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # what no XML 1.0 may have in it


@require_safe
@cache_control(public=True, max_age=300)
def feed(request: HttpRequest, category: str = "") -> HttpResponse:
    """The newest products. Readers know an entry by its product's address, so it is new to them once."""
    about = get_object_or_404(Category, slug=category) if category else None
    products = Product.objects.on_sale().newest_first().prefetch_related("categories").defer("description", "contents")
    if about:
        products = products.filter(categories=about)
    name = f"{about.name} · {settings.SITE_NAME}" if about else settings.SITE_NAME
    atom = Atom1Feed(
        title=as_xml(name),
        link=settings.SITE_URL + reverse("catalog") + (f"?category={about.slug}" if about else ""),
        description=None,
        subtitle=as_xml(_("What is new at %(shop)s") % {"shop": name}),
        language=get_language(),
        feed_url=settings.SITE_URL + request.path,
    )
    for product in products[:ENTRIES]:
        address = settings.SITE_URL + product.get_absolute_url()
        published = product.published_at or timezone.now()
        atom.add_item(
            title=as_xml(product.name),
            link=address,
            description=as_xml(f"{product.summary} {_('Free') if product.is_free else product.price_display}".strip()),
            unique_id=address,
            pubdate=published,
            updateddate=max(published, product.updated_at),
            categories=[as_xml(each.name) for each in product.categories.all()],
        )
    return HttpResponse(atom.writeString("utf-8"), content_type=atom.content_type)


def as_xml(text: str) -> str:
    return NOT_XML.sub("", text)
