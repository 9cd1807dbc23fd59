"""Pictures of pages and the sample PDF, from real files; what is hostile ends in the child."""

import contextlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pypdfium2
import pytest
from pikepdf import Array, Dictionary, Name, Stream, String
from PIL import Image

from catalog import confined, sample_images
from catalog.demo_books import books
from catalog.filetypes import Refused
from catalog.sample_images import extract, look_into
from tests.catalog.bombs import gibibyte
from tests.catalog.samples import book, pdf

ALL = [(1, 99_999)]
TOO_MUCH = "These pages take far too much time or memory to draw, or are damaged."


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        path = tmp_path / "book.pdf"
        path.write_bytes(data)
        return path

    return write


Write = Callable[[bytes], Path]


def numbers(path: Path, *ranges: tuple[int, int]) -> list[int]:
    return [picture.number for picture in look_into(path, ranges).pictures]


def everything_in(data: bytes) -> bytes:
    """Every object of a PDF and every stream as it reads unpacked, behind the bytes themselves."""
    with pikepdf.open(io.BytesIO(data)) as document:
        streams = [each.read_bytes() for each in document.objects if isinstance(each, Stream)]
        document.save(plain := io.BytesIO(), qdf=True, object_stream_mode=pikepdf.ObjectStreamMode.disable)
    return b"\n".join([data, plain.getvalue(), *streams])


def words(data: bytes) -> list[str]:
    """The text of each page."""
    document = pypdfium2.PdfDocument(data)
    return [" ".join(page.get_textpage().get_text_bounded().split()) for page in document]


# Pictures


def test_pages_are_drawn_in_two_sizes(file: Write) -> None:
    look = look_into(file(book(12)), [(1, 2), (4, 4)])
    assert [(each.number, each.height) for each in look.pictures] == [(1, 1280), (2, 1280), (4, 1280)]
    for picture in look.pictures:
        for data, size in ((picture.small, (480, 640)), (picture.large, (960, 1280))):
            image = Image.open(io.BytesIO(data))
            assert (image.format, image.size) == ("WEBP", size)
            assert set(image.info) <= {"loop", "background", "timestamp", "duration"}
        assert image.convert("L").histogram()[0] > 50, "there are words on it"


