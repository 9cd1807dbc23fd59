"""A dispute as the shop answers it: what the bank says, by when it wants an answer, and what Stripe takes as one."""

from dataclasses import dataclass
from datetime import datetime

from catalog import money

# Characters per text field, and over all of them. https://docs.stripe.com/api/disputes/update
FIELD_LIMIT = 20_000
TOTAL_LIMIT = 150_000

UNANSWERED = ("needs_response", "warning_needs_response")


@dataclass(frozen=True, kw_only=True)
class Case:
    """`amount` is in minor units; `due_by` is None where the bank takes no answer."""

    id: str
    status: str
    reason: str
    amount: int
    currency: str
    opened_at: datetime
    due_by: datetime | None
    has_evidence: bool
    submissions: int

    @property
    def amount_display(self) -> str:
        return money.display(self.amount, self.currency)

    @property
    def takes_evidence(self) -> bool:
        """Whether evidence may still be saved and submitted: banks take it once."""
        return self.status in UNANSWERED and self.submissions == 0 and self.due_by is not None

    @property
    def status_display(self) -> str:
        return self.status.replace("_", " ")

    @property
    def reason_display(self) -> str:
        return self.reason.replace("_", " ")
