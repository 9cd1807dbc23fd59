import django.db.models.functions.datetime
from django.db import migrations, models

CLOCK = django.db.models.functions.datetime.Now()


class Migration(migrations.Migration):
    dependencies = [
        ("fulfillment", "0005_books"),
    ]

    operations = [
        migrations.AlterField("stripeevent", "received_at", models.DateTimeField(db_default=CLOCK)),
        migrations.AlterField("stripeevent", "next_attempt_at", models.DateTimeField(db_default=CLOCK)),
        migrations.AlterField("delivery", "created_at", models.DateTimeField(db_default=CLOCK)),
        migrations.AlterField("delivery", "next_attempt_at", models.DateTimeField(db_default=CLOCK)),
    ]
