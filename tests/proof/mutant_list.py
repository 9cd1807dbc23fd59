"""The accidents that the proof has to notice: what is replaced where, and which proof must fail then."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Edit:
    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Proof:
    """A module to run with these words; its exit code says whether it holds."""

    module: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((self.module, *self.words))


@dataclass(frozen=True, kw_only=True)
class Mutant:
    name: str
    proof: Proof
    edits: tuple[Edit, ...] = field(default=())
    sql: str = ""  # run after the last migration


def kill(flow: str, kind: str, every: int = 1) -> Proof:
    return Proof("tests.proof.kill", ("--flow", flow, "--kind", kind, "--every", str(every)))


def tests(*files: str) -> Proof:
    return Proof("pytest", files)


CONSTRAINTS = tests("tests/fulfillment/test_constraints.py")
HOLDS = tests("tests/fulfillment/test_holds.py")
RACES = tests("tests/fulfillment/test_at_once.py")

KEYS = (
    Mutant(
        name="inbox: two rows for one event",
        proof=kill("webhook", "lines", every=5),
        sql="ALTER TABLE fulfillment_stripeevent DROP CONSTRAINT fulfillment_stripeevent_event_id_key",
        edits=(
            Edit(
                "fulfillment/inbox.py",
                """    ON CONFLICT (event_id) DO UPDATE
    SET state = EXCLUDED.state, next_attempt_at = EXCLUDED.next_attempt_at, body = EXCLUDED.body, note = ''
    WHERE fulfillment_stripeevent.state = 'ignored' AND EXCLUDED.state = 'received'
        AND fulfillment_stripeevent.handled_at IS NULL""",
                "",
            ),
        ),
    ),
    Mutant(
        name="orders: two for one session",
        proof=tests("tests/proof/test_races.py"),
        sql="ALTER TABLE orders_order DROP CONSTRAINT orders_order_stripe_session_id_key;"
        " ALTER TABLE orders_order DROP CONSTRAINT orders_order_stripe_payment_intent_id_key",
    ),
    Mutant(
        name="entitlements: two for one line",
        proof=CONSTRAINTS,
        sql="ALTER TABLE fulfillment_entitlement DROP CONSTRAINT fulfillment_entitlement_order_line_id_key",
    ),
    Mutant(name="deliveries: two of one seq", proof=CONSTRAINTS, sql="DROP INDEX delivery_once"),
    Mutant(name="holds: two open for one line", proof=HOLDS, sql="DROP INDEX hold_one_open"),
    Mutant(name="mail: accepted twice", proof=CONSTRAINTS, sql="DROP INDEX delivery_accepted_once"),
)

BY_HAND = (
    Mutant(
        name="holds: the next look at the payment restores",
        proof=HOLDS,
        edits=(Edit("fulfillment/converge.py", "    if is_held:\n", "    if False:\n"),),
    ),
    Mutant(
        name="holds: restored whatever became of the money",
        proof=HOLDS,
        edits=(
            Edit(
                "fulfillment/converge.py",
                "    if order.is_refunded or line.refunded >= line.amount > 0:\n",
                "    if not order.holds.exists() and (order.is_refunded or line.refunded >= line.amount > 0):\n",
            ),
        ),
    ),
    Mutant(
        name="free copies: each press makes another",
        proof=tests("tests/desk/test_give_pages.py"),
        edits=(Edit("fulfillment/giving.py", "reference=reference_of(key),", "reference=reference_of(uuid.uuid4()),"),),
    ),
)

WEBHOOK = (
    Mutant(
        name="webhook: acknowledged before it is stored",
        proof=kill("webhook", "lines"),
        edits=(
            Edit(
                "fulfillment/webhook.py",
                '        event_id = inbox.store(body, endpoint=settings.STRIPE_WEBHOOK_LABELS.get(secret, ""))\n',
                "        event_id = None\n",
            ),
            Edit(
                "fulfillment/webhook.py",
                '    return _answer(200, "stored")',
                '    answer = _answer(200, "stored")\n'
                "    answer._resource_closers.append(lambda: inbox.store(body))\n"
                "    return answer",
            ),
        ),
    ),
    Mutant(
        name="webhook: acknowledged though it could not be stored",
        proof=tests("tests/storefront/test_health.py"),
        edits=(Edit("fulfillment/webhook.py", '_answer(503, "try again")', '_answer(200, "stored")'),),
    ),
    Mutant(
        name="webhook: only the first copy wakes a worker",
        proof=tests("tests/fulfillment/test_webhook.py"),
        edits=(
            Edit(
                "fulfillment/inbox.py",
                "        is_new = cursor.rowcount\n",
                "        is_new = cursor.rowcount\n        if not is_new:\n            return None\n",
            ),
        ),
    ),
)

WORK = (
    Mutant(
        name="inbox: marked before it is processed",
        # Not by a sweep of kills: each refund has several events, and the others make up for the one that is lost.
        proof=tests("tests/fulfillment/test_inbox.py"),
        edits=(
            Edit(
                "fulfillment/inbox.py",
                ".update(claim=claim, next_attempt_at=Now() + LEASE, attempts=F(",
                '.update(state="handled", handled_at=Now(), attempts=F(',
            ),
        ),
    ),
    Mutant(
        name="inbox: claimed without a condition",
        proof=tests("tests/fulfillment/test_inbox.py"),
        edits=(
            Edit(
                "fulfillment/inbox.py",
                "        StripeEvent.objects.due(Now())\n        .filter(event_id=event_id)",
                "        StripeEvent.objects.filter(event_id=event_id)",
            ),
        ),
    ),
    Mutant(
        name="inbox: finished by who lost the claim",
        proof=tests("tests/fulfillment/test_inbox.py"),
        edits=(
            Edit(
                "fulfillment/inbox.py",
                "filter(pk=event.pk, claim=claim, state=StripeEvent.State.RECEIVED)",
                "filter(pk=event.pk, state=StripeEvent.State.RECEIVED)",
            ),
        ),
    ),
    Mutant(
        name="inbox: a lease that never ends",
        proof=kill("refund", "statements"),
        edits=(Edit("fulfillment/inbox.py", "LEASE = timedelta(seconds=60)", "LEASE = timedelta(days=3650)"),),
    ),
    Mutant(
        name="inbox: the payload is believed",
        proof=tests("tests/proof/test_races.py"),
        edits=(
            Edit(
                "fulfillment/inbox.py",
                '    outcome = fulfill(session_id, door="webhook")\n',
                "    import dataclasses\n\n"
                "    from fulfillment.converge import converge\n\n"
                "    said = _object(json.loads(bytes(event.body)))\n"
                "    seen, facts = Order.objects.facts_version(session_id), stripe_api.fetch_facts(session_id)\n"
                "    if event_types.LEADS.get(event.type) is By.SESSION:\n"
                '        believed = {key: said[key] for key in ("status", "payment_status")}\n'
                "        facts = dataclasses.replace(facts, **believed)\n"
                '    outcome = converge(facts, seen=seen, door="webhook")\n',
            ),
        ),
    ),
    Mutant(
        name="sweep: leaves the events alone",
        proof=kill("refund", "statements"),
        edits=(
            Edit(
                "fulfillment/sweep.py",
                "    swept.events = _each(_events_due(), inbox.handle, _events_open, swept)\n",
                "",
            ),
        ),
    ),
    Mutant(
        name="sweep: leaves the orders alone",
        proof=kill("success page", "lines", every=40),
        edits=(
            Edit(
                "fulfillment/sweep.py",
                "    swept.orders = _each(_orders_due(), check_order, _orders_in_need, swept)\n",
                "",
            ),
        ),
    ),
    Mutant(
        name="sweep: leaves the mails alone",
        proof=kill("mail", "statements"),
        edits=(
            Edit(
                "fulfillment/sweep.py",
                "swept.mails = _each(_deliveries_due(), outbox.send, _mails_open, swept)",
                "swept.mails = 0",
            ),
        ),
    ),
)

MONEY = (
    Mutant(
        name="money: completed counts as paid",
        proof=kill("delayed, fails", "lines", every=40),
        edits=(
            Edit(
                "orders/payments.py",
                '        if facts.payment_status in ("paid", "no_payment_required"):',
                '        if facts.status == "complete":',
            ),
        ),
    ),
    Mutant(
        name="money: stale facts are absorbed",
        proof=tests("tests/fulfillment/test_converge.py"),
        edits=(
            Edit(
                "fulfillment/converge.py",
                "    if knows and order.facts_version != seen and order.facts_digest != facts.digest:\n"
                "        return Outcome(order=order, stale=True)\n",
                "",
            ),
        ),
    ),
    Mutant(
        name="money: the order is not locked",
        proof=tests("tests/proof/test_races.py"),
        edits=(
            Edit(
                "fulfillment/converge.py",
                '    orders = Order.objects.select_for_update(of=("self",))\n',
                "    orders = Order.objects.all()\n",
            ),
        ),
    ),
    Mutant(
        name="money: the mail's row is written after the commit",
        proof=kill("success page", "statements"),
        edits=(
            Edit(
                "fulfillment/announce.py",
                "        Delivery.objects.bulk_create(new, ignore_conflicts=True)\n",
                "        transaction.on_commit(lambda: Delivery.objects.bulk_create(new, ignore_conflicts=True))\n",
            ),
            Edit(
                "fulfillment/announce.py",
                "from django.db.models import BooleanField",
                "from django.db import transaction\nfrom django.db.models import BooleanField",
            ),
        ),
    ),
    Mutant(
        name="money: access is given after the commit",
        proof=kill("success page", "statements"),
        edits=(
            Edit(
                "fulfillment/converge.py",
                "    _grant(order, deliverable, door=door)\n",
                "    transaction.on_commit(lambda: _grant(order, deliverable, door=door))\n",
            ),
        ),
    ),
)

MAIL = (
    Mutant(
        name="mail: marked as sent before it is sent",
        proof=kill("mail", "statements"),
        edits=(
            Edit(
                "fulfillment/outbox.py",
                "    attempt = delivery.attempt_log.create()\n",
                "    attempt = delivery.attempt_log.create()\n"
                '    _record(delivery, attempt, claim, smtp.Result(Outcome.ACCEPTED, "will be"))\n'
                "    attempt.phase = DeliveryAttempt.Phase.BODY\n"
                "    smtp.send(compose(delivery), before_body=bool)\n"
                "    return True\n",
            ),
        ),
    ),
    Mutant(
        name="mail: claimed without a condition",
        proof=RACES,
        edits=(
            Edit(
                "fulfillment/outbox.py",
                "        Delivery.objects.due(Now())\n        .filter(pk=delivery_id)",
                "        Delivery.objects.filter(pk=delivery_id)",
            ),
        ),
    ),
    Mutant(
        name="mail: sent by who lost the claim",
        proof=tests("tests/fulfillment/test_outbox.py"),
        edits=(
            Edit(
                "fulfillment/outbox.py",
                "Delivery.objects.filter(pk=attempt.delivery_id, claim=claim)",
                "Delivery.objects.filter(pk=attempt.delivery_id)",
            ),
        ),
    ),
    Mutant(
        name="mail: a lease that never ends",
        proof=kill("mail", "statements"),
        edits=(Edit("fulfillment/outbox.py", "LEASE = timedelta(seconds=60)", "LEASE = timedelta(days=3650)"),),
    ),
    Mutant(
        name="mail: nobody notes that the text leaves",
        proof=kill("mail", "lines"),
        edits=(Edit("fulfillment/outbox.py", '    attempt.save(update_fields=["phase"])\n', ""),),
    ),
    Mutant(
        name="mail: an unconfirmed one is repeated at once",
        proof=tests("tests/fulfillment/test_outbox.py"),
        edits=(
            Edit(
                "fulfillment/outbox.py",
                'smtp.Result(Outcome.UNCONFIRMED, "the sender died waiting for the reply"))\n    return False\n',
                'smtp.Result(Outcome.UNCONFIRMED, "the sender died waiting for the reply"))\n    return True\n',
            ),
        ),
    ),
    Mutant(
        name="mail: unconfirmed ones are repeated for ever",
        proof=tests("tests/fulfillment/test_outbox.py"),
        edits=(Edit("fulfillment/outbox.py", "State.GAVE_UP if so_far > 1", "State.GAVE_UP if so_far > 9"),),
    ),
)

MUTANTS = (*KEYS, *BY_HAND, *WEBHOOK, *WORK, *MONEY, *MAIL)
