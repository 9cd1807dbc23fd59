"""Small real files, as an uploader has them."""

import io
from collections.abc import Sequence

import pikepdf
from django.core.files.uploadedfile import SimpleUploadedFile
from pikepdf import Dictionary, Name
from PIL import Image

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="600" height="800"><rect width="9" height="9" fill="red"/></svg>'


def pdf(
    pages: int = 2, *, page_size: tuple[int, int] = (300, 400), password: str = "", owner_password: str = ""
) -> bytes:
    """A PDF that needs `password` to open, or that anybody opens but only the owner may print."""
    with pikepdf.new() as document:
        for _ in range(pages):
            document.add_blank_page(page_size=page_size)
        locked = pikepdf.Encryption(user=password, owner=owner_password or "owner")
        document.save(file := io.BytesIO(), encryption=locked if password or owner_password else False)
    return file.getvalue()


def book(pages: int = 9, *, outline: Sequence[tuple[str, int]] = (), heading: int = 0) -> bytes:
    """A PDF whose page 3 says "Words of page 3.", with an outline of titles and pages from 1; page `heading` begins
    with "Contents"."""
    with pikepdf.new() as document:
        font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
        for number in range(1, pages + 1):
            page = document.add_blank_page(page_size=(300, 400))
            page.Resources = Dictionary(Font=Dictionary(F=font))
            top = "(Contents) Tj" if number == heading else ""
            words = f"BT /F 20 Tf 40 300 Td {top} 0 -40 Td (Words of page {number}.) Tj ET"
            page.Contents = document.make_stream(words.encode())
        with document.open_outline() as entries:
            entries.root += [pikepdf.OutlineItem(title, page - 1) for title, page in outline]
        document.save(file := io.BytesIO(), compress_streams=False, deterministic_id=True)
    return file.getvalue()


def png(size: tuple[int, int] = (600, 800)) -> bytes:
    Image.new("RGB", size, "red").save(file := io.BytesIO(), "PNG")
    return file.getvalue()


def upload(content: bytes, name: str = "book.pdf") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)
