from typing import Any

from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.http import HttpRequest

from accounts.forms import AddressField
from accounts.models import MailChoice, SignIn, User

# Staff sign in where everybody does, so the same limits hold against guessing.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]


class UserCreationForm(AdminUserCreationForm):
    class Meta:
        model = User
        fields = ("email",)


class EmailAddressForm(forms.ModelForm):
    email = AddressField()


class EmailAddressInline(admin.TabularInline):
    model = EmailAddress
    form = EmailAddressForm
    extra = 0


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    add_form = UserCreationForm
    add_fieldsets = ((None, {"fields": ("email", "usable_password", "password1", "password2")}),)
    fieldsets = (
        (None, {"fields": ("email", "password")}),
        ("Permissions", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    list_display = ("email", "is_staff", "is_active", "date_joined")
    search_fields = ("email",)
    ordering = ("email",)
    inlines = (EmailAddressInline,)


@admin.register(SignIn)
class SignInAdmin(admin.ModelAdmin):
    """A log: read, never written here."""

    list_display = ("at", "user", "address", "agent")
    list_select_related = ("user",)
    search_fields = ("=user__email", "=address")
    ordering = ("-at",)
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class MailChoiceForm(forms.ModelForm):
    email = AddressField()


@admin.register(MailChoice)
class MailChoiceAdmin(admin.ModelAdmin):
    """For those who ask the shop, by mail or phone, to stop writing to them."""

    form = MailChoiceForm
    list_display = ("email", "new_editions", "changed_at")
    list_filter = ("new_editions",)
    search_fields = ("=email",)
    ordering = ("-changed_at",)
    fields = ("email", "new_editions")
    show_full_result_count = False
