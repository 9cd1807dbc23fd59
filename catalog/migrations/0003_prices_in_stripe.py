import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0002_published_has_a_file"),
    ]

    operations = [
        migrations.CreateModel(
            name="StripePrice",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "price_id",
                    models.CharField(
                        error_messages={"unique": "This price already belongs to a product."},
                        help_text="The ID of a price in Stripe’s dashboard, such as price_1QxA2bC3. A Payment Link with this price delivers this product.",
                        max_length=255,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\Aprice_[A-Za-z0-9]+\\Z", "Copy the ID from Stripe: it begins with price_."
                            )
                        ],
                        verbose_name="price in Stripe",
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="stripe_prices", to="catalog.product"
                    ),
                ),
            ],
            options={
                "verbose_name": "price in Stripe",
                "verbose_name_plural": "prices in Stripe, for Payment Links",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("price_id__regex", "^price_[A-Za-z0-9]+$")), name="stripe_price_is_an_id"
                    )
                ],
            },
        ),
    ]
