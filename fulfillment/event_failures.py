"""What went wrong each time that an event could not be handled: for people, and read by nothing else."""

from django.db import models
from django.db.models.functions import Now


class EventFailure(models.Model):
    """One try that failed. The try that succeeds writes none: the event's own state tells of it."""

    # No constraint: the release before this one deletes old events, and knows of no failures to delete along.
    event = models.ForeignKey("StripeEvent", models.CASCADE, related_name="failures", db_constraint=False)
    at = models.DateTimeField(db_default=Now())
    attempt = models.PositiveSmallIntegerField(help_text="Which try it was, from 1.")
    error = models.TextField()

    class Meta:
        default_permissions = ("view",)
        ordering = ("pk",)

    def __str__(self) -> str:
        return f"try {self.attempt}: {self.error}"
