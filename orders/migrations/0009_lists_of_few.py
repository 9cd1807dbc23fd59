from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Orders go on being written while the indexes are built."""

    atomic = False

    dependencies = [("orders", "0008_daily_figures")]

    operations = [
        AddIndexConcurrently(
            "order",
            models.Index(
                fields=["-created_at", "-id"], name="order_disputed", condition=models.Q(("dispute", ""), _negated=True)
            ),
        ),
        AddIndexConcurrently(
            "order",
            models.Index(fields=["-created_at", "-id"], name="order_refunded", condition=models.Q(("refunded__gt", 0))),
        ),
    ]
