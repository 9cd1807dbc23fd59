from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("fulfillment", "0006_leases_by_the_databases_clock")]

    operations = [
        migrations.AddField(
            model_name="stripeevent",
            name="endpoint",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="The label of the secret that signed it.",
                max_length=40,
            ),
        ),
    ]
