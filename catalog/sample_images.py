"""Pictures of a PDF's pages and a small PDF of the same, made in confined children that may fail. Imports no models."""

import base64
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from catalog import confined, outlines
from catalog.filetypes import Refused

log = logging.getLogger(__name__)

DRAWING_SECONDS = 30  # of CPU, for up to 30 pages
COPYING_SECONDS = 15


@dataclass(frozen=True)
class Picture:
    """A page as WebP, 480 and 960 pixels wide."""

    number: int  # from 1
    height: int  # pixels, of the larger one
    small: bytes
    large: bytes


@dataclass(frozen=True)
class Look:
    outline: list[outlines.Entry]
    pictures: list[Picture]


def look_into(path: Path, ranges: Sequence[tuple[int, int]]) -> Look:
    """The outline, and the pages that catalog.page_choice.chosen makes of the ranges. Raises Refused."""
    arguments = ("catalog.sample_child", str(path.resolve()))
    data = json.dumps(list(ranges)).encode()
    try:
        result = json.loads(confined.run(*arguments, data=data, memory=confined.MEMORY, cpu=DRAWING_SECONDS))
    except (confined.Failed, ValueError) as error:
        log.warning("pages could not be drawn: %s", error)
        raise Refused(_("These pages take far too much time or memory to draw, or are damaged.")) from None
    if code := result.get("refused"):
        raise Refused(str(REFUSALS[code]))
    return Look(
        outline=outlines.cleaned(result["outline"]),
        pictures=[
            Picture(
                number=page["number"],
                height=page["height"],
                small=base64.b64decode(page["small"]),
                large=base64.b64decode(page["large"]),
            )
            for page in result["pages"]
        ],
    )


def extract(path: Path, numbers: Sequence[int], *, mark: str) -> bytes:
    """A PDF of these pages with the mark across each, and nothing of the others. Empty where none can be made: the
    pictures do without."""
    request = json.dumps({"numbers": list(numbers), "mark": mark, "title": mark}).encode()
    with NamedTemporaryFile(suffix=".pdf") as out:
        arguments = ("catalog.extract_child", str(path.resolve()), out.name)
        try:
            result = json.loads(confined.run(*arguments, data=request, memory=confined.MEMORY, cpu=COPYING_SECONDS))
        except (confined.Failed, ValueError) as error:
            result = {"refused": error}
        if code := result.get("refused"):
            log.warning("no sample of these pages as a PDF: %s", code)
            return b""
        return Path(out.name).read_bytes()


REFUSALS: dict[str, Promise] = {
    "page": lazy("One of these pages cannot be drawn."),
    "damaged": lazy("This PDF is damaged. Export it again from the program it was made with."),
}
