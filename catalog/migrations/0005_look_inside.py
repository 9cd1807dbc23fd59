import django.db.models.deletion
import secrets
from django.db import migrations, models


# What is for sale already gets its sample, and its outline is read, by the worker or the sweep.
WANT = """
INSERT INTO catalog_sample (product_id, state, due_at, key, problem, pdf_size)
SELECT product_id, 'wanted', statement_timestamp(),
    replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), '', 0
FROM (
    SELECT DISTINCT e.product_id FROM catalog_edition e JOIN catalog_file f ON f.edition_id = e.id
    WHERE f.media_type = 'application/pdf'
) AS products
"""


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0004_search"),
    ]

    operations = [
        migrations.CreateModel(
            name="Sample",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("wanted", "Wanted"),
                            ("made", "Made"),
                            ("failed", "Failed"),
                            ("replaced", "Replaced"),
                        ],
                        default="wanted",
                        max_length=10,
                    ),
                ),
                ("due_at", models.DateTimeField(null=True)),
                ("key", models.CharField(default=secrets.token_hex, max_length=64, unique=True)),
                ("problem", models.CharField(blank=True, max_length=300)),
                ("made_at", models.DateTimeField(null=True)),
                ("pdf_size", models.PositiveIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="SamplePage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("height", models.PositiveSmallIntegerField()),
            ],
            options={
                "ordering": ("number",),
            },
        ),
        migrations.AddField(
            model_name="file",
            name="outline",
            field=models.JSONField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="product",
            name="sample_pages",
            field=models.CharField(
                blank=True,
                db_default="1-5",
                default="1-5",
                help_text="Such as 1-5, 12. Everybody may see these pages, and the cover and the contents page with them, as pictures and as a marked sample. Never more than a third of the PDF, nor more than 30 pages, whatever you write. Empty or 0 shows nothing.",
                max_length=100,
                verbose_name="pages to look inside",
            ),
        ),
        migrations.AddConstraint(
            model_name="product",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("sample_pages__regex", "^([0-9]{1,5}(-[0-9]{1,5})?(, [0-9]{1,5}(-[0-9]{1,5})?)*)?$")
                ),
                name="product_sample_pages_clear",
            ),
        ),
        migrations.AddField(
            model_name="sample",
            name="edition",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="samples", to="catalog.edition"
            ),
        ),
        migrations.AddField(
            model_name="sample",
            name="product",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="samples", to="catalog.product"
            ),
        ),
        migrations.AddField(
            model_name="samplepage",
            name="sample",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="pages", to="catalog.sample"
            ),
        ),
        migrations.AddIndex(
            model_name="sample",
            index=models.Index(models.F("due_at"), condition=models.Q(("due_at__isnull", False)), name="sample_due"),
        ),
        migrations.AddIndex(
            model_name="sample",
            index=models.Index(
                models.F("id"), condition=models.Q(("due_at", None), ("product", None)), name="sample_left_behind"
            ),
        ),
        migrations.AddConstraint(
            model_name="sample",
            constraint=models.UniqueConstraint(
                models.F("product"), condition=models.Q(("state", "wanted")), name="sample_wanted_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="sample",
            constraint=models.UniqueConstraint(
                models.F("product"), condition=models.Q(("state__in", ("made", "failed"))), name="sample_shown_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="sample",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ("made", "failed")), ("due_at__isnull", False), _connector="OR"),
                name="sample_work_is_due",
            ),
        ),
        migrations.AddConstraint(
            model_name="sample",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "made"), _negated=True), ("made_at__isnull", False), _connector="OR"
                ),
                name="sample_made_at_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="sample",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "failed"), _negated=True),
                    models.Q(("problem", ""), _negated=True),
                    _connector="OR",
                ),
                name="sample_problem_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="samplepage",
            constraint=models.UniqueConstraint(models.F("sample"), models.F("number"), name="sample_page_once"),
        ),
        migrations.AddConstraint(
            model_name="samplepage",
            constraint=models.CheckConstraint(condition=models.Q(("number__gte", 1)), name="sample_page_from_one"),
        ),
        migrations.RunSQL(WANT, migrations.RunSQL.noop),
    ]
