"""Uploads: bad files are made here, byte by byte where a library would not make them."""

import hashlib
import io
import os
import resource
import shutil
import struct
import time
import wave
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, String
from PIL import Image

from catalog import confined, filenames, filetypes, inspection
from catalog.inspection import Inspected, Refused, inspect_file
from tests.catalog.bombs import gibibyte

DAMAGED = "This PDF is damaged. Export it again from the program it was made with, and check that it opens."
TOO_MUCH = (
    "This PDF needs far more time or memory than a normal one, or is damaged. "
    "Export it again, and split a very large one."
)
BEHIND = "Something else is hidden behind the PDF in this file. Export it again from the program it was made with."
CUT_OFF = "This PDF is cut off: its end is missing. Upload it again, or export it again."


@pytest.fixture
def upload(tmp_path: Path) -> Callable[..., Inspected]:
    """Inspect these bytes under this name."""

    def inspect(data: bytes, name: str = "book.pdf") -> Inspected:
        path = tmp_path / "upload"
        path.write_bytes(data)
        return inspect_file(path, name)

    return inspect


@pytest.fixture
def refusal(upload: Callable[..., Inspected]) -> Callable[..., str]:
    """The message that these bytes are refused with."""

    def message(data: bytes, name: str = "book.pdf") -> str:
        with pytest.raises(Refused) as caught:
            upload(data, name)
        return str(caught.value)

    return message


def pdf(change: Callable[[pikepdf.Pdf], object] = lambda _pdf: None, pages: int = 2, **saved: object) -> bytes:
    with pikepdf.new() as document:
        for _ in range(pages):
            document.add_blank_page()
        change(document)
        document.save(file := io.BytesIO(), deterministic_id="encryption" not in saved, **saved)  # type: ignore[arg-type]
    return file.getvalue()


def written_pdf(*objects: bytes) -> bytes:
    """Objects 1, 2, … with a right cross-reference table; the first is the catalog."""
    body, offsets = b"%PDF-1.7\n", []
    for number, text in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, text)
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    table += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(body))
    return body + table + trailer


CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"
PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 300]>>"


def picture(kind: str) -> bytes:
    Image.new("RGB", (40, 30), "teal").save(file := io.BytesIO(), kind)
    return file.getvalue()


def archive(*entries: tuple[str, bytes]) -> bytes:
    with zipfile.ZipFile(file := io.BytesIO(), "w") as packed:
        for name, content in entries:
            packed.writestr(zipfile.ZipInfo(name), content)  # of 1980: the same bytes in every process
    return file.getvalue()


def sound() -> bytes:
    with wave.open(file := io.BytesIO(), "wb") as recording:
        recording.setparams((1, 2, 8000, 0, "NONE", ""))
        recording.writeframes(b"\0\1" * 400)
    return file.getvalue()


def mp3(tag: bytes = b"") -> bytes:
    frame = b"\xff\xfb\x90\x00" + bytes(413)  # MPEG 1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes
    return tag + frame * 3


EPUB = archive(("mimetype", b"application/epub+zip"), ("META-INF/container.xml", b"<container/>"))
HTML = b"<!DOCTYPE html><script>alert(1)</script>"
SVG = b'<?xml version="1.0"?><!-- a --><svg xmlns="http://www.w3.org/2000/svg"/>'


def test_good_pdf(upload: Callable[..., Inspected]) -> None:
    data = pdf()
    assert upload(data, "My book.pdf") == Inspected(
        media_type="application/pdf",
        name="My book.pdf",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        pages=2,
        replacement=None,
    )


