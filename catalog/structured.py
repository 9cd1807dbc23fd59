"""What search engines are told about a product: schema.org's Product with its Offer.

https://schema.org/Product and https://developers.google.com/search/docs/appearance/structured-data/product
"""

from typing import Any

from django.conf import settings
from django.urls import reverse

from catalog import money
from catalog.models import Product


def product(product: Product, *, can_be_had: bool) -> dict[str, Any]:
    """The price is a plain number with as many decimals as its currency is written with, whatever the language."""
    address = settings.SITE_URL + product.get_absolute_url()
    described: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "Product",
        "name": product.name,
        "description": product.summary or product.name,
        "sku": product.slug,
        "url": address,
        "offers": {
            "@type": "Offer",
            "url": address,
            "price": money.plain(product.price, product.currency),
            "priceCurrency": product.currency.upper(),
            "availability": f"https://schema.org/{'InStock' if can_be_had else 'OutOfStock'}",
            "seller": {"@type": "Organization", "name": settings.SITE_NAME},
        },
    }
    if product.cover:
        described["image"] = settings.SITE_URL + reverse("cover", args=[product.cover, 640])
    if categories := [each.name for each in product.categories.all()]:
        described["category"] = categories
    return described
