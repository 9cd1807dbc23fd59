"""The admin's editions and files, which begin on their product's page."""

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog import deleting, samples
from catalog.forms import EditionForm, FileForm
from catalog.models import Edition, File, Product


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
        return not (obj and deleting.why_edition_stays(obj)) and super().has_delete_permission(request, obj)

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
        return deleting.why_edition_stays(edition) or gettext("It can be deleted.")


@admin.register(File)
class FileAdmin(admin.ModelAdmin):
    form = FileForm
    list_display = ("name", "edition", "media_type", "pages", "size_display")
    search_fields = ("name", "edition__product__name")
    list_select_related = ("edition__product",)
    readonly_fields = ("edition", "media_type", "pages", "size_display", "sha256", "bytes_now", "deletion")
    fields = ("name", "position", *readonly_fields)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: File | None = None) -> bool:
        """The database would refuse, this says so before."""
        return not (obj and deleting.why_edition_stays(obj.edition)) and super().has_delete_permission(request, obj)

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

    @admin.display(description=_("size"), ordering="size")
    def size_display(self, file: File) -> str:
        return filesizeformat(file.size)

    @admin.display(description=_("bytes"))
    def bytes_now(self, file: File) -> SafeString:
        return format_html('<a href="{}">{}</a>', reverse("download", args=[file.pk]), _("Download"))

    @admin.display(description=_("deletion"))
    def deletion(self, file: File) -> str:
        return deleting.why_edition_stays(file.edition) or gettext("It can be deleted.")