@pytest.mark.parametrize(
    "size, height",
    [((420, 595), 1360), ((595, 420), 678), ((14400, 14400), 960), ((30, 3000), 1920), ((3000, 30), 480)],
)
def test_page_of_any_shape_is_drawn(file: Write, size: tuple[int, int], height: int) -> None:
    picture = look_into(file(pdf(3, page_size=size)), ALL).pictures[0]
    assert picture.height == height
    assert Image.open(io.BytesIO(picture.large)).size == (960, height)
    assert Image.open(io.BytesIO(picture.small)).size == (480, height // 2)


def test_real_books_show_cover_and_contents(tmp_path: Path) -> None:
    for demo in books()[:2]:
        demo.write_pdf(tmp_path / "book.pdf")
        assert numbers(tmp_path / "book.pdf", (1, 1)) == [1, 3], demo.name


@pytest.mark.parametrize(
    "content, found",
    [
        (book(30, heading=4), [1, 4]),
        (book(30, heading=20), [1, 20]),
        (book(30, heading=21), [1]),
        (book(30), [1]),
        (book(30, outline=[("Intro", 2), ("Table of Contents", 6)]), [1, 6]),
        (book(30, outline=[("  INHALT ", 25)]), [1, 25]),
        (book(30, outline=[("Inhaltsverzeichnis", 9)], heading=3), [1, 9]),
        (book(30, outline=[("The contents of a bag", 9)]), [1]),
    ],
    ids=["heading", "late", "too late", "none", "outline", "german", "outline first", "another word"],
)
def test_contents_page_is_found(file: Write, content: bytes, found: list[int]) -> None:
    assert numbers(file(content), (1, 1)) == found


def test_the_code_that_draws_never_draws_the_whole(file: Write) -> None:
    for pages in (1, 2, 3, 8):
        assert len(numbers(file(book(pages)), *ALL)) == pages // 3
    assert numbers(file(pdf(100)), *ALL) == list(range(1, 31))


def test_outline_is_read_without_drawing(file: Write) -> None:
    look = look_into(file(book(9, outline=[("One", 2), ("Two\x00", 3)])), [])
    assert look.pictures == []
    assert [(entry["title"], entry["page"]) for entry in look.outline] == [("One", 2), ("Two", 3)]


def bomb() -> bytes:
    with pikepdf.open(io.BytesIO(pdf(3))) as document:
        document.pages[0].Contents = document.make_stream(gibibyte(), Filter=Name.FlateDecode)
        document.save(data := io.BytesIO(), compress_streams=False)
    return data.getvalue()


def endless_form() -> bytes:
    """A form that draws itself, many times over."""
    with pikepdf.open(io.BytesIO(pdf(3))) as document:
        forms = [Stream(document, b"/X Do " * 9, Type=Name.XObject, Subtype=Name.Form) for _ in range(12)]
        for form, below in zip(forms, [*forms[1:], forms[0]], strict=True):
            form.BBox = Array([0, 0, 100, 100])
            form.Resources = Dictionary(XObject=Dictionary(X=below))
        document.pages[0].Resources = Dictionary(XObject=Dictionary(X=forms[0]))
        document.pages[0].Contents = document.make_stream(b"/X Do")
        document.save(data := io.BytesIO())
    return data.getvalue()


@pytest.mark.parametrize(
    "content, messages",
    [
        (bomb(), {TOO_MUCH, "One of these pages cannot be drawn."}),
        (b"", {"This PDF is damaged. Export it again from the program it was made with."}),
        (b"%PDF-1.7\n%%EOF\n", {"This PDF is damaged. Export it again from the program it was made with."}),
        (pdf(password="secret"), {"This PDF is damaged. Export it again from the program it was made with."}),
    ],
    ids=["gibibyte", "empty", "cut", "locked"],
)
def test_s50_file_that_cannot_be_drawn_is_refused(file: Write, content: bytes, messages: set[str]) -> None:
    with pytest.raises(Refused) as caught:
        look_into(file(content), ALL)
    assert str(caught.value) in messages


def test_s50_page_that_takes_for_ever_is_given_up(file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_images, "DRAWING_SECONDS", 1)
    monkeypatch.setattr(sample_images, "COPYING_SECONDS", 1)
    path = file(endless_form())
    with contextlib.suppress(Refused):
        assert len(look_into(path, ALL).pictures) == 1
    assert len(extract(path, [1], mark="Sample")) < 20_000


def test_child_may_use_as_much_time_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    class Done:
        returncode, stdout = 0, b""

    def run(command: list[str], **options: Any) -> Done:
        seen.update(options, command=command)
        return Done()

    monkeypatch.setattr("subprocess.run", run)
    confined.run("catalog.sample_child", "x", memory=1, cpu=30)
    assert (seen["command"][3:5], seen["timeout"]) == (["1", "30"], 90)
    confined.run("catalog.sample_child", "x", memory=1)
    assert (seen["command"][3:5], seen["timeout"]) == (["1", "5"], 15)


# The sample as a PDF


def test_sample_holds_the_pages_and_the_mark(file: Write) -> None:
    sample = extract(file(book(9)), [1, 3], mark="Sample · Café")
    assert words(sample) == ["Words of page 1. Sample · Café", "Words of page 3. Sample · Café"]
    with pikepdf.open(io.BytesIO(sample)) as document:
        marks = {page.obj.Resources.XObject["/Mark0"].objgen for page in document.pages}
        assert len(marks) == 1, "one form for all pages"
        assert document.docinfo == {"/Title": "Sample · Café"}
        assert set(document.Root.keys()) == {"/Type", "/Pages"}


def secret(number: int) -> bytes:
    return b"Words of page %d." % number


def laden() -> bytes:
    """A book in which everything hangs together: shared resources, links, names, notes, forms, files, and who made
    it. "Secret" stands in whatever must stay behind."""
    with pikepdf.open(io.BytesIO(book(9, outline=[("Secret chapter", 7)]))) as document:
        pages = [page.obj for page in document.pages]

        def picture(text: bytes) -> Stream:
            about = document.make_stream(b"<x:xmpmeta>Secret camera</x:xmpmeta>", Type=Name.Metadata, Subtype=Name.XML)
            image = document.make_stream(text.ljust(48, b"."), Type=Name.XObject, Subtype=Name.Image, Width=4, Height=4)
            image.ColorSpace, image.BitsPerComponent, image.Metadata = Name.DeviceRGB, 8, about
            image.PieceInfo = Dictionary(App=Dictionary(Private=String("Secret edits")))
            return image

        def form(text: bytes, **resources: Any) -> Stream:
            stream = document.make_stream(text, Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 300, 400]))
            if resources:
                stream.Resources = document.make_indirect(Dictionary(**resources))
            return stream

        used, unused = picture(b"picture of page one"), picture(b"Secret picture")
        inner = form(b"q 9 0 0 9 0 0 cm /P Do Q", XObject=Dictionary(P=used, Q=unused))
        old = form(b"BT /F 9 Tf 9 9 Td (in an old form) Tj ET /P2 Do")  # takes the page's resources
        shared = document.make_indirect(
            Dictionary(
                Font=Dictionary(F=pages[0].Resources.Font.F),
                XObject=Dictionary(
                    A=inner, B=form(b"BT /F 9 Tf (Secret form) Tj ET"), C=unused, D=old, P2=picture(b"picture two")
                ),
                Properties=Dictionary(M1=Dictionary(Title=String("Secret layer"))),
                ExtGState=Dictionary(
                    G=Dictionary(SMask=Dictionary(S=Name.Luminosity, G=form(b"BT (Secret mask) Tj ET"))),
                    H=Dictionary(SMask=Dictionary(S=Name.Luminosity, G=form(b"0 0 9 9 re f"))),
                ),
            )
        )
        for page in pages:
            del page["/Resources"]
        document.Root.Pages.Resources = shared
        start = b"% Secret comment\n/H gs /A Do /D Do " + pages[0].Contents.read_bytes()
        pages[0].Contents = Array([document.make_stream(start), document.make_stream(b"% Secret tail")])
        link = Dictionary(
            Type=Name.Annot, Subtype=Name.Link, Rect=Array([0, 0, 9, 9]), Dest=Array([pages[6], Name.Fit])
        )
        note = Dictionary(Type=Name.Annot, Subtype=Name.Text, Rect=Array([0, 0, 9, 9]), Contents=String("Secret note"))
        pages[0].Annots = Array([document.make_indirect(link), document.make_indirect(note)])
        pages[0].AA = Dictionary(O=Dictionary(S=Name.JavaScript, JS=String("app.alert('Secret')")))
        pages[0].PieceInfo = Dictionary(App=Dictionary(Private=String("Secret piece")))
        pages[0].Metadata = document.make_stream(b"Secret metadata of the page")
        pages[0].Thumb = unused
        pages[0].B = Array([document.make_indirect(Dictionary(P=pages[6], Title=String("Secret bead")))])
        pages[0].SecretKey = String("x")
        document.attachments["secret.txt"] = b"Secret attachment"
        document.docinfo["/Author"] = "Secret Author"
        document.Root.Metadata = document.make_stream(b"Secret XMP")
        document.Root.OpenAction = Dictionary(S=Name.JavaScript, JS=String("app.alert('Secret')"))
        document.Root.Secret = Array([pages[6]])
        document.save(data := io.BytesIO(), compress_streams=False)
    return data.getvalue()


