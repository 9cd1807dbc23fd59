"""The admin's product and edition, with what `catalog` may not know: how many own them, and telling them of news."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import formats, timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from catalog.admin import ProductAdmin
from catalog.edition_admin import EditionAdmin
from catalog.forms import EditionForm, ProductForm
from catalog.models import Edition, Product
from fulfillment import news
from fulfillment.admin_pages import actor
from fulfillment.models import Entitlement, EntitlementQuerySet
from fulfillment.news_models import Announcement

COUNTED = 10_000  # owners; beyond that the exact number costs more than it tells

LABEL = _("Tell the owners of earlier editions by mail")
NO_NOTES = _("Write what changed: it is what the mail tells.")


class ProductDeskForm(ProductForm):
    tell_owners = forms.BooleanField(
        required=False,
        initial=True,
        label=LABEL,
        help_text=_("Of a new edition with a note on what changed. The mail waits a while: you can take it back."),
    )


class EditionDeskForm(EditionForm):
    tell_owners = forms.BooleanField(required=False, label=LABEL)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("tell_owners") and not (cleaned.get("notes") or "").strip():
            self.add_error("notes", ValidationError(NO_NOTES, code="required"))
        if cleaned.get("tell_owners") and not cleaned.get("published_at"):
            self.add_error("published_at", ValidationError(_("Publish the edition first."), code="required"))
        return cleaned


admin.site.unregister(Product)
admin.site.unregister(Edition)


@admin.register(Product)
class ProductDesk(ProductAdmin):
    form = ProductDeskForm

    def get_readonly_fields(self, request: HttpRequest, obj: Product | None = None) -> Any:
        return (*super().get_readonly_fields(request, obj), "owners")

    def get_fieldsets(self, request: HttpRequest, obj: Product | None = None) -> Any:
        """With the tick and the number of those who would hear of it, once there is somebody to tell."""
        found = super().get_fieldsets(request, obj)
        if obj is None or not self.has_change_permission(request, obj):
            return found
        return tuple(
            (name, {**options, "fields": (*options["fields"], "tell_owners", "owners")})
            if "edition_notes" in options["fields"]
            else (name, options)
            for name, options in found
        )

    def save_model(self, request: HttpRequest, obj: Product, form: ModelForm, change: bool) -> None:
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            asked = form.cleaned_data.get("tell_owners") and form.cleaned_data.get("as_new_edition")
            new = form.cleaned_data.get("new_files") or form.cleaned_data.get("uploads")
            edition = obj.editions.first() if change and asked and new else None
            if edition:
                self._tell(request, edition)

    def _tell(self, request: HttpRequest, edition: Edition) -> None:
        """Asked for also where nobody owns it: an order that is on its way may be the first."""
        anybody = news.owners(edition).exists()
        if edition.notes.strip():
            news.tell(edition, by=actor(request))
            if anybody:
                self.message_user(request, gettext("The owners of earlier editions are told by mail."))
        elif anybody:
            said = gettext("The owners were not told: there is no note on what changed. The edition’s page can do it.")
            self.message_user(request, said, messages.WARNING)

    @admin.display(description=_("owners"))
    def owners(self, product: Product) -> str:
        rights = Entitlement.objects.filter(product=product, state=Entitlement.State.ACTIVE)
        return _counted(rights) or gettext("Nobody owns it yet.")


@admin.register(Edition)
class EditionDesk(EditionAdmin):
    form = EditionDeskForm

    def get_readonly_fields(self, request: HttpRequest, obj: Edition | None = None) -> Any:
        return (*super().get_readonly_fields(request, obj), "told")

    def get_fields(self, request: HttpRequest, obj: Edition | None = None) -> Any:
        can_tell = obj and obj.number > 1 and not _announcement(obj) and self.has_change_permission(request, obj)
        return (*self.fields, *(["tell_owners"] if can_tell else []), "told")

    def save_model(self, request: HttpRequest, obj: Edition, form: ModelForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if form.cleaned_data.get("tell_owners") and news.tell(obj, by=actor(request)):
            self.log_change(request, obj, gettext("The owners of earlier editions are told by mail."))

    @admin.display(description=_("owners"))
    def told(self, edition: Edition) -> str:
        if found := _announcement(edition):
            number = edition.news.count()
            return gettext("%(number)s were written down to be told; asked for on %(day)s.") % {
                "number": number,
                "day": formats.date_format(timezone.localtime(found.asked_at), "DATETIME_FORMAT"),
            }
        return _counted(news.owners(edition)) or gettext("Nobody owns an earlier edition.")


def _announcement(edition: Edition) -> Announcement | None:
    return Announcement.objects.filter(edition=edition).first()


def _counted(rights: EntitlementQuerySet) -> str:
    """ "" for none."""
    number = rights[: COUNTED + 1].count()
    if number > COUNTED:
        most = formats.number_format(COUNTED, force_grouping=True)
        return gettext("more than %(number)s purchases") % {"number": most}
    return ngettext("%(number)s purchase", "%(number)s purchases", number) % {"number": number} if number else ""