@pytest.mark.parametrize(
    "data, name, media_type, shown",
    [
        (EPUB, "a.epub", "application/epub+zip", "a.epub"),
        (archive(("a.txt", b"a")), "a.zip", "application/zip", "a.zip"),
        (mp3(), "a.mp3", "audio/mpeg", "a.mp3"),
        (mp3(b"ID3\4\0\0\0\0\1\0" + bytes(128)), "", "audio/mpeg", "file.mp3"),
        (b"\0\0\0\x18ftypM4A \0\0\0\0", "a.m4b", "audio/mp4", "a.m4b"),
        (b"\0\0\0\x18ftypisom\0\0\2\0", "a.m4a", "audio/mp4", "a.m4a"),
        (b"\0\0\0\x18ftypisom\0\0\2\0", "a.mp4", "video/mp4", "a.mp4"),
        (b"fLaC\0\0\0\x22", "a.flac", "audio/flac", "a.flac"),
        (b"OggS\0\2", "a.opus", "audio/ogg", "a.opus"),
        (sound(), "a.wav", "audio/wav", "a.wav"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\1B\xf7\x81\1B\x82\x84webm", "a.webm", "video/webm", "a.webm"),
        (picture("PNG"), "a.png", "image/png", "a.png"),
        (picture("JPEG"), "a.JPEG", "image/jpeg", "a.jpeg"),
        (picture("WEBP"), "a", "image/webp", "a.webp"),
        ("Grüße\n".encode(), "a.txt", "text/plain", "a.txt"),
        (b"a,b\r\n1,2\r\n", "a.csv", "text/csv", "a.csv"),
        (b"# Title\n", "a.md", "text/markdown", "a.md"),
    ],
)
def test_type_by_content(upload: Callable[..., Inspected], data: bytes, name: str, media_type: str, shown: str) -> None:
    seen = upload(data, name)
    assert (seen.media_type, seen.name, seen.size, seen.pages) == (media_type, shown, len(data), None)


@pytest.mark.parametrize(
    "data, name, message",
    [
        (b"", "a.pdf", "This file is empty."),
        (picture("PNG"), "a.pdf", "The name ends in “.pdf”, but the content is a PNG image."),
        (pdf(), "a.pdf.html", "The name ends in “.html”, but the content is a PDF."),
        (pdf(), "a.pdf\0.html", "The name ends in “.html”, but the content is a PDF."),
        (pdf(), "a\u202efdp.exe", "The name ends in “.exe”, but the content is a PDF."),
        (EPUB, "a.zip", "The name ends in “.zip”, but the content is an EPUB book."),
        (archive(("a", b"")), "a.jar", "The name ends in “.jar”, but the content is a ZIP archive."),
        (archive(("a", b"")), "a.docx", "Office documents cannot be sold here."),
        (archive(("a", b"a" * 99))[:-40], "a.zip", "This ZIP archive is cut off or damaged."),
        (b"MZ\x90\0\3", "a.pdf", "This is a Windows program. That cannot be sold here: upload a PDF,"),
        (b"\x7fELF\2\1\1", "a", "This is a program."),
        (b"#!/bin/sh\nrm -r /\n", "a.txt", "This is a program."),
        (HTML, "a.pdf", "This is a web page (HTML)."),
        (b"<!-- a -->\n<HTML>", "a.txt", "This is a web page (HTML)."),
        (SVG, "a.svg", "This is an SVG drawing."),
        (b"\xef\xbb\xbf<svg/>", "a.txt", "This is an SVG drawing."),
        (picture("GIF"), "a.gif", "This is a GIF image."),
        (b"a\0b", "a.txt", "It cannot be told what kind of file this is: upload a PDF,"),
        (b"caf\xe9", "a.txt", "It cannot be told what kind of file this is"),
        (b"\xff\xfb\x90\x00 noise", "a.mp3", "It cannot be told what kind of file this is"),
    ],
)
def test_s46_other_content_refused(refusal: Callable[..., str], data: bytes, name: str, message: str) -> None:
    assert refusal(data, name).startswith(message)


def test_markup_of_many_comments_is_judged_at_once(refusal: Callable[..., str]) -> None:
    started = time.monotonic()
    assert refusal(b"<!---->" * 580 + b"<\1", "a").startswith("It cannot be told")
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "given, safe",
    [
        ("../../etc/passwd", "passwd.pdf"),
        ("C:\\Users\\me\\Buch.pdf", "Buch.pdf"),
        ("C:Buch.pdf", "C-Buch.pdf"),
        ("a\0b.pdf", "ab.pdf"),
        ("a\r\nSet-Cookie: x.pdf", "a Set-Cookie- x.pdf"),
        ("\u202ea\u2066b\u200f.pdf", "ab.pdf"),
        ("a\ud800b.pdf", "ab.pdf"),
        ("a\u2028b.pdf", "a b.pdf"),
        ("shell.php.pdf", "shell-php.pdf"),
        ("a.html.js.pdf", "a-html-js.pdf"),
        ("J.R.R. Smith, Vol. 1.5.pdf", "J.R.R. Smith, Vol. 1.5.pdf"),
        ("A guide by J. Smith", "A guide by J. Smith.pdf"),
        ("日本語の本.PDF", "日本語の本.pdf"),
        ("Cafe\u0301.pdf", "Café.pdf"),
        ('a"b|c?.pdf', "a-b-c.pdf"),
        ("CON.pdf", "file CON.pdf"),
        ("", "file.pdf"),
        (".pdf", "file.pdf"),
        ("...", "file.pdf"),
        ("/", "file.pdf"),
        ("x" * 300 + ".pdf", "x" * 116 + ".pdf"),
    ],
)
def test_s46_name_sanitized(given: str, safe: str) -> None:
    assert filenames.safe_name(given, ".pdf") == safe
    assert filenames.safe_name(safe, ".pdf") == safe


