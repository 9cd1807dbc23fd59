from django.db import migrations

# Published means that there is something to deliver. Checked when the transaction commits, so that a product, its
# edition and its files may be written in any order.
CREATE = """
CREATE FUNCTION catalog_published_has_file() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    product_id bigint;
    product_name text;
BEGIN
    product_id := CASE TG_TABLE_NAME
        WHEN 'catalog_product' THEN (to_jsonb(NEW) ->> 'id')::bigint
        WHEN 'catalog_edition' THEN (to_jsonb(OLD) ->> 'product_id')::bigint
        ELSE (SELECT e.product_id FROM catalog_edition e WHERE e.id = (to_jsonb(OLD) ->> 'edition_id')::bigint)
    END;
    SELECT p.name INTO product_name FROM catalog_product p
    WHERE p.id = product_id AND p.status = 'published' AND NOT EXISTS (
        SELECT FROM catalog_edition e JOIN catalog_file f ON f.edition_id = e.id
        WHERE e.product_id = p.id AND e.published_at IS NOT NULL
    );
    IF FOUND THEN
        RAISE EXCEPTION '"%" is published and has no file', product_name
            USING ERRCODE = 'check_violation', CONSTRAINT = 'product_published_has_file';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER product_published_has_file AFTER INSERT OR UPDATE OF status ON catalog_product
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION catalog_published_has_file();
CREATE CONSTRAINT TRIGGER product_published_has_file AFTER DELETE OR UPDATE OF product_id, published_at
    ON catalog_edition DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION catalog_published_has_file();
CREATE CONSTRAINT TRIGGER product_published_has_file AFTER DELETE OR UPDATE OF edition_id
    ON catalog_file DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION catalog_published_has_file();
"""
DROP = "DROP FUNCTION catalog_published_has_file() CASCADE;"


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial")]
    operations = [migrations.RunSQL(CREATE, DROP)]
