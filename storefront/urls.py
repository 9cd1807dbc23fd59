"""Every address of the shop."""

from django.contrib import admin
from django.urls import include, path
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.i18n import set_language

from accounts import confirm, mail_choices, sign_in_pages
from catalog import covers, feeds, samples, sitemaps
from catalog import views as catalog
from fulfillment import (
    buying,
    downloads,
    library,
    link_pages,
    lost_link,
    order_page,
    privacy_pages,
    webhook,
    wrong_address,
    zips,
)
from orders import billing
from orders import views as orders
from storefront import health, metrics

urlpatterns = [
    path("webhooks/stripe/", webhook.stripe_webhook, name="stripe_webhook"),  # the busiest, so the first
    path("", catalog.product_list, name="catalog"),
    path("products/<slug:slug>/", catalog.product_detail, name="product"),
    path("products/<slug:slug>/buy/", buying.buy, name="buy"),
    path("feed/", feeds.feed, name="feed"),
    path("feed/<slug:category>/", feeds.feed, name="category_feed"),
    path("robots.txt", sitemaps.robots, name="robots"),
    path("sitemap.xml", sitemaps.sitemap, name="sitemap"),
    path("sitemap-pages.xml", sitemaps.sitemap_pages, name="sitemap_pages"),
    path("sitemap-<int:section>.xml", sitemaps.sitemap_products, name="sitemap_products"),
    path("covers/<slug:key>-<int:width>.webp", covers.cover, name="cover"),
    path("samples/<slug:key>/<int:number>-<int:width>.webp", samples.picture, name="sample_picture"),
    path("samples/<slug:key>/sample.pdf", samples.pdf, name="sample_pdf"),
    path("checkout/done/", buying.checkout_done, name="checkout_done"),
    path("checkout/cancelled/", orders.checkout_cancelled, name="checkout_cancelled"),
    path("library/", library.library, name="library"),
    path("library/all.zip", zips.library_zip, name="library_zip"),
    path("library/<slug:slug>/all.zip", zips.product_zip, name="product_zip"),
    path("downloads/<int:file_id>/", downloads.download, name="download"),
    path("links/<str:token>/", link_pages.link, name="link"),
    path("links/<str:token>/fresh/", link_pages.link_fresh, name="link_fresh"),
    path("links/<str:token>/all.zip", link_pages.link_zip, name="link_zip"),
    path("links/<str:token>/files/<int:file_id>/", link_pages.link_file, name="link_file"),
    path("lost/", lost_link.lost, name="lost"),
    path("mails/<str:choice>/", mail_choices.mail_choice, name="mail_choice"),
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
    path("accounts/mails/", mail_choices.mail_choices, name="mail_choices"),
    # Nothing but the language follows from it, and a token would set a cookie on every page that has the switch.
    path("language/", csrf_exempt(never_cache(set_language)), name="set_language"),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
]

handler403 = "storefront.turned_away.denied"
handler404 = "storefront.turned_away.missing"