@pytest.mark.parametrize(
    "data, message",
    [
        (HTML + b" " * 2000 + pdf(), "This is a web page (HTML)."),
        (b"junk\n" + pdf(), "Something stands in front of the PDF in this file."),
        (archive(("a", b"a")) + pdf(), "The name ends in “.pdf”, but the content is a ZIP archive."),
        (pdf() + archive(("a.html", HTML)), BEHIND),
        (pdf() + HTML, BEHIND),
        (pdf().replace(b"%%EOF", archive() + b"\n%%EOF"), BEHIND),
    ],
    ids=["html before", "junk before", "zip before", "zip behind", "html behind", "zip inside the end"],
)
def test_s47_polyglot_refused(refusal: Callable[..., str], data: bytes, message: str) -> None:
    assert refusal(data).startswith(message)


def test_line_ends_behind_the_pdf_are_harmless(upload: Callable[..., Inspected]) -> None:
    assert upload(pdf() + b"\r\n\0\0\n" * 100 + b"\x1a").pages == 2


def xref_loop() -> bytes:
    data = pdf(object_stream_mode=pikepdf.ObjectStreamMode.disable)
    start = data.rindex(b"xref\n", 0, data.rindex(b"startxref"))
    return data.replace(b"trailer <<", b"trailer << /Prev %d" % start)


@pytest.mark.parametrize(
    "data, message",
    [
        (pdf()[:-200], CUT_OFF),
        (pdf()[:-200] + b"%%EOF", DAMAGED),
        (b"%PDF-1.7\n", CUT_OFF),
        (b"%PDF-1.7\n%%EOF\n", DAMAGED),
        (pdf().replace(b"startxref\n", b"startxref\n9"), DAMAGED),
        (xref_loop(), DAMAGED),
        (written_pdf(CATALOG, b"<</Type/Pages/Count 2/Kids[2 0 R 3 0 R]>>", PAGE), DAMAGED),
        (written_pdf(CATALOG, b"<</Type/Pages/Count 0/Kids[]>>"), "This PDF has no pages."),
        (
            written_pdf(CATALOG, b"<</Type/Pages/Count 1000000/Kids[" + b"3 0 R " * 1_000_000 + b"]>>", PAGE),
            "This PDF has more than 20,000 pages. Split it into several files.",
        ),
    ],
    ids=["cut", "cut, ended", "header", "header, ended", "xref", "loop", "page loop", "no pages", "10⁶ pages"],
)
def test_s48_broken_pdf_refused(refusal: Callable[..., str], data: bytes, message: str) -> None:
    started = time.monotonic()
    assert refusal(data).startswith(message)
    assert time.monotonic() - started < 6


