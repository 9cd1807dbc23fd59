"""What a file is, judged by its bytes. Its name may only agree."""

import codecs
import re
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

HEAD = 4096
CHUNK = 1 << 20


class Refused(ValueError):
    """An upload that cannot be taken. The message is for the person who uploaded it: what is wrong, what to do."""


@dataclass(frozen=True)
class FileType:
    media_type: str
    extensions: tuple[str, ...]  # the first is the one that files get
    label: str | Promise


PDF = FileType("application/pdf", (".pdf",), lazy("a PDF"))
EPUB = FileType("application/epub+zip", (".epub",), lazy("an EPUB book"))
ZIP = FileType("application/zip", (".zip",), lazy("a ZIP archive"))
MP3 = FileType("audio/mpeg", (".mp3",), lazy("MP3 audio"))
M4A = FileType("audio/mp4", (".m4a", ".m4b"), lazy("M4A audio"))
FLAC = FileType("audio/flac", (".flac",), lazy("FLAC audio"))
OGG = FileType("audio/ogg", (".ogg", ".oga", ".opus"), lazy("Ogg audio"))
WAV = FileType("audio/wav", (".wav",), lazy("WAV audio"))
MP4 = FileType("video/mp4", (".mp4", ".m4v"), lazy("an MP4 video"))
WEBM = FileType("video/webm", (".webm",), lazy("a WebM video"))
PNG = FileType("image/png", (".png",), lazy("a PNG image"))
JPEG = FileType("image/jpeg", (".jpg", ".jpeg"), lazy("a JPEG image"))
WEBP = FileType("image/webp", (".webp",), lazy("a WebP image"))
TEXT = FileType("text/plain", (".txt", ".text"), lazy("plain text"))
CSV = FileType("text/csv", (".csv",), lazy("plain text"))
MARKDOWN = FileType("text/markdown", (".md", ".markdown"), lazy("plain text"))

