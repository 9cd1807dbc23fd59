from django.db import migrations

# The timeline is written once, and what was sold stays: its file can be neither deleted nor moved to another edition.
CREATE = """
CREATE FUNCTION orders_timeline_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the timeline is append-only'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'timeline_append_only';
END $$;
CREATE TRIGGER timeline_append_only BEFORE UPDATE OR DELETE ON orders_timelineentry
    FOR EACH ROW EXECUTE FUNCTION orders_timeline_is_append_only();

CREATE FUNCTION orders_sold_file_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM orders_orderline l WHERE l.edition_id = OLD.edition_id) THEN
        RAISE EXCEPTION 'file "%" belongs to an edition that was sold', OLD.name
            USING ERRCODE = 'check_violation', CONSTRAINT = 'sold_file_is_kept';
    END IF;
    RETURN COALESCE(NEW, OLD);
END $$;
CREATE TRIGGER sold_file_is_kept BEFORE DELETE ON catalog_file
    FOR EACH ROW EXECUTE FUNCTION orders_sold_file_is_kept();
CREATE TRIGGER sold_file_is_not_moved BEFORE UPDATE OF edition_id, key, sha256 ON catalog_file
    FOR EACH ROW WHEN ((OLD.edition_id, OLD.key, OLD.sha256) IS DISTINCT FROM (NEW.edition_id, NEW.key, NEW.sha256))
    EXECUTE FUNCTION orders_sold_file_is_kept();
"""
DROP = """
DROP FUNCTION orders_timeline_is_append_only() CASCADE;
DROP FUNCTION orders_sold_file_is_kept() CASCADE;
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial")]
    operations = [migrations.RunSQL(CREATE, DROP)]
