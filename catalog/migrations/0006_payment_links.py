import uuid

import django.db.models.deletion
from django.db import migrations, models

import catalog.money


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0005_look_inside"),
    ]

    operations = [
        migrations.CreateModel(
            name="PaymentLink",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("price", models.IntegerField(help_text="Minor units.")),
                ("currency", models.CharField(choices=catalog.money.choices, max_length=3)),
                ("livemode", models.BooleanField(default=False)),
                ("link_id", models.CharField(max_length=255, null=True, unique=True, verbose_name="link in Stripe")),
                ("url", models.URLField(blank=True, max_length=500)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("deactivated_at", models.DateTimeField(null=True)),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="payment_links", to="catalog.product"
                    ),
                ),
            ],
            options={
                "permissions": (("make_paymentlink", "Can make and deactivate Payment Links"),),
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(
                        models.F("product"),
                        models.F("price"),
                        models.F("currency"),
                        models.F("livemode"),
                        condition=models.Q(("deactivated_at", None)),
                        name="payment_link_once_for_its_terms",
                    ),
                    models.CheckConstraint(condition=models.Q(("price__gt", 0)), name="payment_link_price_positive"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("link_id", None), ("url", "")),
                            models.Q(
                                ("link_id__isnull", False),
                                ("link_id__regex", "^plink_[A-Za-z0-9]+$"),
                                models.Q(("url", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="payment_link_has_id_and_address",
                    ),
                ],
            },
        ),
    ]
