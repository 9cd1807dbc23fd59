from typing import Any

import allauth.account.admin  # noqa: F401 - it registers what is taken out below
from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.forms import AddressField
from accounts.models import MailChoice, SignIn, User, proven_emails, signed_in
from accounts.roles import giveable, may_change

# Staff sign in where everybody does, so the same limits hold against guessing.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

# Whoever may prove an address for an account may sign in to it, so addresses are changed on the account's own page,
# which asks whose it is.
admin.site.unregister(EmailAddress)


class UserCreationForm(AdminUserCreationForm):
    class Meta:
        model = User
        fields = ("email",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """In words of our own: Django's are in English alone."""
        super().__init__(*args, **kwargs)
        password: Any = self.fields["usable_password"]
        password.label = _("Signs in with a password")
        password.help_text = _("Without one, they sign in by a code that is mailed to them.")
        password.choices = [("true", _("Yes")), ("false", _("No"))]


class ChangeForm(UserChangeForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "password" in self.fields and not self.instance.has_usable_password():
            self.fields["password"].help_text = _("They sign in by a code that is mailed to them.")


class EmailAddressForm(forms.ModelForm):
    email = AddressField(label=_("E-mail address"))


class EmailAddressInline(admin.TabularInline):
    model = EmailAddress
    form = EmailAddressForm
    extra = 0


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    form = ChangeForm
    add_form = UserCreationForm
    add_fieldsets = ((None, {"fields": ("email", "usable_password", "password1", "password2")}),)
    filter_horizontal = ("user_permissions",)
    list_display = ("email", "is_staff", "is_active", "date_joined")
    list_filter = ("is_staff", "groups", "is_active")
    search_fields = ("email", "emailaddress__email")
    ordering = ("email",)
    show_full_result_count = False
    inlines = (EmailAddressInline,)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or may_change(signed_in(request), obj))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        allowed = super().has_delete_permission(request, obj)
        return allowed and (obj is None or (may_change(signed_in(request), obj) and obj != request.user))

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Single permissions are for those who may do everything; all others give roles."""
        if obj is None:
            return self.add_fieldsets
        customer = [(_("Customer"), {"fields": ("as_customer",)})] if _may_see_customers(request) else []
        single = (_("Single permissions"), {"classes": ("collapse",), "fields": ("is_superuser", "user_permissions")})
        return (
            (None, {"fields": ("email", "password")}),
            *customer,
            (_("Role in the shop"), {"fields": ("is_active", "is_staff", "groups")}),
            *([single] if signed_in(request).is_superuser else []),
            (_("Dates"), {"fields": ("last_login", "date_joined")}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """What one may do oneself, somebody else changes: a wrong tick would shut the only owner out."""
        own = ("is_active", "is_staff", "groups", "is_superuser") if obj == request.user else ()
        return ("as_customer", "last_login", "date_joined", *own) if obj else ()

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs |= {"widget": forms.CheckboxSelectMultiple, "queryset": giveable(signed_in(request))}
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field: Any = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "groups":
            field.label = _("Role")
            field.help_text = _("What this person may do here. It needs the tick “may use the admin” as well.")
            field.widget.can_add_related = False
        return field

    @admin.display(description=_("bought, paid, downloaded"))
    def as_customer(self, user: User) -> SafeString | str:
        page = reverse("admin:fulfillment_customer_person")
        links = [(f"{page}?{urlencode({'email': email})}", email) for email in sorted(proven_emails(user))]
        return format_html_join(", ", '<a href="{}">{}</a>', links) or gettext("No address of this account is proven.")


def _may_see_customers(request: HttpRequest) -> bool:
    return request.user.has_perm("fulfillment.view_customer")


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
    email = AddressField(label=_("E-mail address"))


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
