"""Figures of a run, as a file for `tests.reliability` to read."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def keep(file: Path, figures: dict[str, Any]) -> None:
    """Write them with when and on how many cores they were measured. Lists are details: the page leaves them out."""
    stamp = {"measured_at": datetime.now(UTC).isoformat(timespec="seconds")}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({**stamp, **figures, "cores": os.cpu_count()}, indent=2) + "\n")
