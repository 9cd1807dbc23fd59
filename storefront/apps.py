from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin import apps as admin_apps


class StorefrontConfig(AppConfig):
    name = "storefront"

    def ready(self) -> None:
        from storefront import checks  # noqa: F401 - registers the system checks

        if settings.SENTRY_DSN:  # only then: importing the library takes a quarter of a second
            from storefront import sentry

            sentry.start(settings.SENTRY_DSN)


class DeskConfig(admin_apps.AdminConfig):
    default = False  # of this module, which is the app above
    default_site = "storefront.desk.Desk"
