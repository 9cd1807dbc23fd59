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
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog import (
    bulk_page,
    covers,
    file_order,
    parts,
    product_pages,
    publishing,
    samples,
    upload_pages,
    uploads,
)
from catalog.forms import EditionForm, FileForm, ProductForm
from catalog.models import Category, Edition, File, Product, Tag
from catalog.sample_preview import sample_preview
from catalog.stripe_price_models import StripePrice


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
    filter_horizontal = ("categories", "tags")
    readonly_fields = ("cover_now", "files_now", "sample_now", "ready_now")
    actions = bulk_page.ACTIONS
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
        (_("On sale"), {"fields": ("status", "ready_now")}),
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
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            moved = "file_order" in form.changed_data and file_order.move(obj, form.cleaned_data["file_order"])
            if form.new:
                uploads.add_files(
                    obj,
                    form.new,
                    as_new_edition=form.cleaned_data["as_new_edition"],
                    notes=form.cleaned_data["edition_notes"],
                )
            elif change and (moved or {"sample_pages", "name"} & set(form.changed_data)):  # the name is on each page
                samples.want(obj)

    @admin.display(description=_("sold"), ordering="times_sold")
    def sold(self, product: Any) -> int:
        return int(product.times_sold)

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
        return format_html("<ul>{}</ul>", format_html_join("", row, rows)) if rows else "–"

    @admin.display(description=_("look inside now"))
    def sample_now(self, product: Product) -> SafeString | str:
        return sample_preview(product) if product.pk else "–"

    @admin.display(description=_("checks before publishing"))
    def ready_now(self, product: Product) -> SafeString | str:
        return publishing.report(product) if product.pk else "–"

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


def _kept(edition: Edition) -> str:
    """Why an edition and its files cannot be deleted now, or ""."""
    if edition.order_lines.exists():
        return gettext("It was sold, so it stays for those who bought it.")
    if edition.product.is_on_sale:
        return gettext("It is on sale. Set the product to draft or archived first.")
    return ""


@admin.register(Edition)
class EditionAdmin(admin.ModelAdmin):
    form = EditionForm
    list_display = ("product", "number", "published_at")
    list_select_related = ("product",)
    search_fields = ("product__name",)
    fields = ("product", "number", "notes", "published_at", "deletion")
    readonly_fields = ("product", "number", "deletion")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # an edition begins with its files, on the product's page

    def has_delete_permission(self, request: HttpRequest, obj: Edition | None = None) -> bool:
        """The database would refuse, this says so before."""
        return not (obj and _kept(obj)) and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Edition, form: ModelForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if "published_at" in form.changed_data:
            samples.want(obj.product)

    def delete_model(self, request: HttpRequest, obj: Edition) -> None:
        super().delete_model(request, obj)
        samples.want(obj.product)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Edition]) -> None:
        products = list(Product.objects.filter(editions__in=queryset).distinct())
        super().delete_queryset(request, queryset)
        for product in products:
            samples.want(product)

    @admin.display(description=_("deletion"))
    def deletion(self, edition: Edition) -> str:
        return _kept(edition) or gettext("It can be deleted.")


@admin.register(File)
class FileAdmin(admin.ModelAdmin):
    form = FileForm
    list_display = ("name", "edition", "media_type", "pages", "size")
    search_fields = ("name", "edition__product__name")
    list_select_related = ("edition__product",)
    fields = ("name", "position", "edition", "media_type", "pages", "size", "sha256", "bytes_now", "deletion")
    readonly_fields = ("edition", "media_type", "pages", "size", "sha256", "bytes_now", "deletion")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: File | None = None) -> bool:
        """The database would refuse, this says so before."""
        return not (obj and _kept(obj.edition)) and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: File, form: ModelForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if "position" in form.changed_data:  # the first PDF is the one to look into
            samples.want(obj.edition.product)

    def delete_model(self, request: HttpRequest, obj: File) -> None:
        super().delete_model(request, obj)
        samples.want(obj.edition.product)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[File]) -> None:
        products = list(Product.objects.filter(editions__files__in=queryset).distinct())
        super().delete_queryset(request, queryset)
        for product in products:
            samples.want(product)

    @admin.display(description=_("bytes"))
    def bytes_now(self, file: File) -> SafeString:
        return format_html('<a href="{}">{}</a>', reverse("download", args=[file.pk]), _("Download"))

    @admin.display(description=_("deletion"))
    def deletion(self, file: File) -> str:
        return _kept(file.edition) or gettext("It can be deleted.")
