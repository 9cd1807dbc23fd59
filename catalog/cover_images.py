"""Turns an uploaded picture, a drawing or the first page of a PDF into a cover: two WebP images without metadata.

All decoding happens in a confined child (catalog.cover_child). The same input gives the same bytes.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from catalog import confined
from catalog.filetypes import Refused

LARGEST_UPLOAD = 30 << 20  # bytes
IMAGE_MEMORY = 768 << 20  # bytes; 50 million pixels with transparency take 500 to 700 MB to shrink


@dataclass(frozen=True)
class Cover:
    """WebP, sRGB, opaque, 320 and 640 pixels wide; half to twice as high, what is not being padded with white."""

    small: bytes
    small_height: int
    large: bytes
    large_height: int


def render_image_cover(data: bytes) -> Cover:
    """A cover from a JPEG, PNG, WebP, AVIF, GIF (its first picture) or SVG, told by its content. Raises Refused."""
    if len(data) > LARGEST_UPLOAD:
        raise Refused(_("This image is larger than 30 MB. Save a smaller copy: a cover is shown 640 pixels wide."))
    return rendered("svg" if looks_like_svg(data) else "image", data=data, memory=IMAGE_MEMORY)


def render_pdf_cover(path: Path) -> Cover:
    """A cover from the first page of a PDF that needs no password. Raises Refused."""
    return rendered("pdf", str(path.resolve()), memory=confined.MEMORY)


def looks_like_svg(data: bytes) -> bool:
    """Markup at all; the child decides whether it is a drawing."""
    return data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def rendered(kind: str, *arguments: str, data: bytes = b"", memory: int) -> Cover:
    try:
        result = json.loads(confined.run("catalog.cover_child", kind, *arguments, data=data, memory=memory))
    except (confined.Failed, ValueError):
        raise Refused(
            _(
                "This cover takes far too much time or memory to draw, or is damaged. "
                "Save it as a PNG or JPEG and upload that."
            )
        ) from None
    if code := result.get("refused"):
        raise Refused(str(REFUSALS[code]))
    return cover(result)


def cover(result: dict[str, Any]) -> Cover:
    return Cover(
        small=base64.b64decode(result["small"]),
        small_height=result["small_height"],
        large=base64.b64decode(result["large"]),
        large_height=result["large_height"],
    )


REFUSALS: dict[str, Promise] = {
    "unknown": lazy("This is not an image that can be read. Upload a JPEG, PNG, WebP, AVIF, GIF or SVG."),
    "damaged": lazy("This image is damaged or cut off. Save it again and upload the new copy."),
    "pixels": lazy(
        "This image has more than 50 million pixels. Save a smaller copy: a cover is shown 640 pixels wide."
    ),
    "small": lazy("This image is too small for a cover. Choose one that is at least 320 pixels wide."),
    "page": lazy("The first page of this PDF cannot be drawn. Upload a cover image instead."),
    "svg": lazy("This is not an SVG drawing that can be read. Upload a JPEG, PNG, WebP, AVIF, GIF or SVG."),
    "dtd": lazy("This SVG has a DOCTYPE or entities. Save it as a plain SVG, or as a PNG."),
    "script": lazy("This SVG contains scripts or event handlers. Save it as a plain SVG, or as a PNG."),
    "foreign": lazy("This SVG contains web content (foreignObject). Turn its text into paths, or save it as a PNG."),
    "external": lazy(
        "This SVG refers to other files or addresses. Embed its images and remove its links, or save it as a PNG."
    ),
}
