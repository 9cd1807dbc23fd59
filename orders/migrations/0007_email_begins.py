from django.contrib.postgres.indexes import OpClass
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0006_language")]

    operations = [
        migrations.AddIndex(
            model_name="order",
            index=models.Index(OpClass("email", "varchar_pattern_ops"), name="order_email_begins"),
        ),
    ]
