"""Every address of the shop."""

from django.contrib import admin
from django.urls import include, path

from accounts import confirm, sign_in_pages
from catalog import covers
from catalog import views as catalog
from fulfillment import (
    buying,
    downloads,
    library,
    link_pages,
    order_page,
    privacy_pages,
    webhook,
    wrong_address,
)
from orders import billing
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
    path("orders/<slug:reference>/", order_page.order_detail, name="order"),
    path("orders/<slug:reference>/receipt/", order_page.receipt, name="receipt"),
    path("orders/<slug:reference>/details/", billing.billing, name="billing"),
    path("orders/<slug:reference>/link/", link_pages.order_link, name="order_link"),
    path("orders/<slug:reference>/address/", wrong_address.wrong_address, name="wrong_address"),
    path("accounts/", sign_in_pages.account, name="account"),
    path("accounts/confirm/", confirm.confirm, name="account_confirm"),
    path("accounts/sessions/", sign_in_pages.session_list, name="account_sessions"),
    path("accounts/sessions/others/end/", sign_in_pages.end_other_sessions, name="account_end_other_sessions"),
    path("accounts/sessions/<slug:name>/end/", sign_in_pages.end_session, name="account_end_session"),
    path("accounts/data/", privacy_pages.data, name="account_data"),
    path("accounts/erase/", privacy_pages.erase, name="account_erase"),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
]
