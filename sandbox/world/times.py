"""Times as people say them."""

import time


def ago(moment: float) -> str:
    """How long ago a Unix time was: `just now`, `12 s ago`, `5 min ago`, or the date."""
    passed = time.time() - moment
    if passed < 5:
        return "just now"
    for limit, unit, word in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h")):
        if passed < limit:
            return f"{int(passed // unit)} {word} ago"
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))
