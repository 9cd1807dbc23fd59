"""Addresses that products had before."""

from django.db import models
from django.db.models.functions import Lower
from django.db.models.lookups import Exact


class FormerSlug(models.Model):
    """A slug that a product had when shoppers could find it, in small letters. Whatever product has it now comes
    first."""

    slug = models.SlugField(max_length=140, unique=True)
    product = models.ForeignKey("catalog.Product", models.CASCADE, related_name="former_slugs")

    class Meta:
        default_permissions = ()
        constraints = (
            models.CheckConstraint(condition=Exact(Lower("slug"), models.F("slug")), name="former_slug_small"),
        )

    def __str__(self) -> str:
        return self.slug
