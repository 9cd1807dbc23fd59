"""Small real files, as an uploader has them."""

import io

import pikepdf
from django.core.files.uploadedfile import SimpleUploadedFile
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


def png(size: tuple[int, int] = (600, 800)) -> bytes:
    Image.new("RGB", size, "red").save(file := io.BytesIO(), "PNG")
    return file.getvalue()


def upload(content: bytes, name: str = "book.pdf") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)