def test_nothing_of_the_rest_is_left_in_the_sample(file: Write) -> None:
    content = laden()
    for number in range(1, 10):
        assert secret(number) in content
    sample = extract(file(content), [1, 3], mark="Sample")
    found = everything_in(sample)
    for number in range(1, 10):
        assert (secret(number) in found) is (number in (1, 3)), number
    assert found.lower().count(b"secret") == 0
    assert b"JavaScript" not in found
    assert b"/Annots" not in found
    for kept in (b"picture of page one", b"in an old form", b"picture two", b"0 0 9 9 re"):
        assert kept in found, kept
    assert words(sample)[0].startswith("in an old form Words of page 1.")
    with pikepdf.open(io.BytesIO(sample)) as document:
        assert document.check_pdf_syntax() == []
        assert set(document.pages[0].obj.keys()) <= {"/Type", "/Parent", "/MediaBox", "/Contents", "/Resources"}


def test_sample_of_a_demo_book_looks_like_the_book(tmp_path: Path) -> None:
    """But for the mark, which is pale."""
    books()[0].write_pdf(path := tmp_path / "book.pdf")
    sample = pypdfium2.PdfDocument(extract(path, [1, 4], mark="."))
    whole = pypdfium2.PdfDocument(path)
    for number, original in ((0, 0), (1, 3)):
        one, other = (
            document.render(scale=0.5).to_pil().convert("L") for document in (sample[number], whole[original])
        )
        assert one.size == other.size
        differing = sum(abs(a - b) > 60 for a, b in zip(one.tobytes(), other.tobytes(), strict=True))
        assert differing < 0.002 * one.width * one.height


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_mark_rises_to_the_right_on_a_page_that_is_turned(file: Write, turn: int) -> None:
    with pikepdf.open(io.BytesIO(pdf(3, page_size=(300, 500)))) as document:
        document.pages[0].Rotate = turn
        document.pages[0].CropBox = Array([20, 30, 280, 470])
        document.save(data := io.BytesIO())
    page = pypdfium2.PdfDocument(extract(file(data.getvalue()), [1], mark="MMMMMMMMMMMM"))[0]
    image = page.render().to_pil().convert("L").point(lambda level: 255 if level < 240 else 0)
    width, height = image.size
    upper_right, lower_left = (width // 2, 0, width, height // 2), (0, height // 2, width // 2, height)
    upper_left, lower_right = (0, 0, width // 2, height // 2), (width // 2, height // 2, width, height)
    rising = sum(image.crop(box).histogram()[255] for box in (upper_right, lower_left))
    falling = sum(image.crop(box).histogram()[255] for box in (upper_left, lower_right))
    assert rising > 500
    assert falling < 0.1 * rising


def layered(document: pikepdf.Pdf) -> None:
    layer = document.make_indirect(Dictionary(Type=Name.OCG, Name=String("Answers")))
    document.Root.OCProperties = Dictionary(OCGs=Array([layer]), D=Dictionary(OFF=Array([layer])))


def spread(document: pikepdf.Pdf) -> None:
    """Two pages are halves of one drawing."""
    document.pages[1].Contents = document.pages[0].Contents
    document.pages[0].MediaBox, document.pages[1].MediaBox = Array([0, 0, 150, 400]), Array([150, 0, 300, 400])


def cut(document: pikepdf.Pdf) -> None:
    document.pages[0].CropBox = Array([0, 0, 150, 400])


@pytest.mark.parametrize("change, why", [(layered, "layers"), (spread, "shared"), (cut, "cropped")])
def test_pages_that_cannot_be_told_from_others_give_no_pdf(
    file: Write, change: Callable[[pikepdf.Pdf], None], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pikepdf.open(io.BytesIO(book(9))) as document:
        change(document)
        document.save(data := io.BytesIO())
    path = file(data.getvalue())
    assert extract(path, [1], mark="Sample") == b""
    assert caplog.messages == [f"no sample of these pages as a PDF: {why}"]
    assert numbers(path, (1, 1)) == [1]


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7\n%%EOF\n", pdf(password="secret")])
def test_file_that_cannot_be_copied_gives_no_pdf(file: Write, content: bytes) -> None:
    assert extract(file(content), [1], mark="Sample") == b""


def test_page_that_is_not_there_gives_no_pdf(file: Write) -> None:
    assert extract(file(book(3)), [7], mark="Sample") == b""


def test_same_pages_give_the_same_bytes(file: Write) -> None:
    path = file(laden())
    assert extract(path, [1, 3], mark="Sample") == extract(path, [1, 3], mark="Sample")


def test_every_refusal_has_its_words() -> None:
    source = (Path(sample_images.__file__).parent / "sample_child.py").read_text()
    codes = set(re.findall(r'(?:Unfit\(|"refused": )"(\w+)"', source))
    assert codes == set(sample_images.REFUSALS)
