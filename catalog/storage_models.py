"""What was found when somebody last looked whether the private files can be read."""

from django.db import models
from django.db.models import Q


class StorageLook(models.Model):
    """The last look, one row. `free` and `size` in bytes, where the files lie in a folder; empty for a bucket."""

    at = models.DateTimeField()
    problem = models.CharField(max_length=300, blank=True, help_text="Why files cannot be read; empty when they can.")
    free = models.BigIntegerField(null=True, blank=True)
    size = models.BigIntegerField(null=True, blank=True)

    class Meta:
        constraints = (models.CheckConstraint(condition=Q(pk=1), name="storage_look_is_one"),)

    def __str__(self) -> str:
        return self.problem or f"well at {self.at:%Y-%m-%d %H:%M}"
