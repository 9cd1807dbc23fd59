"""The admin's site: the menu begins with what a shop's people do all day, in their words."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

FIRST = ("orders", "fulfillment", "catalog", "accounts")
# Apps of others, which name themselves for programmers.
APPS = {"auth": _("Roles"), "mfa": _("Passkeys and second factors")}
MODELS = {"Group": _("Roles"), "Authenticator": _("Passkeys and codes")}


class Desk(admin.AdminSite):
    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        found: list[Any] = super().get_app_list(request, app_label)
        for app in found:
            app["name"] = APPS.get(app["app_label"], app["name"])
            for model in app["models"]:
                model["name"] = MODELS.get(model["object_name"], model["name"])
        return sorted(found, key=lambda app: FIRST.index(app["app_label"]) if app["app_label"] in FIRST else len(FIRST))