def test_s49_password_refused(refusal: Callable[..., str]) -> None:
    data = pdf(encryption=pikepdf.Encryption(user="u", owner="o"))
    assert refusal(data) == ("This PDF can only be opened with a password. Remove the password and upload it again.")


def test_s49_owner_password_only_is_unlocked(upload: Callable[..., Inspected]) -> None:
    locked = pdf(encryption=pikepdf.Encryption(owner="o", allow=pikepdf.Permissions(extract=False)))
    seen = upload(locked)
    assert seen.replacement is not None
    stored = seen.replacement.read_bytes()
    seen.replacement.unlink()
    assert (seen.pages, seen.size, seen.sha256) == (2, len(stored), hashlib.sha256(stored).hexdigest())
    with pikepdf.open(io.BytesIO(stored)) as unlocked:
        assert (unlocked.is_encrypted, len(unlocked.pages)) == (False, 2)


def bomb(document: pikepdf.Pdf, times: int = 1) -> None:
    """A page whose content is a gibibyte of blanks, packed once or several times."""
    packed = gibibyte()
    for _ in range(times - 1):
        packed = zlib.compress(packed)
    document.pages[0].Contents = document.make_stream(packed, Filter=Array([Name.FlateDecode] * times))


@pytest.mark.parametrize("times", [1, 2])
def test_s50_bomb_refused_in_little_time_and_memory(refusal: Callable[..., str], times: int) -> None:
    data = pdf(lambda document: bomb(document, times), compress_streams=False)
    before, started = resident(), time.monotonic()
    assert refusal(data) == (
        "This PDF unpacks to far more data than its size allows. Export it again from the program it was made with."
    )
    assert time.monotonic() - started < 6
    assert resident() - before < 20 << 20


def test_s50_bomb_of_objects_ends_at_the_limit_of_memory(refusal: Callable[..., str]) -> None:
    packed = gibibyte()
    length = len(packed)
    objects = b"<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length %d>>stream\n%s\nendstream" % (length, packed)
    body = b"%PDF-1.7\n2 0 obj\n" + objects + b"\nendobj\n"
    rows = [(0, 0, 255), (2, 2, 0), (1, 9, 0)]  # object 1, the catalog, lies in stream 2
    table = b"".join(struct.pack(">BHB", *row) for row in rows)
    xref = b"<</Type/XRef/Size 3/W[1 2 1]/Root 1 0 R/Length %d>>stream\n%s\nendstream" % (len(table), table)
    body += b"3 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF\n" % (xref, len(body))
    before, started = resident(), time.monotonic()
    assert refusal(body) == TOO_MUCH
    assert time.monotonic() - started < 7
    assert resident() - before < 20 << 20


