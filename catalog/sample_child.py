"""Draws the pages that may be seen before buying: `python -m catalog.sample_child MEMORY CPU FILE < ranges`, as JSON.

Runs confined and apart from Django (catalog.confined). The ranges are JSON as of catalog.page_choice.parsed. Puts out
{"outline": [entries], "pages": [{"number": 3, "height": pixels, "small": base64, "large": base64}, …]}, or
{"refused": code}; the height is that of the larger picture.
"""

import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

import pypdfium2
from PIL import Image, WebPImagePlugin

from catalog import outline_child
from catalog.confined import confine, seal
from catalog.cover_child import framed
from catalog.page_choice import chosen

LOADED = (WebPImagePlugin,)  # a sealed process cannot load it later
SMALL, LARGE = 480, 960  # pixels


class Unfit(Exception):
    """Its argument is a code of catalog.sample_images.REFUSALS."""


def main() -> None:
    confine(*sys.argv[1:3])
    Image.preinit()
    ranges = json.load(sys.stdin)
    with Path(sys.argv[3]).open("rb") as file:
        seal()
        try:
            result = looked_into(file, ranges)
        except Unfit as unfit:
            result = {"refused": str(unfit)}
        except pypdfium2.PdfiumError:
            result = {"refused": "damaged"}
    print(json.dumps(result))


def looked_into(file: Any, ranges: list[tuple[int, int]]) -> dict[str, Any]:
    pdf = pypdfium2.PdfDocument(file)
    entries = outline_child.outline(pdf)
    contents = outline_child.contents_page(pdf, entries) if ranges else None
    numbers = chosen(ranges, pages=len(pdf), contents=contents)
    return {"outline": entries, "pages": [drawn(pdf, number) for number in numbers]}


def drawn(pdf: Any, number: int) -> dict[str, Any]:
    """Fonts that are not embedded are drawn with PDFium's own: no font of this machine can be opened any more."""
    try:
        page = pdf[number - 1]
        width, height = page.get_size()
        # A page is drawn as wide as it is shown, but never higher than `framed` would leave it.
        picture = page.render(scale=min(LARGE / width, 2 * LARGE / height)).to_pil().convert("RGB")
    except (pypdfium2.PdfiumError, ZeroDivisionError, ValueError):
        raise Unfit("page") from None
    large = framed(picture, LARGE)
    small = large.resize((SMALL, max(1, round(large.height / 2))), Image.Resampling.LANCZOS)
    return {"number": number, "height": large.height, "small": encoded(small), "large": encoded(large)}


def encoded(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "WEBP", quality=74, method=4)
    return base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    main()