# Known, so that the message can name them, but not sold. The groups are atomic: a thousand comments would otherwise
# be tried in every combination.
MARKUP = rb"(?:\xef\xbb\xbf)?\s*(?><!--.*?-->\s*|<\?xml.*?\?>\s*|<!doctype\s+svg.*?>\s*)*+"
HTML_TAGS = (
    rb"<(!doctype\s+html|html|head|body|script|iframe|style|title|meta|link|base|div|p|a|h1|img|table|br|font|form"
    rb"|object|embed)\b"
)
UNSOLD: tuple[tuple[re.Pattern[bytes], str | Promise], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), label)
    for pattern, label in (
        (rb"MZ", lazy("a Windows program")),
        (rb"\x7fELF|\xcf\xfa\xed\xfe|\xca\xfe\xba\xbe|#!|<\?(php|=)", lazy("a program")),
        (rb"GIF8[79]a", lazy("a GIF image")),
        (rb"....ftyp(avif|avis|heic|heix|mif1)", lazy("an AVIF or HEIC image")),
        (rb"....ftypqt", lazy("a QuickTime video")),
        (rb"II\*\0|MM\0\*|BM....\0\0\0\0", lazy("a TIFF or BMP image")),
        (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1|\{\\rtf", lazy("an office document")),
        (rb"Rar!|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ", lazy("an archive other than ZIP")),
        (rb"%!PS", lazy("a PostScript file")),
        (MARKUP + rb"<(\w+:)?svg\b", lazy("an SVG drawing")),
        (MARKUP + HTML_TAGS, lazy("a web page (HTML)")),
        (rb"(?:\xef\xbb\xbf)?\s*<\?xml", lazy("an XML file")),
    )
)


def recognize(file: BinaryIO, extension: str) -> FileType:
    """The type of an open file, by its content. The claimed extension only chooses among types of one content
    (text, the MPEG-4 family). Raises Refused for whatever is not sold."""
    head = read_at(file, 0, HEAD)
    found = signature(head, extension) or zip_kind(file, head) or mp3(file, head)
    if found:
        return found
    for pattern, label in UNSOLD:
        if pattern.match(head):
            message = _("This is %(kind)s. That cannot be sold here: %(sold)s")
            raise Refused(message % {"kind": label, "sold": what_is_sold()})
    if b"%PDF-" in head:
        raise Refused(
            _("Something stands in front of the PDF in this file. Export it again from the program it was made with.")
        )
    if is_text(file):
        return next((kind for kind in (CSV, MARKDOWN) if extension in kind.extensions), TEXT)
    raise Refused(_("It cannot be told what kind of file this is: %(sold)s") % {"sold": what_is_sold()})


def what_is_sold() -> str:
    return _(
        "upload a PDF, EPUB, ZIP, audio (MP3, M4A, FLAC, Ogg, WAV), video (MP4, WebM), image (PNG, JPEG, WebP) "
        "or UTF-8 text."
    )


def read_at(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def signature(head: bytes, extension: str) -> FileType | None:
    """Types that their first bytes give away."""
    if head[4:8] == b"ftyp":
        return mpeg4(head[8:12], extension)
    if head[:4] == b"RIFF":
        return {b"WAVE": WAV, b"WEBP": WEBP}.get(head[8:12])
    if head[:4] == b"\x1aE\xdf\xa3":
        return WEBM if b"\x42\x82\x84webm" in head else None
    known = {
        b"%PDF-": PDF,
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR": PNG,
        b"\xff\xd8\xff": JPEG,
        b"fLaC": FLAC,
        b"OggS\0": OGG,
    }
    return next((kind for magic, kind in known.items() if head.startswith(magic)), None)


def mpeg4(brand: bytes, extension: str) -> FileType | None:
    """https://mp4ra.org/registered-types/brands: M4A and M4B are audio; general brands hold either."""
    if brand in {b"M4A ", b"M4B "}:
        return M4A
    if re.fullmatch(rb"iso[m2-9]|mp4[12]|avc1|dash|M4V[ HP]|MSNV", brand):
        return M4A if extension in M4A.extensions else MP4
    return None


def zip_kind(file: BinaryIO, head: bytes) -> FileType | None:
    """ZIP or EPUB. An EPUB starts with an uncompressed entry named `mimetype` (EPUB 3.3, section 4.3)."""
    if not head.startswith((b"PK\3\4", b"PK\5\6")):
        return None
    if not zipfile.is_zipfile(file):
        raise Refused(_("This ZIP archive is cut off or damaged. Make it again and upload the new one."))
    if head[:4] == b"PK\3\4" and head[8:10] == b"\0\0" and head[30:38] == b"mimetype":
        content = 38 + struct.unpack_from("<H", head, 28)[0]
        if head[content:].startswith(b"application/epub+zip"):
            return EPUB
    return ZIP


MPEG_VERSIONS = {3: 144, 2: 72, 0: 72}  # MPEG 1, 2 and 2.5: bytes per frame are this × bit rate / sample rate
BIT_RATES = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
SAMPLE_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def mp3(file: BinaryIO, head: bytes) -> FileType | None:
    """Two MPEG layer III frames in a row, after an ID3v2 tag if there is one: 0xFF 0xFB alone is any noise."""
    start = 0
    if head[:3] == b"ID3" and len(head) >= 10:
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    elif head[:1] != b"\xff":
        return None
    sound = read_at(file, start, 2 * HEAD)
    start = len(sound) - len(sound.lstrip(b"\0"))
    length = frame_length(sound[start : start + 4])
    return MP3 if length and frame_length(sound[start + length :][:4]) else None


def frame_length(header: bytes) -> int:
    """Bytes of the MPEG layer III frame that starts here, 0 if none does."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, rate, sampling = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or rate in {0, 15} or sampling == 3:
        return 0
    bits = BIT_RATES[3 if version == 3 else 2][rate] * 1000
    return MPEG_VERSIONS[version] * bits // SAMPLE_RATES[version][sampling] + (header[2] >> 1 & 1)


def chunks(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(CHUNK):
        yield chunk


def is_text(file: BinaryIO) -> bool:
    """UTF-8 throughout, without NUL or other control characters."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    control = re.compile("[\0-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
    try:
        if any(control.search(decoder.decode(chunk)) for chunk in chunks(file)):
            return False
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
