"""The admin's page of a product's Payment Links: make one, copy it, show it as a QR code, deactivate it."""

import io
import logging
from collections.abc import Callable
from functools import wraps

import segno
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog.models import Product
from catalog.payment_link_models import PaymentLink
from orders import payment_links, stripe_api
from orders.admin import ReadOnly

log = logging.getLogger(__name__)

MAKE = ("catalog.change_product", "catalog.make_paymentlink")
SHOWN = 50  # links on a product's page, the newest
QR_MODULE = 8  # pixels

View = Callable[..., HttpResponse]


def allowing(*methods: str) -> Callable[[View], View]:
    """403 for who may not see links; POST is for those who may also make them."""

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(model_admin: "PaymentLinkAdmin", request: HttpRequest, pk: int) -> HttpResponse:
            if not model_admin.has_view_permission(request):
                raise PermissionDenied
            if (request.method == "POST" or "POST" in methods[:1]) and not request.user.has_perms(MAKE):
                raise PermissionDenied
            if request.method not in methods:
                return HttpResponseNotAllowed(methods)
            return view(model_admin, request, pk)

        return checked

    return decorate


@admin.register(PaymentLink)
class PaymentLinkAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("link", "product_page", "price_display", "state", "livemode", "created_at")
    list_display_links = None
    list_filter = ("livemode", ("deactivated_at", admin.EmptyFieldListFilter))
    list_select_related = ("product",)
    search_fields = ("product__name", "=link_id")
    fields = ("link", "product_page", "price_display", "state", "livemode", "created_at", "deactivated_at")
    readonly_fields = fields
    ordering = ("-pk",)

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site.admin_view
        return [
            path("product/<int:pk>/", site(self.product_links), name="catalog_paymentlink_product"),
            path("<int:pk>/qr.svg", site(self.qr), name="catalog_paymentlink_qr"),
            path("<int:pk>/deactivate/", site(self.deactivate), name="catalog_paymentlink_deactivate"),
            *super().get_urls(),
        ]

    @allowing("GET", "HEAD", "POST")
    def product_links(self, request: HttpRequest, pk: int) -> HttpResponse:
        """GET shows the product's links; POST makes the one for its price of now, or finds it."""
        product = get_object_or_404(Product, pk=pk)
        if request.method == "POST":
            self._make(request, product)
            return _back(product)
        links = list(product.payment_links.order_by("-deactivated_at", "-pk")[:SHOWN])  # those in use first
        context = {
            **self.admin_site.each_context(request),
            "title": _("Payment Links of %(product)s") % {"product": product},
            "opts": self.opts,
            "product": product,
            "links": links,
            "why_not": payment_links.why_not(product),
            "is_current": any(_is_current(link, product) and link.is_made for link in links),
            "outdated": [link for link in links if _is_outdated(link, product)],
            "may_make": request.user.has_perms(MAKE),
        }
        return TemplateResponse(request, "admin/shop/payment_links.html", context)

    def _make(self, request: HttpRequest, product: Product) -> None:
        try:
            link = payment_links.make(product)
        except payment_links.NothingToSell as why:
            messages.error(request, str(why))
        except stripe_api.StripeUnavailable as error:
            log.warning("no Payment Link for %s: %s", product, error)
            messages.warning(request, _("Stripe has not answered. Press the button again: you get one link, not two."))
        except stripe_api.StripeRefused as error:
            messages.error(request, _("Stripe made no link. It says: %(why)s") % {"why": error})
        else:
            self.log_change(request, product, f"Payment Link {link} at {link.price_display}")
            messages.success(request, _("The link sells this product at %(price)s.") % {"price": link.price_display})

    @allowing("GET", "HEAD")
    def qr(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The address as a QR code that scales to any print; `?download` saves it as a file."""
        link = get_object_or_404(PaymentLink.objects.exclude(link_id=None).select_related("product"), pk=pk)
        answer = HttpResponse(_drawn(link.url), content_type="image/svg+xml")
        if "download" in request.GET:
            answer["Content-Disposition"] = f'attachment; filename="{link.product.slug}-payment-link.svg"'
        return answer

    @allowing("POST")
    def deactivate(self, request: HttpRequest, pk: int) -> HttpResponse:
        link = get_object_or_404(PaymentLink.objects.select_related("product"), pk=pk)
        try:
            payment_links.deactivate(link)
        except stripe_api.StripeUnavailable as error:
            log.warning("%s could not be deactivated: %s", link, error)
            messages.error(request, _("Stripe could not be asked, so the link still sells. Try again in a minute."))
        except stripe_api.StripeRefused as error:
            messages.error(request, _("The link was not deactivated. Stripe says: %(why)s") % {"why": error})
        else:
            self.log_change(request, link.product, f"{link} deactivated")
            messages.success(request, _("The link sells nothing any more."))
        return _back(link.product)

    @admin.display(description=gettext_lazy("link"))
    def link(self, link: PaymentLink) -> str:
        return link.url or "–"

    @admin.display(description=gettext_lazy("product"), ordering="product__name")
    def product_page(self, link: PaymentLink) -> SafeString:
        return format_html('<a href="{}">{}</a>', _address(link.product), link.product)

    @admin.display(description=gettext_lazy("price"), ordering="price")
    def price_display(self, link: PaymentLink) -> str:
        return link.price_display

    @admin.display(description=gettext_lazy("state"))
    def state(self, link: PaymentLink) -> str:
        return _state(link)


def _state(link: PaymentLink) -> str:
    if not link.is_active:
        return _("deactivated")
    return _("sells") if link.is_made else _("Stripe has not answered yet")


def _is_current(link: PaymentLink, product: Product) -> bool:
    """Whether it sells at the price of now, with the key of now."""
    terms = (link.price, link.currency, link.livemode)
    return link.is_active and terms == (product.price, product.currency, stripe_api.is_live())


def _is_outdated(link: PaymentLink, product: Product) -> bool:
    """Whether it sells on other terms than the shop does now. A link of the other mode moves no money of this one."""
    sells = link.is_made and link.is_active and link.livemode == stripe_api.is_live()
    return sells and not _is_current(link, product)


def _drawn(text: str) -> bytes:
    """White ground and quiet zone included, so that it can be read on any page, a dark one too."""
    svg = io.BytesIO()
    segno.make_qr(text, error="m").save(svg, kind="svg", scale=QR_MODULE, light="#fff", svgclass=None, lineclass=None)
    return svg.getvalue()


def _address(product: Product) -> str:
    return reverse("admin:catalog_paymentlink_product", args=[product.pk])


def _back(product: Product) -> HttpResponseRedirect:
    return HttpResponseRedirect(_address(product), status=303)
