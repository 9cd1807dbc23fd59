import catalog.columns
import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.functions.text
from django.contrib.postgres.operations import TrigramExtension
from django.db import migrations, models

# What kinds of files the edition on sale has. The row is locked first, so that of two uploads at once the second one
# sees the first one's file. No trigger runs before the update: PostgreSQL would make the search columns anew with
# every change of a product, whatever was changed.
CREATE = """
CREATE FUNCTION catalog_set_kinds(product bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    found varchar[];
BEGIN
    PERFORM FROM catalog_product p WHERE p.id = product FOR NO KEY UPDATE;
    found := ARRAY(
        SELECT DISTINCT k.kind FROM catalog_file f CROSS JOIN LATERAL (SELECT CASE
            WHEN f.media_type = 'application/pdf' THEN 'pdf'
            WHEN f.media_type = 'application/epub+zip' THEN 'epub'
            WHEN f.media_type = 'application/zip' THEN 'archive'
            ELSE substring(f.media_type FROM '^(audio|video|image|text)/')
        END) AS k (kind)
        WHERE k.kind IS NOT NULL AND f.edition_id = (
            SELECT e.id FROM catalog_edition e
            WHERE e.product_id = product AND e.published_at IS NOT NULL
                AND EXISTS (SELECT FROM catalog_file c WHERE c.edition_id = e.id)
            ORDER BY e.number DESC LIMIT 1
        )
        ORDER BY k.kind
    );
    UPDATE catalog_product p SET kinds = found WHERE p.id = product AND p.kinds IS DISTINCT FROM found;
END $$;
CREATE FUNCTION catalog_kinds_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE TG_TABLE_NAME
        WHEN 'catalog_product' THEN
            PERFORM catalog_set_kinds(NEW.id);
        WHEN 'catalog_edition' THEN
            PERFORM catalog_set_kinds(OLD.product_id);
        ELSE
            PERFORM catalog_set_kinds(e.product_id) FROM catalog_edition e
            WHERE e.id = CASE WHEN TG_OP = 'DELETE' THEN OLD.edition_id ELSE NEW.edition_id END;
    END CASE;
    RETURN NULL;
END $$;
CREATE TRIGGER product_kinds AFTER INSERT OR UPDATE OF kinds ON catalog_product
    FOR EACH ROW EXECUTE FUNCTION catalog_kinds_changed();
CREATE TRIGGER product_kinds AFTER DELETE OR UPDATE OF number, published_at ON catalog_edition
    FOR EACH ROW EXECUTE FUNCTION catalog_kinds_changed();
CREATE TRIGGER product_kinds AFTER INSERT OR DELETE OR UPDATE OF media_type ON catalog_file
    FOR EACH ROW EXECUTE FUNCTION catalog_kinds_changed();
SELECT catalog_set_kinds(id) FROM catalog_product;
"""
DROP = """
DROP FUNCTION catalog_kinds_changed() CASCADE;
DROP FUNCTION catalog_set_kinds(bigint);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0003_prices_in_stripe"),
    ]

    operations = [
        # A trusted extension: whoever owns the database may create it.
        TrigramExtension(),
        migrations.CreateModel(
            name="Tag",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=40)),
                ("slug", models.SlugField(max_length=40, unique=True)),
            ],
            options={
                "ordering": ("name",),
                "constraints": [
                    models.UniqueConstraint(django.db.models.functions.text.Lower("name"), name="tag_name_unique")
                ],
            },
        ),
        migrations.AddField(
            model_name="product",
            name="tags",
            field=models.ManyToManyField(blank=True, related_name="products", to="catalog.tag"),
        ),
        migrations.AddField(
            model_name="product",
            name="contents",
            field=models.TextField(blank=True, db_default="", default="", editable=False),
        ),
        migrations.AddField(
            model_name="product",
            name="sales",
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="product",
            name="kinds",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[
                        ("pdf", "PDF"),
                        ("epub", "EPUB"),
                        ("audio", "Audio"),
                        ("video", "Video"),
                        ("image", "Images"),
                        ("text", "Text"),
                        ("archive", "ZIP archive"),
                    ],
                    max_length=10,
                ),
                blank=True,
                db_default=models.Value([]),
                default=list,
                editable=False,
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="product",
            name="name_words",
            field=models.GeneratedField(
                db_persist=True,
                expression=django.contrib.postgres.search.SearchVector("name", config="simple"),
                output_field=catalog.columns.UnreadVectorField(),
            ),
        ),
        migrations.AddField(
            model_name="product",
            name="words",
            field=models.GeneratedField(
                db_persist=True,
                expression=django.contrib.postgres.search.SearchVector(
                    "name",
                    "summary",
                    django.db.models.functions.text.Left("description", 20000),
                    django.db.models.functions.text.Left("contents", 50000),
                    config="simple",
                ),
                output_field=catalog.columns.UnreadVectorField(),
            ),
        ),
        migrations.AddIndex(
            model_name="product",
            index=models.Index(
                models.F("currency"),
                models.F("price"),
                models.F("id"),
                condition=models.Q(("status", "published")),
                name="product_by_price",
            ),
        ),
        migrations.AddIndex(
            model_name="product",
            index=models.Index(
                django.db.models.functions.text.Lower("name"),
                models.F("id"),
                condition=models.Q(("status", "published")),
                name="product_by_name",
            ),
        ),
        migrations.AddIndex(
            model_name="product",
            index=models.Index(
                models.F("sales"), models.F("id"), condition=models.Q(("status", "published")), name="product_by_sales"
            ),
        ),
        migrations.AddIndex(
            model_name="product",
            index=django.contrib.postgres.indexes.GinIndex(
                models.F("name_words"), fastupdate=False, name="product_name_words"
            ),
        ),
        migrations.AddIndex(
            model_name="product",
            index=django.contrib.postgres.indexes.GinIndex(models.F("words"), fastupdate=False, name="product_words"),
        ),
        migrations.AddIndex(
            model_name="product",
            index=django.contrib.postgres.indexes.GinIndex(models.F("kinds"), name="product_kinds"),
        ),
        migrations.AddIndex(
            model_name="product",
            index=django.contrib.postgres.indexes.GinIndex(
                django.contrib.postgres.indexes.OpClass("name", "gin_trgm_ops"), name="product_name_trigrams"
            ),
        ),
        migrations.RunSQL(CREATE, DROP),
    ]
