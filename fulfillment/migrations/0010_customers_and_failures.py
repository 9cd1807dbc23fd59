import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fulfillment", "0009_holds"),
        ("orders", "0007_found_and_followed"),
    ]

    operations = [
        migrations.CreateModel(
            name="EventFailure",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("attempt", models.PositiveSmallIntegerField(help_text="Which try it was, from 1.")),
                ("error", models.TextField()),
                (
                    "event",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="failures",
                        to="fulfillment.stripeevent",
                    ),
                ),
            ],
            options={"ordering": ("pk",), "default_permissions": ("view",)},
        ),
        migrations.CreateModel(
            name="Customer",
            fields=[],
            options={
                "verbose_name": "customer",
                "verbose_name_plural": "customers",
                "permissions": (),
                "proxy": True,
                "default_permissions": ("view",),
                "indexes": [],
                "constraints": [],
            },
            bases=("orders.order",),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                models.F("recipient"),
                models.F("id"),
                condition=models.Q(("order", None)),
                name="delivery_letters_to",
            ),
        ),
    ]
