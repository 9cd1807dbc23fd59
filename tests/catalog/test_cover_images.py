"""Covers from pictures, drawings and first pages."""

import io
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pikepdf
import pytest
from PIL import Image, ImageCms

from catalog import confined, cover_images
from catalog.cover_images import Cover, render_image_cover, render_pdf_cover
from catalog.filetypes import Refused
from tests.catalog.bombs import gibibyte

SPACE = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
TOO_MUCH = (
    "This cover takes far too much time or memory to draw, or is damaged. Save it as a PNG or JPEG and upload that."
)
UNKNOWN = "This is not an image that can be read. Upload a JPEG, PNG, WebP, AVIF, GIF or SVG."
DAMAGED = "This image is damaged or cut off. Save it again and upload the new copy."
SMALL = "This image is too small for a cover. Choose one that is at least 320 pixels wide."
PIXELS = "This image has more than 50 million pixels. Save a smaller copy: a cover is shown 640 pixels wide."
EXTERNAL = "This SVG refers to other files or addresses. Embed its images and remove its links, or save it as a PNG."
SCRIPT = "This SVG contains scripts or event handlers. Save it as a plain SVG, or as a PNG."
FOREIGN = "This SVG contains web content (foreignObject). Turn its text into paths, or save it as a PNG."
DOCTYPE = "This SVG has a DOCTYPE or entities. Save it as a plain SVG, or as a PNG."
NOT_SVG = "This is not an SVG drawing that can be read. Upload a JPEG, PNG, WebP, AVIF, GIF or SVG."


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    image.save(file := io.BytesIO(), kind, **options)
    return file.getvalue()


def red(size: tuple[int, int] = (600, 800), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, "red")


def svg(content: str, size: str = 'width="600" height="800"', before: str = "") -> bytes:
    return f"{before}<svg {SPACE} {size}>{content}</svg>".encode()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def message_for(data: bytes) -> str:
    with pytest.raises(Refused) as caught:
        render_image_cover(data)
    return str(caught.value)


def near(pixel: object, color: tuple[int, int, int], by: int = 12) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(one - other) <= by for one, other in zip(pixel, color, strict=True))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "GIF"])
def test_picture_becomes_two_webps(kind: str) -> None:
    cover = render_image_cover(saved(red(), kind))
    small, large = opened(cover.small), opened(cover.large)
    assert (small.format, small.size, cover.small_height) == ("WEBP", (320, 427), 427)
    assert (large.format, large.size, cover.large_height) == ("WEBP", (640, 853), 853)
    assert near(large.getpixel((320, 400)), (255, 0, 0))


def test_same_input_same_bytes() -> None:
    data = saved(Image.effect_noise((500, 700), 60), "PNG")
    assert render_image_cover(data) == render_image_cover(data)


