from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fulfillment", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="delivery",
            name="about",
            field=models.CharField(blank=True, db_default="", default="", max_length=255),
        ),
        migrations.AddField(
            model_name="delivery",
            name="amount",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="kind",
            field=models.CharField(
                choices=[
                    ("order", "order and its files"),
                    ("link", "fresh link"),
                    ("waiting", "payment on its way"),
                    ("failed", "payment failed"),
                    ("refund", "Refund"),
                    ("refund_failed", "refund failed"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="state",
            field=models.CharField(
                choices=[
                    ("pending", "Pending"),
                    ("sending", "Sending"),
                    ("sent", "Sent"),
                    ("unconfirmed", "Unconfirmed"),
                    ("gave_up", "gave up"),
                    ("withdrawn", "no longer needed"),
                ],
                default="pending",
                max_length=12,
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.UniqueConstraint(
                models.F("order"),
                models.F("kind"),
                models.F("about"),
                condition=models.Q(("about", ""), _negated=True),
                name="delivery_once_for_each_happening",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ("refund", "refund_failed")), _negated=True)
                | models.Q(("about", ""), _negated=True),
                name="delivery_of_refund_names_it",
            ),
        ),
    ]
