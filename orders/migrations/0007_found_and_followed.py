from django.conf import settings
from django.db import migrations, models

# As before, and what told of an entry is one more thing that never changes.
TRIGGER = r"""
CREATE OR REPLACE FUNCTION orders_timeline_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE'
        AND ({new}) = ({old})
        AND NEW.detail = orders_without_addresses(OLD.detail)
        AND EXISTS (SELECT FROM orders_order o WHERE o.id = OLD.order_id AND o.erased_at IS NOT NULL)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the timeline is append-only'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'timeline_append_only';
END $$;
"""
KEPT = ("id", "order_id", "at", "kind", "door")


def trigger(*columns: str) -> str:
    return TRIGGER.format(**{row: ", ".join(f"{row.upper()}.{name}" for name in columns) for row in ("new", "old")})


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0006_language"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="order",
            options={
                "ordering": ("-created_at", "-pk"),
                "permissions": (
                    ("refund_order", "Can refund orders"),
                    ("mail_order", "Can send orders' mails again, correct addresses and void links"),
                    ("replay_order", "Can ask Stripe about orders again"),
                    ("answer_dispute", "Can see and submit evidence in disputes"),
                    ("grant_order", "Can give products away"),
                    ("suspend_order", "Can suspend and restore access"),
                ),
            },
        ),
        migrations.RemoveIndex(
            model_name="order",
            name="order_email",
        ),
        migrations.AddField(
            model_name="order",
            name="link_opened_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="order",
            name="paid_brand",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=30),
        ),
        migrations.AddField(
            model_name="order",
            name="paid_by",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=40),
        ),
        migrations.AddField(
            model_name="order",
            name="paid_last4",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=4),
        ),
        migrations.AddField(
            model_name="order",
            name="stripe_charge_id",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=255),
        ),
        migrations.AddField(
            model_name="timelineentry",
            name="event",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="The event of Stripe's that told of it.",
                max_length=255,
            ),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(fields=["email"], name="order_email_prefix", opclasses=("varchar_pattern_ops",)),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(
                models.F("stripe_charge_id"),
                condition=models.Q(("stripe_charge_id", ""), _negated=True),
                name="order_charge",
            ),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(
                models.F("stripe_customer_id"),
                condition=models.Q(("stripe_customer_id", ""), _negated=True),
                name="order_customer",
            ),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(
                condition=models.Q(("paid_last4", ""), _negated=True),
                fields=["paid_last4", "-created_at", "-id"],
                name="order_last4",
            ),
        ),
        migrations.RunSQL(trigger(*KEPT, "event"), trigger(*KEPT)),
    ]
