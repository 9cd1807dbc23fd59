"""Every address of the shop."""

from django.contrib import admin
from django.urls import include, path
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.i18n import set_language

from catalog import covers
from catalog import views as catalog
from fulfillment import buying, downloads, library, link_pages, webhook, wrong_address
from orders import views as orders
from storefront import health, metrics

urlpatterns = [
    path("webhooks/stripe/", webhook.stripe_webhook, name="stripe_webhook"),  # the busiest, so the first
    path("", catalog.product_list, name="catalog"),
    path("products/<slug:slug>/", catalog.product_detail, name="product"),
    path("products/<slug:slug>/buy/", buying.buy, name="buy"),
    path("covers/<slug:key>-<int:width>.webp", covers.cover, name="cover"),
    path("checkout/done/", buying.checkout_done, name="checkout_done"),
    path("checkout/cancelled/", orders.checkout_cancelled, name="checkout_cancelled"),
    path("library/", library.library, name="library"),
    path("downloads/<int:file_id>/", downloads.download, name="download"),
    path("links/<str:token>/", link_pages.link, name="link"),
    path("links/<str:token>/fresh/", link_pages.link_fresh, name="link_fresh"),
    path("links/<str:token>/files/<int:file_id>/", link_pages.link_file, name="link_file"),
    path("orders/", orders.order_list, name="orders"),
    path("orders/<slug:reference>/", orders.order_detail, name="order"),
    path("orders/<slug:reference>/link/", link_pages.order_link, name="order_link"),
    path("orders/<slug:reference>/address/", wrong_address.wrong_address, name="wrong_address"),
    # Nothing but the language follows from it, and a token would set a cookie on every page that has the switch.
    path("language/", csrf_exempt(never_cache(set_language)), name="set_language"),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
]
