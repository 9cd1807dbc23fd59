"""Draws a cover: `python -m catalog.cover_child MEMORY CPU (image | svg) < data` or `… pdf FILE`, as JSON.

Runs confined and apart from Django (catalog.confined). {"small": base64, "small_height": pixels, "large": …}, or
{"refused": code}.
"""

import base64
import io
import json
import sys
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import resvg_py
from defusedxml import DefusedXmlException, DTDForbidden, ElementTree
from PIL import (
    AvifImagePlugin,
    Image,
    ImageCms,
    ImageOps,
    MpoImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from catalog.confined import confine, seal

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF")
LOADED = (AvifImagePlugin, MpoImagePlugin, WebPImagePlugin)  # a sealed process cannot load them later
MOST_PIXELS = 50_000_000
SMALL, LARGE = 320, 640  # pixels
DRAWN = 2 * LARGE  # width in pixels that pages and drawings are drawn at, to be reduced
SVG = "{http://www.w3.org/2000/svg}"
EMBEDDED = ("#", "data:image/png", "data:image/jpeg", "data:image/jpg", "data:image/webp", "data:image/gif")


class Unfit(Exception):
    """Its argument is a code of catalog.cover_images.REFUSALS."""


def main() -> None:
    confine(*sys.argv[1:3])
    try:
        result = covers(opaque(draw(*sys.argv[3:])))
    except Unfit as unfit:
        result = {"refused": str(unfit)}
    print(json.dumps(result))


def draw(kind: str, path: str = "") -> Image.Image:
    Image.preinit()
    Image.MAX_IMAGE_PIXELS = None  # MOST_PIXELS is asked instead, and has a message of its own
    if kind == "pdf":
        return first_page(Path(path))
    data = sys.stdin.buffer.read()
    return picture(drawing(data) if kind == "svg" else data)


def first_page(path: Path) -> Image.Image:
    """Fonts that are not embedded are drawn with PDFium's own: no font of this machine can be opened any more."""
    import pypdfium2  # a picture needs none, and starts quicker without

    with path.open("rb") as file:
        seal()
        try:
            page = pypdfium2.PdfDocument(file)[0]
            width, height = page.get_size()
            drawn: Image.Image = page.render(scale=min(DRAWN / width, 2 * DRAWN / height)).to_pil()
        except (pypdfium2.PdfiumError, ZeroDivisionError, ValueError, IndexError):
            raise Unfit("page") from None
        return drawn.copy()


def picture(data: bytes) -> Image.Image:
    """The picture as its pixels say, upright, at most 2,560 pixels on its longer side."""
    seal()
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MOST_PIXELS:  # before anything is decoded
            raise Unfit("pixels")
        if max(image.width, image.height / 2) < SMALL:
            raise Unfit("small")
        image.draft("RGB", (2 * DRAWN, 2 * DRAWN))  # a JPEG is decoded small at once
        return reduced(image)
    except UnidentifiedImageError:
        raise Unfit("unknown") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        raise Unfit("damaged") from None


def reduced(image: Image.Image) -> Image.Image:
    if image.mode in {"1", "P", "PA"}:  # these cannot be averaged
        image = image.convert("RGBA")
    if image.mode.startswith("I;16") or image.mode == "I":
        image = image.convert("F").point(lambda level: level / 257).convert("L")
    image.thumbnail((2 * DRAWN, 2 * DRAWN))
    return ImageOps.exif_transpose(image)


def opaque(image: Image.Image) -> Image.Image:
    """sRGB on white."""
    image = in_srgb(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def in_srgb(image: Image.Image) -> Image.Image:
    """Its colors as they look under the profile in the image; one that does not fit is left out of account."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in {"RGB", "RGBA", "L", "CMYK"}:
        return image
    try:
        return (
            ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGBA" if image.mode == "RGBA" else "RGB",
            )
            or image
        )
    except (ImageCms.PyCMSError, OSError):
        return image


def drawing(data: bytes) -> bytes:
    """The drawing as a PNG. resvg reads local files that an SVG names, so none may be named."""
    try:
        root = ElementTree.fromstring(data, forbid_dtd=True)
    except (DTDForbidden, DefusedXmlException):
        raise Unfit("dtd") from None
    except (ParseError, ValueError, LookupError):
        raise Unfit("svg") from None
    if root.tag != SVG + "svg":
        raise Unfit("svg")
    for element in root.iter():
        check_element(element)
    without_text = root.find(f".//{SVG}text") is None  # looking through this machine's fonts takes longer than drawing
    try:
        checked = ElementTree.tostring(root, "unicode")
        return bytes(resvg_py.svg_to_bytes(svg_string=checked, width=DRAWN, skip_system_fonts=without_text))
    except ValueError:
        raise Unfit("svg") from None


def check_element(element: Element) -> None:
    tag = local(str(element.tag)).lower()
    if tag in {"script", "handler", "listener"}:
        raise Unfit("script")
    if tag in {"foreignobject", "iframe", "embed", "object"}:
        raise Unfit("foreign")
    if tag == "style":
        check_style("".join(element.itertext()))
    for name, value in element.attrib.items():
        check_attribute(local(name).lower(), value.strip())


def check_attribute(name: str, value: str) -> None:
    if name.startswith("on") or value.lower().startswith("javascript:"):
        raise Unfit("script")
    if name in {"href", "src"} and not value.lower().startswith(EMBEDDED):
        raise Unfit("external")
    if "url" in value.lower() or "\\" in value:
        check_style(value)


def check_style(css: str) -> None:
    """url() may only name a part of the drawing. A backslash could write "url" in another way."""
    bare = css.lower().translate(str.maketrans("", "", " \t\r\n\"'"))
    if "@import" in bare or "\\" in bare or bare.count("url(") != bare.count("url(#"):
        raise Unfit("external")


def local(name: str) -> str:
    return name.rpartition("}")[2]


def covers(image: Image.Image) -> dict[str, Any]:
    small, large = framed(image, SMALL), framed(image, LARGE)
    return {
        "small": encoded(small),
        "small_height": small.height,
        "large": encoded(large),
        "large_height": large.height,
    }


def framed(image: Image.Image, width: int) -> Image.Image:
    """The whole picture on a canvas of this width, half to twice as high; a banner gets white above and below."""
    natural = round(width * image.height / image.width)
    height = min(max(natural, width // 2), 2 * width)
    scale = min(width / image.width, height / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    canvas = Image.new("RGB", (width, height), "white")
    canvas.paste(image.resize(size, Image.Resampling.LANCZOS), ((width - size[0]) // 2, (height - size[1]) // 2))
    return canvas


def encoded(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "WEBP", quality=70, method=6)
    return base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    main()