@pytest.mark.parametrize(
    "size, height", [((4000, 400), 320), ((400, 4000), 1280), ((640, 640), 640), ((330, 500), 970)]
)
def test_shape_is_clamped(size: tuple[int, int], height: int) -> None:
    cover = render_image_cover(saved(red(size), "PNG"))
    assert opened(cover.large).size == (640, height)
    if height in {320, 1280}:
        assert near(opened(cover.large).getpixel((2, 2)), (255, 255, 255))
        assert near(opened(cover.large).getpixel((320, height // 2)), (255, 0, 0))


def test_s53_orientation_applied_and_metadata_dropped() -> None:
    image = Image.new("RGB", (800, 600), "blue")
    image.paste("red", (0, 0, 400, 600))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise: what was left comes to the top
    exif.get_ifd(0x8825)[2] = (48.0, 12.0, 30.0)  # GPS latitude
    data = saved(image, "JPEG", exif=exif, comment=b"made by me")
    assert b"Exif" in data
    cover = render_image_cover(data)
    shown = opened(cover.large)
    assert shown.size == (640, 853)
    assert near(shown.getpixel((320, 50)), (255, 0, 0))
    assert near(shown.getpixel((320, 800)), (0, 0, 255))
    assert set(shown.info) <= {"loop", "background", "timestamp", "duration"}
    assert b"EXIF" not in cover.large
    assert b"XMP " not in cover.large
    assert b"made by me" not in cover.large


def test_transparent_becomes_white() -> None:
    image = Image.new("RGBA", (600, 800), (0, 0, 0, 0))
    shown = opened(render_image_cover(saved(image, "PNG")).large)
    assert (shown.mode, shown.getpixel((9, 9))) == ("RGB", (255, 255, 255))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "CMYK"])
def test_mode_becomes_rgb(mode: str) -> None:
    image = Image.new(mode, (400, 400))
    if mode == "I;16":
        image.paste(0x8080, (0, 0, 400, 400))
    shown = opened(render_image_cover(saved(image, "JPEG" if mode == "CMYK" else "PNG")).large)
    gray = {"I;16": 128, "CMYK": 255, "LA": 255}.get(mode, 0)  # LA: wholly transparent
    assert near(shown.getpixel((9, 9)), (gray, gray, gray), by=2)


def test_profile_is_applied_and_a_broken_one_ignored() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = render_image_cover(saved(red(), "PNG"))
    for profile in (lab, b"junk" * 40, srgb):
        cover = render_image_cover(saved(red(), "PNG", icc_profile=profile))
        assert near(opened(cover.large).getpixel((9, 9)), (255, 0, 0))
        assert "icc_profile" not in opened(cover.large).info
    assert plain.large_height == 853


def test_first_picture_of_an_animation() -> None:
    frames = [Image.new("RGB", (400, 400), color) for color in ("red", "green", "blue")]
    for kind in ("GIF", "PNG", "WEBP"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        assert near(opened(render_image_cover(data).large).getpixel((9, 9)), (255, 0, 0))


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises these pixels and holds none."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "data, message",
    [
        (png_header(30_000, 30_000), PIXELS),
        (png_header(600, 800), DAMAGED),
        (saved(red(), "JPEG")[:-500], DAMAGED),
        (saved(red((100, 150)), "PNG"), SMALL),
        (b"", UNKNOWN),
        (b"hello", UNKNOWN),
        (b"%PDF-1.7\n", UNKNOWN),
        (saved(red(), "BMP"), UNKNOWN),
        (saved(red(), "TIFF"), UNKNOWN),
        (b"<!DOCTYPE html><svg/>", DOCTYPE),
        (b"<html/>", NOT_SVG),
        (b"<svg/>", NOT_SVG),
        (b"<svg", NOT_SVG),
    ],
    ids=["30,000²", "no pixels", "cut", "small", "empty", "text", "pdf", "bmp", "tiff", "html", "xml", "no ns", "tag"],
)  # fmt: skip
def test_s53_other_image_refused(data: bytes, message: str) -> None:
    assert message_for(data) == message


def test_large_upload_refused_unread() -> None:
    assert message_for(bytes((30 << 20) + 1)).startswith("This image is larger than 30 MB.")


def test_s53_drawing_is_rasterised() -> None:
    drawn = svg('<rect width="600" height="400" fill="#f00"/><g transform="translate(0 400)">'
                '<rect width="600" height="400" fill="url(#a)"/></g><linearGradient id="a"><stop stop-color="#00f"/>'
                "</linearGradient>", before='<?xml version="1.0"?>\n<!-- drawn -->\n')  # fmt: skip
    cover = render_image_cover(drawn)
    shown = opened(cover.large)
    assert shown.size == (640, 854)
    assert near(shown.getpixel((320, 100)), (255, 0, 0))
    assert near(shown.getpixel((320, 800)), (0, 0, 255))


def test_text_in_a_drawing_is_no_fault() -> None:
    cover = render_image_cover(svg('<text x="20" y="400" font-size="300">AB</text>'))
    assert cover.large_height == 854


def test_small_drawing_is_drawn_large() -> None:
    shown = opened(render_image_cover(svg('<circle cx="8" cy="8" r="8"/>', 'width="16" height="16"')).large)
    assert shown.size == (640, 640)


@pytest.mark.parametrize(
    "data, message",
    [
        (svg("<script>alert(1)</script>"), SCRIPT),
        (svg('<rect onclick="a()"/>'), SCRIPT),
        (svg("", 'width="9" height="9" onload="a()"'), SCRIPT),
        (svg('<a xlink:href="javascript:a()"/>'), SCRIPT),
        (svg('<image href="/etc/passwd"/>'), EXTERNAL),
        (svg('<image xlink:href="secret.png"/>'), EXTERNAL),
        (svg('<image href="https://a.example/a.png"/>'), EXTERNAL),
        (svg('<image href="data:image/svg+xml;base64,AAAA"/>'), EXTERNAL),
        (svg('<use href="a.svg#a"/>'), EXTERNAL),
        (svg('<rect fill="url(a.svg#a)"/>'), EXTERNAL),
        (svg('<rect style="fill:u\\72l(//a)"/>'), EXTERNAL),
        (svg("<style>@import 'a.css';</style>"), EXTERNAL),
        (svg("<style>rect { fill: url( 'http://a.example' ) }</style>"), EXTERNAL),
        (svg("<foreignObject/>"), FOREIGN),
        (svg("&a;", before='<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]>'), DOCTYPE),
        (svg("", before="<!DOCTYPE svg>"), DOCTYPE),
        (svg("&a;"), NOT_SVG),
    ],
)  # fmt: skip
def test_s53_s63_drawing_that_reaches_out_refused(data: bytes, message: str) -> None:
    assert message_for(data) == message


USES = "".join(f'<g id="a{i}">' + f'<use href="#a{i - 1}"/>' * 10 + "</g>" for i in range(1, 8))


@pytest.mark.parametrize(
    "data, messages",
    [
        (svg("", 'width="1" height="200000"'), {TOO_MUCH}),
        (svg("<g>" * 20_000 + "</g>" * 20_000), {TOO_MUCH}),
        (svg("<g>" * 900 + "</g>" * 900), {TOO_MUCH, NOT_SVG}),
        (svg(f'<g id="a0"><rect width="1" height="1"/></g>{USES}<use href="#a7"/>'), {NOT_SVG, TOO_MUCH}),
        (svg('<filter id="f"><feTurbulence numOctaves="99" baseFrequency="0.9"/></filter>'
             + '<rect width="600" height="800" filter="url(#f)"/>' * 60), {TOO_MUCH}),
    ],
    ids=["tall", "deep", "less deep", "many uses", "slow"],
)  # fmt: skip
def test_s53_drawing_that_breaks_the_child_refused(
    data: bytes, messages: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confined, "CPU_SECONDS", 1)
    started = time.monotonic()
    assert message_for(data) in messages
    assert time.monotonic() - started < 4


def page_of(size: tuple[int, int], content: bytes = b"1 0 0 rg 0 0 9999 9999 re f") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with pikepdf.new() as document:
            page = document.add_blank_page(page_size=size)
            page.Contents = document.make_stream(content)
            document.add_blank_page()
            document.save(path, deterministic_id=True)

    return write


@pytest.mark.parametrize(
    "size, height", [((420, 595), 907), ((595, 420), 452), ((14400, 14400), 640), ((30, 3000), 1280), ((3000, 30), 320)]
)  # fmt: skip
def test_first_page_becomes_the_cover(tmp_path: Path, size: tuple[int, int], height: int) -> None:
    page_of(size)(tmp_path / "a.pdf")
    cover = render_pdf_cover(tmp_path / "a.pdf")
    shown = opened(cover.large)
    assert shown.size == (640, height)
    assert cover.large_height == height
    assert near(shown.getpixel((320, height // 2)), (255, 0, 0))


def test_first_page_is_the_same_each_time(tmp_path: Path) -> None:
    text = b"BT /F1 40 Tf 50 300 Td (Hello) Tj ET"
    page_of((400, 500), text)(tmp_path / "a.pdf")
    first: Cover = render_pdf_cover(tmp_path / "a.pdf")
    assert render_pdf_cover(tmp_path / "a.pdf") == first


def test_s50_page_that_is_a_bomb_refused(tmp_path: Path) -> None:
    with pikepdf.new() as document:
        document.add_blank_page().Contents = document.make_stream(gibibyte(), Filter=pikepdf.Name.FlateDecode)
        document.save(tmp_path / "a.pdf", compress_streams=False)
    with pytest.raises(Refused) as caught:
        render_pdf_cover(tmp_path / "a.pdf")
    assert str(caught.value) == TOO_MUCH


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7\n%%EOF\n", b"hello"])
def test_page_that_is_none_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pdf").write_bytes(content)
    with pytest.raises(Refused) as caught:
        render_pdf_cover(tmp_path / "a.pdf")
    assert str(caught.value) == "The first page of this PDF cannot be drawn. Upload a cover image instead."


def test_every_refusal_has_its_words() -> None:
    source = (Path(cover_images.__file__).parent / "cover_child.py").read_text()
    for code in cover_images.REFUSALS:
        assert f'Unfit("{code}")' in source
    assert source.count("Unfit(") - 1 >= len(cover_images.REFUSALS)