def resident() -> int:
    """Bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def action(**entries: Any) -> Callable[[pikepdf.Pdf], object]:
    """A link on the first page with this action."""

    def change(document: pikepdf.Pdf) -> None:
        link = Dictionary(Type=Name.Annot, Subtype=Name.Link, Rect=[0, 0, 9, 9], A=Dictionary(**entries))
        document.pages[0].Annots = Array([document.make_indirect(link)])

    return change


def root(**entries: Any) -> Callable[[pikepdf.Pdf], object]:
    def change(document: pikepdf.Pdf) -> None:
        for key, value in entries.items():
            document.Root[f"/{key}"] = value

    return change


def attach(document: pikepdf.Pdf) -> None:
    document.attachments["a.exe"] = b"MZ"


def external_stream(document: pikepdf.Pdf) -> None:
    document.pages[0].Contents = document.make_stream(b"", F=Dictionary(Type=Name.Filespec, F=String("\\\\host\\a")))


SCRIPT = "JavaScript"
ACTIVE: dict[str, tuple[Callable[[pikepdf.Pdf], object], str]] = {
    "js": (action(S=Name.JavaScript, JS=String("app.alert(1)")), SCRIPT),
    "js uri": (action(S=Name.URI, URI=String(" JavaScript:alert(1)")), SCRIPT),
    "js tree": (root(Names=Dictionary(JavaScript=Dictionary(Names=[String("a"), Dictionary()]))), SCRIPT),
    "open js": (root(OpenAction=Dictionary(S=Name.JavaScript, JS=String("1"))), SCRIPT),
    "rendition": (action(S=Name.Rendition, JS=String("1")), SCRIPT),
    "launch": (action(S=Name.Launch, F=String("calc.exe")), "a command that starts a program"),
    "open uri": (
        root(OpenAction=Dictionary(S=Name.URI, URI=String("https://a.example"))),
        "an action that runs when it is opened",
    ),
    "aa": (
        root(AA=Dictionary(WC=Dictionary(S=Name.URI, URI=String("https://a.example")))),
        "actions that run by themselves (/AA)",
    ),
    "submit": (action(S=Name.SubmitForm, F=String("https://a.example")), "a form that sends data elsewhere"),
    "remote": (action(S=Name.GoToR, F=String("a.pdf"), D=[0, Name.Fit]), "links into other files (/GoToR)"),
    "attached": (attach, "attached files"),
    "xfa": (root(AcroForm=Dictionary(Fields=[], XFA=String("<xdp/>"))), "an XFA form"),
    "flash": (root(Extra=Dictionary(Subtype=Name.RichMedia)), "Flash or 3D content"),
    "external": (external_stream, "content kept in another file"),
}


@pytest.mark.parametrize("case", ACTIVE)
def test_s51_active_content_refused(refusal: Callable[..., str], case: str) -> None:
    change, what = ACTIVE[case]
    message = refusal(pdf(change, object_stream_mode=pikepdf.ObjectStreamMode.generate))
    assert message.startswith(f"This PDF contains {what}, which must not reach readers. To get rid of it: ")


def test_active_content_named_completely(refusal: Callable[..., str]) -> None:
    def both(document: pikepdf.Pdf) -> None:
        attach(document)
        ACTIVE["js"][0](document)

    assert refusal(pdf(both)) == (
        "This PDF contains attached files and JavaScript, which must not reach readers. To get rid of it: "
        "remove the attachments, and sell them as files of their own; export it again without scripts. "
        "Printing it to a new PDF also helps."
    )


def test_s51_hidden_name_is_found(refusal: Callable[..., str]) -> None:
    page = PAGE.replace(b">>", b"/Annots[<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/A<</S/Java#53cript/J#53(1)>>>>]>>")
    data = written_pdf(CATALOG, b"<</Type/Pages/Count 1/Kids[3 0 R]>>", page)
    assert refusal(data).startswith("This PDF contains JavaScript,")


def ordinary(document: pikepdf.Pdf) -> None:
    """What LaTeX, Word and LibreOffice write: an opening place, outlines, web links, page labels, empty name trees."""
    page = document.pages[0]
    document.Root.OpenAction = Dictionary(S=Name.GoTo, D=Array([page.obj, Name.Fit]))
    document.Root.PageLabels = Dictionary(Nums=Array([0, Dictionary(S=Name.r)]))
    document.Root.Names = Dictionary(EmbeddedFiles=Dictionary(Names=Array()), JavaScript=Dictionary(Names=Array()))
    document.Root.AcroForm = Dictionary(Fields=Array())
    page.Resources = Dictionary(
        Font=Dictionary(AA=Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Courier))
    )
    action(S=Name.URI, URI=String("https://a.example/javascript:"))(document)
    with document.open_outline() as outline:
        outline.root.append(pikepdf.OutlineItem("Chapter", 1))


@pytest.mark.parametrize("packed", list(pikepdf.ObjectStreamMode))
def test_ordinary_features_accepted(upload: Callable[..., Inspected], packed: pikepdf.ObjectStreamMode) -> None:
    assert upload(pdf(ordinary, object_stream_mode=packed)).pages == 2


def test_opening_place_as_array_and_linearized_accepted(upload: Callable[..., Inspected]) -> None:
    opening = root(OpenAction=Array([0, Name.XYZ, 0, 0, 0]))
    assert upload(pdf(opening, linearize=True)).pages == 2


def test_s48_many_pages_accepted(upload: Callable[..., Inspected]) -> None:
    assert upload(pdf(pages=1000)).pages == 1000


def test_file_of_700_mb_is_read_within_512(tmp_path: Path) -> None:
    path = tmp_path / "large.pdf"
    with path.open("wb") as file:
        file.write(b"%PDF-1.7\n4 0 obj<</Length 734003200>>stream\n")
        file.seek(734003200, os.SEEK_CUR)  # a hole: takes no disk
        file.write(b"\nendstream\nendobj\n")
        offsets = []
        for number, text in enumerate((CATALOG, b"<</Type/Pages/Count 1/Kids[3 0 R]>>", PAGE), 1):
            offsets.append(file.tell())
            file.write(b"%d 0 obj\n%s\nendobj\n" % (number, text))
        start = file.tell()
        rows = b"".join(b"%010d 00000 n \n" % offset for offset in [*offsets, 9])
        file.write(b"xref\n0 5\n0000000000 65535 f \n" + rows)
        file.write(b"trailer<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % start)
    before = resident()
    kind = inspection.look_into_pdf(path, tmp_path / "unlocked")
    assert kind == {"pages": 1, "outline": [], "unlocked": False}
    assert resident() - before < 20 << 20


def test_s48_crash_of_the_child_is_a_refusal(refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "MEMORY", 8 << 20)
    assert refusal(pdf()) == TOO_MUCH


def test_s48_child_that_waits_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "WALL_SECONDS", 0.01)
    with pytest.raises(confined.Failed, match="did not end within"):
        confined.run("catalog.inspection_child", memory=confined.MEMORY)


def test_s62_child_knows_no_secrets_and_loads_no_django(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_canary")
    (tmp_path / "probe.py").write_text(
        "import os, sys\nfrom catalog import confined, cover_child, inspection_child\n"
        "print('STRIPE_SECRET_KEY' in os.environ, 'django' in sys.modules)\n"
        "import socket\n"
        "confined.seal()\n"
        "try: socket.socket()\n"
        "except OSError: print('sealed')\n"
    )
    shutil.copytree(
        confined.ROOT / "catalog", tmp_path / "catalog", ignore=shutil.ignore_patterns("demo", "__pycache__")
    )
    monkeypatch.setattr(confined, "ROOT", tmp_path)
    assert confined.run("probe", memory=confined.MEMORY) == b"False False\nsealed\n"


def test_s52_temporary_copy_is_gone(refusal: Callable[..., str], upload: Callable[..., Inspected], tmp_path: Path,
                                monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    upload(pdf())
    refusal(pdf(attach))
    assert [path.name for path in tmp_path.iterdir()] == ["upload"]


def test_bomb_rule_spares_large_and_well_packed_files() -> None:
    from catalog.inspection_child import INFLATED, is_bomb

    assert not is_bomb(INFLATED, 1, INFLATED)
    assert not is_bomb(INFLATED * 4, INFLATED // 20, INFLATED)
    assert is_bomb(INFLATED + 1, 1 << 20, INFLATED)


def test_mpeg_frames() -> None:
    assert filetypes.frame_length(b"\xff\xfb\x90\x00") == 417
    assert filetypes.frame_length(b"\xff\xf3\x40\xc0") == 104
    assert filetypes.frame_length(b"\xff\xfb\xf0\x00") == 0
