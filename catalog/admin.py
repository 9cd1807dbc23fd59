from typing import Any

from csp.decorators import csp_update
from django.contrib import admin
from django.db import transaction
from django.db.models import Count, Prefetch, Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, reverse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog import (
    bulk_page,
    covers,
    deleting,
    edition_admin,  # noqa: F401 - it registers them
    file_order,
    former_slugs,
    parts,
    product_history,
    product_pages,
    publishing,
    samples,
    stale,
    upload_pages,
    uploads,
)
from catalog.forms import ProductForm
from catalog.models import Category, Edition, Product, Tag
from catalog.sample_preview import sample_preview
from catalog.stripe_price_models import StripePrice
from catalog.ticks import Ticks


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin):
    list_display = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}


@admin.register(Tag)
class TagAdmin(admin.ModelAdmin):
    list_display = ("name", "slug")
    search_fields = ("name",)
    prepopulated_fields = {"slug": ("name",)}


class StripePriceInline(admin.TabularInline):
    model = StripePrice
    extra = 1


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    form = ProductForm
    list_display = ("cover_small", "name", "price_display", "status", "sold", "published_on", "preview")
    list_display_links = ("name",)
    list_filter = ("status", "categories")
    search_fields = ("name", "slug", "summary")
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("cover_now", "files_now", "sample_now", "ready_now", "deletion")
    actions = (*bulk_page.ACTIONS, deleting.delete_selected)
    inlines = (StripePriceInline,)
    ordering = ("-created_at",)
    fieldsets = (
        (None, {"fields": ("name", "slug", "summary", "description", "categories", "tags")}),
        (_("Price"), {"fields": (("price", "currency"),)}),
        (_("Files"), {"fields": ("files_now", "file_order", "new_files", "uploads")}),
        (
            _("Replace by a new edition"),
            {
                "fields": ("as_new_edition", "edition_notes"),
                "description": _("To exchange files that are on sale: choose the new ones above, and tick this box."),
            },
        ),
        (_("Cover"), {"fields": ("cover_now", "cover_image")}),
        (_("Look inside"), {"fields": ("sample_pages", "sample_now")}),
        (_("On sale"), {"fields": ("status", "ready_now", "deletion")}),
    )

    def get_urls(self) -> list[URLPattern]:
        own = (*product_pages.urls(self), *bulk_page.urls(self), *upload_pages.addresses(self))
        return [*own, *super().get_urls()]

    def view_on_site(self, obj: Product) -> str | None:
        """Shoppers find nothing there until it is published: the preview is for that."""
        return obj.get_absolute_url() if obj.is_on_sale else None

    def get_fieldsets(self, request: HttpRequest, obj: Product | None = None) -> Any:
        """Who may only look sees the price as shoppers do, and no fields to upload to."""
        if obj is None or self.has_change_permission(request, obj):
            return self.fieldsets
        text = ("name", "slug", "summary", "description", "categories", "tags")
        return ((None, {"fields": (*text, "price_display", "files_now", "cover_now", "sample_now", "status")}),)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        called = capfirst(db_field.verbose_name)
        return super().formfield_for_manytomany(db_field, request, **{**kwargs, "widget": Ticks(called)})

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """With the stamp of what its form would hold; who sends that form, or deletes the product, is alone with it."""
        if request.method == "POST":
            stale.lock(object_id)
        stamp = stale.stamp(object_id)
        product: Any = super().get_object(request, object_id, from_field)
        if product:
            product.stamp = stamp
        return product

    def has_delete_permission(self, request: HttpRequest, obj: Product | None = None) -> bool:
        return not (obj and deleting.why_product_stays(obj)) and super().has_delete_permission(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        return deleting.going_along(objs)

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        if add:
            return super().construct_change_message(request, form, formsets, add)
        return product_history.changes(form, formsets) or []

    def get_form(self, request: HttpRequest, obj: Product | None = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)  # a class of this request's own
        form.owner_id = request.user.pk
        return form

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """The one page that sends bytes straight to the bucket, where there is one."""
        origin = parts.origin()
        view = csp_update({"connect-src": [origin]})(super().changeform_view) if origin else super().changeform_view
        return view(request, *args, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Product]:
        editions = Prefetch("editions", Edition.objects.prefetch_related("files"))
        products: QuerySet[Product] = super().get_queryset(request)
        paid = Count("order_lines", filter=Q(order_lines__order__state="paid"))
        return products.annotate(times_sold=paid).prefetch_related(editions)

    def save_model(self, request: HttpRequest, obj: Product, form: ModelForm, change: bool) -> None:
        assert isinstance(form, ProductForm)  # noqa: S101 - the form of this admin
        if form.cover:
            obj.cover, obj.cover_height, obj.cover_failed = (
                covers.store(form.cover),
                form.cover.large_height,
                False,
            )
        old_slug = form.initial.get("slug", "") if change else ""
        has_moved = bool(obj.published_at and old_slug and old_slug != obj.slug)
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if has_moved:
                former_slugs.remember(obj, old_slug)
            moved = "file_order" in form.changed_data and file_order.move(obj, form.cleaned_data["file_order"])
            if form.new:
                form.edition = uploads.add_files(
                    obj,
                    form.new,
                    as_new_edition=form.cleaned_data["as_new_edition"],
                    notes=form.cleaned_data["edition_notes"],
                )
            elif change and (moved or {"sample_pages", "name"} & set(form.changed_data)):  # the name is on each page
                samples.want(obj)
        if has_moved:
            said = gettext("Its address changed: /%(old)s/ leads to /%(new)s/ from now on.")
            self.message_user(request, said % {"old": old_slug, "new": obj.slug})

    @admin.display(description=_("sold"), ordering="times_sold")
    def sold(self, product: Any) -> SafeString:
        """On a phone no head of a column says what the number is."""
        return format_html('<span class="head-on-phones">{} </span>{}', gettext("sold"), product.times_sold)

    @admin.display(description=_("published"), ordering="published_at")
    def published_on(self, product: Product) -> str:
        return date_format(localtime(product.published_at)) if product.published_at else "–"

    @admin.display(description=_("price"), ordering="price")
    def price_display(self, product: Product) -> str:
        return gettext("free") if product.is_free else product.price_display

    @admin.display(description="")
    def cover_small(self, product: Product) -> SafeString:
        return _picture(product, css="cover-small")

    @admin.display(description=_("cover"))
    def cover_now(self, product: Product) -> SafeString:
        return _picture(product, css="cover-preview")

    @admin.display(description=_("files now"))
    def files_now(self, product: Product) -> SafeString | str:
        if not product.pk:
            return "–"
        rows = [
            (
                gettext("Edition %(number)s") % {"number": edition.number},
                reverse("admin:catalog_file_change", args=[file.pk]),
                file.name,
                filesizeformat(file.size),
            )
            for edition in product.editions.all()
            for file in edition.files.all()
        ]
        row = '<li>{}: <a href="{}">{}</a> ({})</li>'
        return format_html('<ul class="files-now">{}</ul>', format_html_join("", row, rows)) if rows else "–"

    @admin.display(description=_("look inside now"))
    def sample_now(self, product: Product) -> SafeString | str:
        return sample_preview(product) if product.pk else "–"

    @admin.display(description=_("checks before publishing"))
    def ready_now(self, product: Product) -> SafeString | str:
        return publishing.report(product) if product.pk else "–"

    @admin.display(description=_("deletion"))
    def deletion(self, product: Product) -> str:
        if not product.pk:
            return "–"
        return deleting.why_product_stays(product) or gettext("It can be deleted, with its editions and files.")

    @admin.display(description="")
    def preview(self, product: Product) -> SafeString:
        address = reverse("admin:catalog_product_preview", args=[product.pk])
        return format_html(
            '<a href="{}" aria-label="{}">{}</a>',
            address,
            gettext("Preview of %(product)s") % {"product": product},
            gettext("Preview"),
        )


def _picture(product: Product, *, css: str) -> SafeString:
    if not product.cover:
        return SafeString("–")
    address = reverse("cover", args=[product.cover, covers.WIDTHS[0]])
    return format_html('<img src="{}" alt="" class="{}">', address, css)
