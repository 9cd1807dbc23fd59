"""Payment intents, charges, refunds and disputes over the API."""

from sandbox.world import aftermath
from sandbox.world.errors import ApiError, invalid, required
from sandbox.world.events import emit
from sandbox.world.forms import boolean, choice, inner, integer, merged, metadata, needed, text
from sandbox.world.listing import list_objects
from sandbox.world.objects.aftermath import EVIDENCE, EVIDENCE_FILES
from sandbox.world.operations import PAGING, Call, names, operation
from sandbox.world.store import Body

EVIDENCE_FIELD, EVIDENCE_TOTAL = 20_000, 150_000  # characters
REASONS = ("duplicate", "fraudulent", "requested_by_customer")


@operation("GET", "payment_intents/{id}", names("client_secret"))
def retrieve_intent(call: Call) -> Body:
    return call.read("payment_intent")


@operation("POST", "payment_intents/{id}", names("description metadata receipt_email"))
def update_intent(call: Call) -> Body:
    return update_words(call, "payment_intent", "description", "receipt_email")


@operation("GET", "payment_intents", names("created customer customer_account", **PAGING))
def list_intents(call: Call) -> Body:
    return list_objects(call, "payment_intent", "customer")


@operation("GET", "charges/{id}")
def retrieve_charge(call: Call) -> Body:
    return call.read("charge")


@operation("POST", "charges/{id}", names("description metadata receipt_email"))
def update_charge(call: Call) -> Body:
    body = update_words(call, "charge", "description", "receipt_email")
    emit(call.account, "charge.updated", body)
    return body


def update_words(call: Call, kind: str, *fields: str) -> Body:
    body = call.account.need(kind, call.id)
    given = {name: text(call.form, name) for name in fields if name in call.form}
    return call.account.change(body, metadata=merged(body["metadata"], call.form), **given)


@operation("GET", "charges", names("created customer payment_intent transfer_group", **PAGING))
def list_charges(call: Call) -> Body:
    return list_objects(call, "charge", "customer", "payment_intent", "transfer_group")


@operation("GET", "payment_methods/{id}")
def retrieve_method(call: Call) -> Body:
    return call.read("payment_method")


@operation(
    "POST",
    "refunds",
    names(
        "amount charge currency customer instructions_email metadata origin payment_intent reason "
        "refund_application_fee reverse_transfer"
    ),
)
def create_refund(call: Call) -> Body:
    account, form = call.account, call.form
    charge, intent = text(form, "charge"), text(form, "payment_intent")
    if charge is None and intent is None:
        raise ApiError("One of the following params should be provided for this request: payment_intent or charge.")
    if charge is None:
        charge = aftermath.charge_of(account, intent_id=needed(form, "payment_intent"))["id"]
    return aftermath.refund(
        account,
        charge,
        amount=integer(form, "amount"),
        reason=choice(form, "reason", REASONS),
        metadata=metadata(form),
    )


@operation("GET", "refunds/{id}")
def retrieve_refund(call: Call) -> Body:
    return call.read("refund")


@operation("POST", "refunds/{id}", names("metadata"))
def update_refund(call: Call) -> Body:
    body = update_words(call, "refund")
    emit(call.account, "refund.updated", body)
    return body


@operation("GET", "refunds", names("charge created payment_intent", **PAGING))
def list_refunds(call: Call) -> Body:
    return list_objects(call, "refund", "charge", "payment_intent")


@operation("GET", "disputes/{id}")
def retrieve_dispute(call: Call) -> Body:
    return call.read("dispute")


@operation("GET", "disputes", names("charge created payment_intent", **PAGING))
def list_disputes(call: Call) -> Body:
    return list_objects(call, "dispute", "charge", "payment_intent")


@operation(
    "POST",
    "disputes/{id}",
    names(
        "intended_submission_method metadata submit",
        evidence=names("appeal enhanced_evidence", **dict.fromkeys(EVIDENCE)),
    ),
)
def update_dispute(call: Call) -> Body:
    """Evidence is submitted to the bank unless `submit=false`, as on Stripe."""
    given = inner(call.form, "evidence")
    evidence: Body = {name: text(given, name) for name in given if name in EVIDENCE}
    check_evidence(evidence)
    if not evidence and "metadata" not in call.form and "submit" not in call.form:
        raise required("evidence")
    old = call.account.need("dispute", call.id)
    submit = boolean(call.form, "submit", bool(evidence))
    fields = {"metadata": merged(old["metadata"], call.form)}
    return aftermath.answer_dispute(call.account, call.id, evidence=evidence, submit=submit, **fields)


def check_evidence(evidence: Body) -> None:
    """Texts have limits, and what takes a file takes the id of one: nothing can be uploaded here.

    https://docs.stripe.com/api/disputes/update
    """
    for name, value in evidence.items():
        if name in EVIDENCE_FILES and value:
            raise ApiError(f"No such file upload: '{value[:40]}'", code="resource_missing", param=f"evidence[{name}]")
        if len(value or "") > EVIDENCE_FIELD:
            raise invalid(f"{name} has a maximum character count of {EVIDENCE_FIELD}", f"evidence[{name}]")
    if sum(len(value or "") for value in evidence.values()) > EVIDENCE_TOTAL:
        raise invalid(f"The combined character count of all fields is limited to {EVIDENCE_TOTAL}", "evidence")


@operation("POST", "disputes/{id}/close")
def close_dispute(call: Call) -> Body:
    """The seller gives in: the dispute is lost, and that is final."""
    return aftermath.close_dispute(call.account, call.id, won=False)
