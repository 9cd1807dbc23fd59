"""What must be true of the shop's rows whatever happened: numbered invariants, as SQL over the real tables.

The oracle is the outside world: the sandbox's ledger of sessions, the events it saw acknowledged, the mails it holds.
Each invariant is one statement whose rows are the offenders, as sentences; no rows means that it holds. Imports nothing
of the shop, so it serves inside the tests (Django's connection) and beside a running shop (psycopg's) alike.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

Rows = Iterable[Mapping[str, Any]]

# The outside world as tables. `ours`: sessions that this shop's checkout or one of its Payment Links made.
ORACLE = """
WITH session AS (
    SELECT * FROM jsonb_to_recordset(%(ledger)s::jsonb) AS row (
        session text, status text, paid boolean, amount_total bigint, currency text, refunded bigint,
        dispute_status text, client_reference_id text, payment_link text, metadata jsonb)
), ours AS (
    SELECT *, least(refunded, amount_total) AS returned,
        CASE WHEN dispute_status IN ('needs_response', 'under_review') THEN 'open'
             WHEN dispute_status IN ('won', 'lost') THEN dispute_status ELSE '' END AS dispute
    FROM session
    WHERE payment_link IS NOT NULL OR metadata ->> 'storefront_order' <> '' OR metadata ->> 'product_slug' <> ''
), acked AS (
    SELECT jsonb_array_elements_text(%(acked)s::jsonb) AS event_id
), mail AS (
    SELECT split_part(ltrim(message_id, '<'), '@', 1) AS name, "to"
    FROM jsonb_to_recordset(%(mails)s::jsonb) AS row (message_id text, "to" jsonb)
), outbox AS (
    -- A letter belongs to no order, and is known by a name of its own.
    SELECT d.*, o.reference, o.email, o.erased_at,
        concat(coalesce(o.reference, d.about), '.', d.kind, '.', d.seq) AS name,
        count(a.id) FILTER (WHERE a.outcome = 'accepted') AS accepted,
        count(a.id) FILTER (WHERE a.outcome = 'permanent') AS refused,
        count(a.id) FILTER (WHERE a.outcome = 'unconfirmed') AS unconfirmed,
        count(a.id) FILTER (WHERE a.finished_at IS NULL) AS unfinished,
        count(a.id) FILTER (WHERE a.phase = 'body' AND a.finished_at IS NULL) AS dangling
    FROM fulfillment_delivery d
    LEFT JOIN orders_order o ON o.id = d.order_id
    LEFT JOIN fulfillment_deliveryattempt a ON a.delivery_id = d.id
    GROUP BY d.id, o.id
), held AS (
    -- Lines that somebody at the shop suspended by hand.
    SELECT DISTINCT l.id FROM orders_orderline l JOIN fulfillment_hold h ON h.order_id = l.order_id
    WHERE h.lifted_at IS NULL AND coalesce(h.line_id, l.id) = l.id
), excused AS (
    SELECT unnest(%(excused)s::text[]) AS name
)
"""

INVARIANTS = {
    "I1 acked is stored": """
        SELECT concat(event_id, ' was acknowledged and is not in the inbox') FROM acked
        WHERE event_id NOT IN (SELECT event_id FROM fulfillment_stripeevent)""",
    "I1 stored once": """
        SELECT concat(event_id, ' is in the inbox ', count(*), ' times') FROM fulfillment_stripeevent
        GROUP BY event_id HAVING count(*) > 1""",
    "I2 paid is delivered": """
        SELECT concat('order ', o.reference, ': line ', l.id, ' has ', count(e.id), ' entitlements, ',
            count(e.id) FILTER (WHERE e.state = 'active'), ' of them active')
        FROM orders_order o JOIN orders_orderline l ON l.order_id = o.id
        LEFT JOIN fulfillment_entitlement e ON e.order_line_id = l.id
        GROUP BY o.id, l.id
        HAVING count(e.id) > 1 OR o.state = 'paid' AND o.attention = '' AND (count(e.id) = 0
            OR o.dispute NOT IN ('open', 'lost') AND (o.refunded < o.total OR o.total = 0)
            AND (l.refunded < l.unit_price * l.quantity OR l.unit_price = 0) AND l.id NOT IN (TABLE held)
            AND count(e.id) FILTER (WHERE e.state = 'active') <> 1)
        UNION ALL
        SELECT concat('order ', reference, ' is paid and has no line') FROM orders_order o
        WHERE state = 'paid' AND attention = '' AND NOT EXISTS (SELECT FROM orders_orderline WHERE order_id = o.id)""",
    "I3 paid at Stripe is paid here, the same amount": """
        SELECT concat(s.session, ' took ', s.amount_total, ' ', s.currency, ', and ', CASE WHEN o.id IS NULL
            THEN 'has no order'
            ELSE concat('order ', o.reference, ' is ', o.state, ' with ', o.total, ' ', o.currency) END)
        FROM ours s LEFT JOIN orders_order o ON o.stripe_session_id = s.session
        WHERE s.paid AND (o.state, o.total, o.currency) IS DISTINCT FROM ('paid', s.amount_total, s.currency)""",
    "I3 one session, one order": """
        SELECT concat(stripe_session_id, ' has ', count(*), ' orders') FROM orders_order
        WHERE stripe_session_id IS NOT NULL GROUP BY stripe_session_id HAVING count(*) > 1""",
    "I4 nothing for nothing": """
        SELECT concat('order ', o.reference, ': line ', l.id, ' is ', e.state, ', and the session is ',
            CASE WHEN s.session IS NULL THEN 'not ours'
                 ELSE concat_ws(', ', s.status, CASE WHEN NOT s.paid THEN 'unpaid' END,
                      CASE WHEN s.returned > 0 THEN concat(s.returned, ' of ', s.amount_total, ' returned') END,
                      CASE WHEN s.dispute <> '' THEN concat('dispute ', s.dispute) END) END)
        FROM fulfillment_entitlement e JOIN orders_orderline l ON l.id = e.order_line_id
        JOIN orders_order o ON o.id = l.order_id LEFT JOIN ours s ON s.session = o.stripe_session_id
        WHERE e.state = 'active' AND o.source IN ('checkout', 'payment_link')
            AND (s.session IS NULL OR NOT s.paid OR s.returned = s.amount_total AND s.amount_total > 0
                OR s.dispute IN ('open', 'lost'))""",
    "I5 one mail row for each paid order": """
        SELECT concat('order ', o.reference, ' is ', o.state, ' and has ', count(d.id), ' mails about it')
        FROM orders_order o LEFT JOIN fulfillment_delivery d ON d.order_id = o.id AND d.kind = 'order' AND d.seq = 1
        GROUP BY o.id
        HAVING count(d.id) > (o.paid_at IS NOT NULL)::int
            OR o.state = 'paid' AND o.attention = '' AND o.email <> '' AND count(d.id) <> 1""",
    "I6 accepted once": """
        SELECT concat('mail ', name, ' was accepted ', accepted, ' times') FROM outbox WHERE accepted > 1""",
    # What broke off after the final dot may be out. It is repeated once, under the same Message-ID.
    "I7 copies at the mail server": """
        SELECT concat('mail ', o.name, ' is ', o.state, ' after ', o.unconfirmed, ' unconfirmed tries, ',
            count(m.name), ' copies at the server')
        FROM outbox o LEFT JOIN mail m ON m.name = o.name WHERE %(mails)s::jsonb IS NOT NULL
        GROUP BY o.id, o.name, o.state, o.accepted, o.unconfirmed, o.dangling
        HAVING count(m.name) NOT BETWEEN (o.state = 'sent')::int
            AND least(o.accepted + o.unconfirmed + o.dangling, CASE WHEN %(cut_off)s::boolean THEN 2 ELSE 1 END)
        UNION ALL
        SELECT concat('mail ', name, ' is sent, and no try was accepted') FROM outbox
        WHERE (state = 'sent') <> (accepted > 0)""",
    "I8 the right reader": """
        SELECT concat('mail ', coalesce(o.name, nullif(m.name, ''), 'of nobody'), ' went to ', m."to",
            ' instead of ', coalesce(o.recipient, 'nobody'))
        FROM mail m LEFT JOIN outbox o ON o.name = m.name
        WHERE o.erased_at IS NULL  -- whom it was for is forgotten
            AND CASE WHEN o.id IS NULL THEN NOT m."to" <@ %(staff)s::jsonb
                     ELSE m."to" <> jsonb_build_array(o.recipient) END
        UNION ALL
        SELECT concat('mail ', o.name, ' is for ', o.recipient, ', and the order for ', o.email) FROM outbox o
        WHERE o.recipient <> o.email AND NOT EXISTS (SELECT FROM orders_timelineentry t
            WHERE t.order_id = o.order_id AND t.kind = 'mail' AND t.detail LIKE 'address corrected:%%')""",
    "I9 drained": """
        SELECT concat(event_id, ' of type ', type, ' is ', state, ' after ', attempts, ' tries: ', note)
        FROM fulfillment_stripeevent
        WHERE (state NOT IN ('handled', 'ignored') OR claim IS NOT NULL) AND event_id NOT IN (TABLE excused)
        UNION ALL
        SELECT concat('mail ', name, ' is ', state, ' after ', attempts, ' tries') FROM outbox
        WHERE NOT (state IN ('sent', 'withdrawn') AND claim IS NULL
            OR state = 'gave_up' AND (refused > 0 OR unconfirmed > 1)) AND recipient NOT IN (TABLE excused)
        UNION ALL
        SELECT concat('mail ', name, ' is ', state, ' and has ', unfinished, ' unfinished tries') FROM outbox
        WHERE unfinished > 0
        UNION ALL
        SELECT concat('order ', o.reference, ' is ', o.state, ', and its session ', s.status)
        FROM orders_order o JOIN ours s ON s.session = o.stripe_session_id
        WHERE NOT s.paid AND o.state <> ALL (CASE s.status WHEN 'complete' THEN '{processing,failed}'::text[]
            ELSE ARRAY[s.status] END)
        UNION ALL
        SELECT concat('order ', reference, ' needs a person: ', attention) FROM orders_order
        WHERE attention <> '' AND coalesce(stripe_session_id, '') NOT IN (TABLE excused)
            AND reference NOT IN (TABLE excused)""",
    "I9 nobody waits": """
        SELECT concat('process ', pid, ' is ', state, ' since ', state_change, ': ', query) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
            AND state LIKE 'idle in transaction%%'
            AND clock_timestamp() - state_change > make_interval(secs => %(patience)s)
        UNION ALL
        SELECT concat('process ', pid, ' waits for a lock since ', waitstart) FROM pg_locks
        WHERE NOT granted AND clock_timestamp() - waitstart > make_interval(secs => %(patience)s)""",
    "I10 legal history": """
        SELECT concat('order ', reference, ' was ', was, ' and went from ', before, ' to ', after) FROM (
            SELECT o.reference, split_part(t.detail, ' → ', 1) AS before, split_part(t.detail, ' → ', 2) AS after,
                split_part(lag(t.detail, 1, '→ → open') OVER (PARTITION BY o.id ORDER BY t.id), ' → ', 2) AS was
            FROM orders_order o JOIN orders_timelineentry t ON t.order_id = o.id AND t.kind = 'state') AS step
        WHERE was <> before OR (before, after) NOT IN (('open', 'payment on its way'), ('open', 'paid'),
            ('open', 'payment failed'), ('open', 'expired'), ('payment on its way', 'paid'),
            ('payment on its way', 'payment failed'),
            ('payment failed', 'paid'), ('payment failed', 'payment on its way'))
        UNION ALL
        SELECT concat('order ', o.reference, ' is ', o.state, ', and its history ends with ', t.detail)
        FROM orders_order o JOIN LATERAL (SELECT split_part(detail, ' → ', 2) AS detail FROM orders_timelineentry
            WHERE order_id = o.id AND kind = 'state' ORDER BY id DESC LIMIT 1) AS t ON true
        WHERE (o.state, t.detail) NOT IN (('processing', 'payment on its way'), ('paid', 'paid'),
            ('failed', 'payment failed'), ('expired', 'expired'))
        UNION ALL
        SELECT concat('order ', reference, ' is ', state, ' and has no history') FROM orders_order o
        WHERE state <> 'open' AND source IN ('checkout', 'payment_link')
            AND NOT EXISTS (SELECT FROM orders_timelineentry WHERE order_id = o.id AND kind = 'state')""",
    "I10 nothing happened twice": """
        SELECT concat('order ', reference, ': "', after, '" twice in a row') FROM (
            SELECT o.reference, t.detail AS after, lag(t.detail) OVER (
                PARTITION BY o.id, t.kind, CASE WHEN t.kind = 'access' THEN split_part(t.detail, ': ', 1) END
                ORDER BY t.id) AS before
            FROM orders_order o JOIN orders_timelineentry t ON t.order_id = o.id
            WHERE t.kind IN ('created', 'state', 'refunded', 'dispute', 'access')) AS step
        WHERE before = after
        UNION ALL
        SELECT concat('order ', o.reference, ' tells of ', told, ' sent mails and has ', sent) FROM orders_order o,
            LATERAL (SELECT count(*) AS told FROM orders_timelineentry WHERE order_id = o.id AND kind = 'mail'
                AND door = 'outbox' AND detail LIKE '%%: Sent') AS t,
            LATERAL (SELECT count(*) AS sent FROM fulfillment_delivery WHERE order_id = o.id AND state = 'sent') AS d
        WHERE told <> sent""",
    "I11 refunds": """
        SELECT concat('order ', o.reference, ' says ', o.refunded, ' of ', o.total, ' returned, Stripe ', s.returned)
        FROM orders_order o JOIN ours s ON s.session = o.stripe_session_id WHERE s.paid AND o.refunded <> s.returned
        UNION ALL
        SELECT concat('order ', o.reference, ': line ', l.id, ' is ', e.state, ' with ', l.refunded, ' of ',
            l.unit_price * l.quantity, ' returned, the order ', o.refunded, ' of ', o.total)
        FROM orders_order o JOIN orders_orderline l ON l.order_id = o.id
        JOIN fulfillment_entitlement e ON e.order_line_id = l.id
        WHERE o.state = 'paid' AND o.attention = '' AND (e.state = 'revoked') <>
            (o.total > 0 AND o.refunded = o.total OR l.unit_price > 0 AND l.refunded >= l.unit_price * l.quantity)""",
    "I12 disputes": """
        SELECT concat('order ', o.reference, ': the dispute is "', o.dispute, '", at Stripe "', s.dispute, '"')
        FROM orders_order o JOIN ours s ON s.session = o.stripe_session_id WHERE o.dispute <> s.dispute
        UNION ALL
        SELECT concat('order ', o.reference, ': line ', l.id, ' is ', e.state, ' with the dispute ', o.dispute)
        FROM orders_order o JOIN orders_orderline l ON l.order_id = o.id
        JOIN fulfillment_entitlement e ON e.order_line_id = l.id
        WHERE o.dispute IN ('open', 'lost') AND e.state = 'active'
            OR o.dispute NOT IN ('open', 'lost') AND e.state = 'suspended' AND l.id NOT IN (TABLE held)""",
    "I22 what is suspended by hand stays closed": """
        SELECT concat('order ', o.reference, ': line ', l.id, ' is active, and was suspended by hand')
        FROM orders_order o JOIN orders_orderline l ON l.order_id = o.id
        JOIN fulfillment_entitlement e ON e.order_line_id = l.id
        WHERE e.state = 'active' AND l.id IN (TABLE held)""",
    "I14 mode": """
        SELECT concat('order ', reference, ' has livemode ', livemode) FROM orders_order
        WHERE livemode <> %(livemode)s::boolean
        UNION ALL
        SELECT concat(event_id, ' has livemode ', livemode, ' and is ', state) FROM fulfillment_stripeevent
        WHERE livemode <> %(livemode)s::boolean AND state <> 'ignored'""",
    "I21 the forgotten stay forgotten": """
        SELECT concat('order ', o.reference, ' was erased, and ', left_over.what, ' names somebody')
        FROM orders_order o, LATERAL (
            SELECT 'the order' AS what WHERE o.user_id IS NOT NULL OR o.email NOT LIKE '%%@invalid'
                OR o.buyer_address IS NOT NULL OR o.buyer_agent <> '' OR o.paid_last4 <> ''
            UNION ALL SELECT 'a mail' FROM fulfillment_delivery WHERE order_id = o.id AND recipient <> o.email
            UNION ALL SELECT 'an entitlement' FROM fulfillment_entitlement e
                JOIN orders_orderline l ON l.id = e.order_line_id
                WHERE l.order_id = o.id AND (e.user_id IS NOT NULL OR e.email <> o.email)
            UNION ALL SELECT 'a receipt' FROM orders_billing WHERE order_id = o.id) AS left_over
        WHERE o.erased_at IS NOT NULL""",
    "I18 in time after the healing": """
        SELECT concat('order ', o.reference, ' reached ', 'its ' || late.what, ' ',
            extract(epoch FROM late.at - %(healed_at)s::timestamptz)::int, ' seconds after all was well')
        FROM orders_order o JOIN orders_orderline l ON l.order_id = o.id, LATERAL (
            SELECT 'library' AS what, created_at AS at FROM fulfillment_entitlement WHERE order_line_id = l.id
            UNION ALL SELECT 'mailbox', sent_at FROM fulfillment_delivery
            WHERE order_id = o.id AND (kind, seq) = ('order', 1)) AS late
        WHERE o.paid_at <= %(healed_at)s::timestamptz
            AND late.at > %(healed_at)s::timestamptz + interval '60 seconds'""",
    "I19 nothing was asked for twice": """
        SELECT concat('order ', client_reference_id, ' has ', count(*), ' sessions') FROM ours
        WHERE payment_link IS NULL AND metadata ->> 'storefront_order' = client_reference_id
        GROUP BY client_reference_id HAVING count(*) > 1""",
}

# What another look at the same facts may move (I20): counters, and when to look again.
MOVES = ("facts_version", "next_check_at", "asked_at", "attempts", "next_attempt_at", "claim", "body")
KEPT = (
    "orders_order", "orders_orderline", "orders_timelineentry", "fulfillment_stripeevent", "fulfillment_entitlement",
    "fulfillment_delivery", "fulfillment_deliveryattempt", "fulfillment_announcement", "fulfillment_news",
    "fulfillment_hold",
)  # fmt: skip


def violations(
    connection: Any,
    *,
    ledger: Rows,
    acked: Collection[str] = (),
    mails: Rows | None = None,
    livemode: bool = False,
    staff: Collection[str] = (),
    excused: Collection[str] = (),
    cut_off: bool = True,
    healed_at: datetime | None = None,
    patience: float = 5.0,
) -> list[str]:
    """Every offending row, each as `invariant: sentence`; empty when all is well.

    `ledger`: the sandbox's sessions. `acked`: ids of events it saw answered with 2xx. `mails`: what the mail server
    holds; None where no real mail was sent. `staff`: addresses that may get other mail than deliveries. `excused`:
    event ids, session ids, references and addresses that were poisoned on purpose and need not be finished.
    `cut_off`: whether anything may have broken off between a mail's final dot and our note of it; if not, no mail may
    have a second copy. `healed_at`: since when nothing is broken any more. `patience`: seconds that a
    transaction may idle and a lock be waited for.
    """
    facts = {
        "ledger": json.dumps(list(ledger)),
        "acked": json.dumps(sorted(acked)),
        "mails": None if mails is None else json.dumps([{key: m[key] for key in ("message_id", "to")} for m in mails]),
        "livemode": livemode,
        "staff": json.dumps(sorted(staff)),
        "excused": sorted(excused),
        "cut_off": cut_off,
        "healed_at": healed_at,
        "patience": patience,
    }
    found = []
    with connection.cursor() as cursor:
        for name, statement in INVARIANTS.items():
            cursor.execute(ORACLE + statement, facts)
            found += [f"{name}: {row[0]}" for row in cursor.fetchall()]
    return found


def acknowledged(events: Rows) -> set[str]:
    """The ids of the sandbox's events that were answered with 2xx at least once."""
    return {
        str(event["id"])
        for event in events
        for delivery in event["deliveries"]
        if any(one["status"] is not None and 200 <= one["status"] < 300 for one in delivery["tries"])
    }


def snapshot(connection: Any) -> list[str]:
    """Every row that matters, without what another look may move. I20: sweeping, reconciling and replaying once more
    must leave it as it was; `changes` tells how it did not."""
    found = []
    with connection.cursor() as cursor:
        for table in KEPT:
            cursor.execute(
                f"SELECT concat('{table} ', to_jsonb(t) - %(moves)s::text[]) FROM {table} t ORDER BY id",  # noqa: S608
                {"moves": list(MOVES)},
            )
            found += [row[0] for row in cursor.fetchall()]
    return found


def changes(before: list[str], after: list[str]) -> list[str]:
    """I20: each row that is in one snapshot only."""
    gone, new = set(before) - set(after), set(after) - set(before)
    return [
        *(f"I20 nothing left to change: was {row}" for row in sorted(gone)),
        *(f"I20 nothing left to change: is {row}" for row in sorted(new)),
    ]
