"""The admin's page for a change of many products: what will become of each, and the button that does it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import BadRequest, PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache

from catalog import bulk
from catalog.models import Category, Product
from catalog.pricing import Ending, How, Pricing

LARGEST_ID = 2**63 - 1


class PriceForm(forms.Form):
    how = forms.ChoiceField(label=gettext_lazy("Change"), choices=How)
    number = forms.CharField(
        label=gettext_lazy("Amount or percent"),
        max_length=14,
        help_text=gettext_lazy("Such as 12.50. Each product keeps its currency. An amount of 0 makes it free."),
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    ending = forms.ChoiceField(
        label=gettext_lazy("Rounding"),
        choices=Ending,
        required=False,
        help_text=gettext_lazy("Of what was raised or lowered; an amount stays as you write it."),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                self.pricing.check()
            except ValidationError as error:
                self.add_error("number", error)
        return cleaned

    @property
    def pricing(self) -> Pricing:
        asked = self.cleaned_data
        return Pricing(How(asked["how"]), asked["number"], Ending(asked["ending"] or Ending.EXACT))

    def act(self) -> bulk.Act:
        return bulk.set_price(self.pricing)


class CategoryForm(forms.Form):
    category = forms.ModelChoiceField(label=gettext_lazy("Category"), queryset=Category.objects.all())


class PutForm(CategoryForm):
    def act(self) -> bulk.Act:
        return bulk.set_category(self.cleaned_data["category"], inside=True)


class TakeForm(CategoryForm):
    def act(self) -> bulk.Act:
        return bulk.set_category(self.cleaned_data["category"], inside=False)


class StatusForm(forms.Form):
    """Asks for nothing: what is to be done is said by its name."""

    status: Product.Status

    def act(self) -> bulk.Act:
        return bulk.set_status(self.status)


class PublishForm(StatusForm):
    status = Product.Status.PUBLISHED


class ArchiveForm(StatusForm):
    status = Product.Status.ARCHIVED


class DraftForm(StatusForm):
    status = Product.Status.DRAFT


AnyForm = PriceForm | PutForm | TakeForm | StatusForm


@dataclass(frozen=True)
class Kind:
    title: Any
    help: Any
    form: type[AnyForm]


LEAVES = gettext_lazy("They leave the list and cannot be bought any more. Whoever bought them keeps them.")
KINDS = {
    "publish": Kind(gettext_lazy("Publish"), gettext_lazy("Shoppers find and buy them from now on."), PublishForm),
    "archive": Kind(gettext_lazy("Archive"), LEAVES, ArchiveForm),
    "draft": Kind(gettext_lazy("Back to draft"), LEAVES, DraftForm),
    "price": Kind(
        gettext_lazy("Change prices"),
        gettext_lazy("Who presses “Buy” from now on pays the new price. Payment Links keep the one they were made at."),
        PriceForm,
    ),
    "put": Kind(gettext_lazy("Put into a category"), gettext_lazy("They stay in the others."), PutForm),
    "take": Kind(gettext_lazy("Take out of a category"), gettext_lazy("They stay in the others."), TakeForm),
}


def urls(model_admin: ModelAdmin) -> list[URLPattern]:
    def page(request: HttpRequest) -> HttpResponse:
        return change_many(model_admin, request)

    return [path("bulk/", model_admin.admin_site.admin_view(never_cache(page)), name="catalog_product_bulk")]


def _action(name: str) -> Callable[..., HttpResponse | None]:
    """The list's action: it hands the selection to the page."""

    @admin.action(permissions=["change"], description=KINDS[name].title)
    def chosen(model_admin: ModelAdmin, request: HttpRequest, queryset: QuerySet[Product]) -> HttpResponse | None:
        ids = list(queryset.order_by().values_list("pk", flat=True)[: bulk.MOST + 1])
        if len(ids) > bulk.MOST:
            said = _("That are too many at once: choose up to %(most)s products.") % {"most": bulk.MOST}
            model_admin.message_user(request, said, messages.ERROR)
            return None
        form = KINDS[name].form()
        plan = None if form.fields else bulk.plan(form.act(), ids)
        return _shown(model_admin, request, name, form, ids=ids, plan=plan, filters=request.GET.urlencode())

    chosen.__name__ = f"{name}_selected"
    return chosen


ACTIONS = tuple(map(_action, KINDS))


def change_many(model_admin: ModelAdmin, request: HttpRequest) -> HttpResponse:
    """POST shows what would change, or does what was shown. Should that be something else by now, it shows it again."""
    if not model_admin.has_change_permission(request):
        raise PermissionDenied
    if request.method != "POST":  # somebody came back by the address alone
        return HttpResponseRedirect(reverse("admin:catalog_product_changelist"))
    name, ids = request.POST.get("act", ""), _ids(request.POST.get("ids", ""))
    filters = request.POST.get("filters", "")
    if name not in KINDS:
        raise BadRequest
    form, plan = KINDS[name].form(request.POST), None
    if form.is_valid() and "apply" in request.POST:
        try:
            done = bulk.carry_out(form.act(), ids, shown=request.POST.get("shown", ""), record=_recorder(request))
        except bulk.ChangedMeanwhile:
            said = _("Nothing was changed: what would happen now is not what you were shown. Please look again.")
            messages.warning(request, said)
        else:
            _tell(request, done)
            address = reverse("admin:catalog_product_changelist")
            return HttpResponseRedirect(f"{address}?{filters}" if filters else address, status=303)
    if form.is_valid():
        plan = bulk.plan(form.act(), ids)
    return _shown(model_admin, request, name, form, ids=ids, plan=plan, filters=filters)


def _ids(text: str) -> list[int]:
    """Raises BadRequest for what our own page would not send."""
    words = text.split(",")
    if len(words) > bulk.MOST or not all(word.isascii() and word.isdigit() and len(word) < 20 for word in words):
        raise BadRequest
    ids = [int(word) for word in words]
    if max(ids) > LARGEST_ID:
        raise BadRequest
    return ids


def _recorder(request: HttpRequest) -> Callable[[list[bulk.Row]], None]:
    """Writes an entry for each product into the admin's log, all with one statement."""

    def record(rows: list[bulk.Row]) -> None:
        product_type = ContentType.objects.get_for_model(Product)
        LogEntry.objects.bulk_create(
            LogEntry(
                user_id=str(request.user.pk),
                content_type=product_type,
                object_id=str(row.product.pk),
                object_repr=row.product.name,
                action_flag=CHANGE,
                change_message=row.recorded,
            )
            for row in rows
        )

    return record


def _tell(request: HttpRequest, done: bulk.Plan) -> None:
    number = len(done.changes)
    said = ngettext("%(number)s product was changed.", "%(number)s products were changed.", number)
    messages.success(request, said % {"number": number})
    if left := len(done.impossible):
        said = ngettext("%(number)s product stayed as it was.", "%(number)s products stayed as they were.", left)
        messages.warning(request, said % {"number": left})


def _shown(
    model_admin: ModelAdmin,
    request: HttpRequest,
    name: str,
    form: AnyForm,
    *,
    ids: list[int],
    plan: bulk.Plan | None,
    filters: str,
) -> HttpResponse:
    kind = KINDS[name]
    number = ngettext("%(number)s product", "%(number)s products", len(ids)) % {"number": len(ids)}
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": f"{kind.title}: {number}",
        "kind": kind,
        "act": name,
        "form": form,
        "ids": ",".join(map(str, ids)),
        "filters": filters,
        "plan": plan,
    }
    return TemplateResponse(request, "admin/shop/bulk.html", context)
