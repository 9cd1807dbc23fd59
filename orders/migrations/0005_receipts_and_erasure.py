import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

# The timeline stays append-only, with one way in: of an order whose buyer was forgotten, the addresses may be taken
# out of the details, and nothing else may change. The same function does it and is asked whether it was done.
CREATE = r"""
CREATE FUNCTION orders_without_addresses(detail text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT regexp_replace(detail, '[^\s<>(),;:"'']*@[^\s<>(),;:"'']*', '…', 'g')
$$;
CREATE OR REPLACE FUNCTION orders_timeline_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE'
        AND (NEW.id, NEW.order_id, NEW.at, NEW.kind, NEW.door) = (OLD.id, OLD.order_id, OLD.at, OLD.kind, OLD.door)
        AND NEW.detail = orders_without_addresses(OLD.detail)
        AND EXISTS (SELECT FROM orders_order o WHERE o.id = OLD.order_id AND o.erased_at IS NOT NULL)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the timeline is append-only'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'timeline_append_only';
END $$;
"""
DROP = """
CREATE OR REPLACE FUNCTION orders_timeline_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the timeline is append-only'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'timeline_append_only';
END $$;
DROP FUNCTION orders_without_addresses(text);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0004_refund_requests"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Billing",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(blank=True, max_length=120)),
                ("address", models.CharField(blank=True, max_length=400)),
                ("vat_number", models.CharField(blank=True, max_length=30)),
                ("changed_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.AddField(
            model_name="order",
            name="erased_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AlterField(
            model_name="timelineentry",
            name="kind",
            field=models.CharField(
                choices=[
                    ("created", "Created"),
                    ("checkout_started", "checkout started"),
                    ("state", "payment state"),
                    ("refunded", "Refunded"),
                    ("dispute", "Dispute"),
                    ("access", "Access"),
                    ("attention", "Attention"),
                    ("mail", "Mail"),
                    ("by_hand", "by hand"),
                    ("billing", "details for the receipt"),
                ],
                max_length=20,
            ),
        ),
        migrations.AddConstraint(
            model_name="order",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("erased_at", None),
                    models.Q(
                        ("buyer_address", None), ("buyer_agent", ""), ("email__endswith", "@invalid"), ("user", None)
                    ),
                    _connector="OR",
                ),
                name="order_erased_names_nobody",
            ),
        ),
        migrations.AddField(
            model_name="billing",
            name="order",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT, related_name="billing", to="orders.order"
            ),
        ),
        migrations.RunSQL(CREATE, DROP),
    ]
