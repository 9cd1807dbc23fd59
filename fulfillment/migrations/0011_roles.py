"""Three roles to give to people of the shop. From then on they are the owner's, who may change them as she likes."""

from typing import Any

from django.contrib.auth.management import create_permissions
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

Table = dict[str, tuple[str, ...]]

LOOK = ("view",)
EDIT = ("view", "add", "change", "delete")

# What each role may do: the model, and of Django's own permissions the act, of ours the name.
CATALOG = {
    "catalog.category": EDIT,
    "catalog.tag": EDIT,
    "catalog.product": EDIT,
    "catalog.edition": EDIT,
    "catalog.file": EDIT,
    "catalog.stripeprice": EDIT,
    "catalog.paymentlink": (*LOOK, "make_paymentlink"),
}
# Not the files: who may see them in the admin may read every book.
CATALOG_LOOK = {
    "catalog.category": LOOK,
    "catalog.tag": LOOK,
    "catalog.product": LOOK,
    "catalog.edition": LOOK,
    "catalog.paymentlink": LOOK,
}
DESK = {
    "orders.order": (*LOOK, "mail_order", "replay_order", "grant_order", "suspend_order"),
    "orders.orderline": LOOK,
    "orders.timelineentry": LOOK,
    "orders.refundrequest": LOOK,
    "fulfillment.customer": LOOK,
    "fulfillment.delivery": LOOK,
    "fulfillment.deliveryattempt": LOOK,
    "fulfillment.download": LOOK,
    "fulfillment.entitlement": LOOK,
    "fulfillment.eventfailure": LOOK,
    "fulfillment.stripeevent": LOOK,
    "accounts.mailchoice": EDIT,
}
MONEY_AND_PEOPLE = {
    "orders.order": (*DESK["orders.order"], "refund_order", "answer_dispute", "view_figures"),
    "fulfillment.difference": (*LOOK, "change"),
    "accounts.user": EDIT,
    "accounts.signin": LOOK,
    "account.emailaddress": EDIT,
}
ROLES = {
    "Owner": {**CATALOG, **DESK, **MONEY_AND_PEOPLE},
    "Editor": CATALOG,
    "Support": {**CATALOG_LOOK, **DESK},
}

APPS = ("account", "accounts", "catalog", "orders", "fulfillment")


def give_roles(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """A group that is there already is left as it is: its owner made it, or changed it."""
    for label in APPS:
        _make_permissions(apps, label, schema_editor.connection.alias)
    groups = apps.get_model("auth", "Group").objects
    for role, table in ROLES.items():
        group, is_new = groups.get_or_create(name=role)
        if is_new:
            group.permissions.set(_permissions(apps, table))


def take_roles(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Those that somebody has stay: the people would lose what they may do."""
    apps.get_model("auth", "Group").objects.filter(name__in=ROLES, user=None).delete()


def _make_permissions(apps: StateApps, label: str, alias: str) -> None:
    """Django makes them after the last migration, which is too late for this one."""
    config = apps.get_app_config(label)
    before = getattr(config, "models_module", None)
    config.models_module = before or True  # else it is taken for an app without models
    create_permissions(config, apps=apps, using=alias, verbosity=0)
    config.models_module = before


def _permissions(apps: StateApps, table: Table) -> list[Any]:
    """Raises LookupError for a name that no permission has."""
    return [_permission(apps, model, act) for model, acts in table.items() for act in acts]


def _permission(apps: StateApps, model: str, act: str) -> Any:
    label, name = model.split(".")
    codename = f"{act}_{name}" if act in EDIT else act
    rows = apps.get_model("auth", "Permission").objects.filter(
        content_type__app_label=label, content_type__model=name, codename=codename
    )
    return _one(rows, f"{codename} of {model}")


def _one(found: Any, name: str) -> Any:
    rows = list(found)
    if len(rows) != 1:
        raise LookupError(f"{len(rows)} permissions are called {name}")
    return rows[0]


class Migration(migrations.Migration):
    dependencies = [
        ("account", "0009_emailaddress_unique_primary_email"),
        ("accounts", "0006_sessions_of_users"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("catalog", "0008_product_views"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("fulfillment", "0010_customers_and_failures"),
        ("orders", "0008_daily_figures"),
    ]

    operations = [migrations.RunPython(give_roles, take_roles)]
