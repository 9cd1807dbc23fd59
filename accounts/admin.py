from typing import Any

import allauth.account.admin  # noqa: F401 - it registers what is taken out below
from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
from django import forms
from django.contrib import admin
from django.contrib.admin.utils import NestedObjects
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.db import router
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
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


class UserCreationForm(forms.ModelForm):
    """A colleague needs no password: whoever has the mailbox signs in with a mailed code."""

    email = AddressField(label=_("E-mail address"))

    class Meta:
        model = User
        fields = ("email",)

    def save(self, commit: bool = True) -> User:
        self.instance.set_unusable_password()
        user: User = super().save(commit)
        return user


class UserForm(UserChangeForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """In words of our own: Django's are in English alone."""
        super().__init__(*args, **kwargs)
        if "password" in self.fields and not self.instance.has_usable_password():
            self.fields["password"].help_text = _("They sign in by a code that is mailed to them.")

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if given.get("groups") and given.get("is_staff") is False:
            self.add_error("groups", _("Tick “may use the admin” too, or take the role away."))
        return given


class EmailAddressForm(forms.ModelForm):
    email = AddressField(label=_("E-mail address"))


class EmailAddressInline(admin.TabularInline):
    model = EmailAddress
    form = EmailAddressForm
    extra = 0


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    form = UserForm
    add_form = UserCreationForm
    add_form_template = "admin/shop/add_person.html"
    add_fieldsets = ((None, {"fields": ("email",)}),)
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
        if not allowed or obj is None:
            return allowed
        return may_change(signed_in(request), obj) and obj != request.user and not _leaves_rows(request, obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """People are deleted one by one, on a page that says why somebody cannot be."""
        return {name: act for name, act in super().get_actions(request).items() if name != "delete_selected"}

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Single permissions are for those who may do everything; all others give roles."""
        if obj is None:
            return self.add_fieldsets
        customer = [(_("Customer"), {"fields": ("as_customer",)})] if _may_see_customers(request) else []
        single = (_("Single permissions"), {"classes": ("collapse",), "fields": ("is_superuser", "user_permissions")})
        return (
            (None, {"fields": ("email", "password")}),
            *customer,
            (_("Role in the shop"), {"fields": ("is_active", "is_staff", "groups", "leaving")}),
            *([single] if signed_in(request).is_superuser else []),
            (_("Dates"), {"fields": ("last_login", "date_joined")}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """What one may do oneself, somebody else changes: a wrong tick would shut the only owner out."""
        own = ("is_active", "is_staff", "groups", "is_superuser") if obj == request.user else ()
        return ("as_customer", "leaving", "last_login", "date_joined", *own) if obj else ()

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

    @admin.display(description=_("when they leave"))
    def leaving(self, user: User) -> SafeString | str:
        if user.is_staff or user.is_superuser:
            return gettext("Take “active” away: what they did stays in the log under their name.")
        proven = proven_emails(user)
        if not proven:
            return gettext("Take “active” away.")
        said = gettext("Take “active” away, or have everything that names them erased:")
        email = user.email if user.email in proven else min(proven)
        page = f"{reverse('admin:fulfillment_customer_erase')}?{urlencode({'email': email})}"
        return format_html('{} <a href="{}">{}</a>', said, page, gettext("Erase this customer"))


def _leaves_rows(request: HttpRequest, user: User) -> bool:
    """Whether something that nobody deletes would go with the account, so that Django would refuse it at last."""
    if user.orders.exists() or user.logentry_set.exists():  # before all that would go is read
        return True
    collector = NestedObjects(using=router.db_for_write(User), origin=[user])
    collector.collect([user])
    kept = (admin.site.get_model_admin(model) for model in collector.data if admin.site.is_registered(model))
    closed = any(not one.has_delete_permission(request) for one in kept if one.model is not User)
    return closed or bool(collector.protected)


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
