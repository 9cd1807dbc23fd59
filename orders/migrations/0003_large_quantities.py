from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0002_kept_for_good"),
    ]

    operations = [
        migrations.AlterField(
            model_name="orderline",
            name="quantity",
            field=models.PositiveIntegerField(default=1),
        ),
    ]
