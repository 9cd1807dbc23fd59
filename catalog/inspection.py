"""Looks into uploaded files before anybody is sold one. Imports no models.

What a file is, is judged by its content; PDFs are read in a confined child. Every refusal says what to do about it.
"""

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from django.utils.functional import Promise
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from catalog import confined, filetypes, outlines
from catalog.cover_images import Cover, render_image_cover, render_pdf_cover
from catalog.filenames import claimed_extension, safe_name
from catalog.filetypes import Refused

__all__ = ["Cover", "Inspected", "Refused", "inspect_file", "render_image_cover", "render_pdf_cover"]

TAIL = 70_000  # bytes; a ZIP's last record and its comment lie within 65,557
AFTER_END = 16  # bytes; some programs leave a few behind the last %%EOF, line ends and NULs not counted


@dataclass(frozen=True)
class Inspected:
    media_type: str
    name: str  # safe to show and to send, with the extension of the type
    size: int  # bytes
    sha256: str
    pages: int | None = None
    outline: list[outlines.Entry] = field(default_factory=list)
    # For a PDF that only an owner password locks: the unlocked copy to store instead, which is what size and sha256
    # describe. A temporary file; the caller deletes it.
    replacement: Path | None = None


def inspect_file(path: Path, name: str) -> Inspected:
    """What is in an uploaded file that its uploader calls `name`. Raises Refused.

    Takes some 0.2 s for a PDF, 6 s at worst. The file must not change meanwhile.
    """
    extension = claimed_extension(name)
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise Refused(
                _("This file is empty. Choose it again, or export it again if it is empty on your computer too.")
            )
        kind = filetypes.recognize(file, extension)
        check_extension(kind, extension)
        if kind is filetypes.PDF:
            check_pdf_end(file)
    safe = safe_name(name, extension if extension in kind.extensions else kind.extensions[0])
    if kind is filetypes.PDF:
        return inspect_pdf(path, safe)
    return described(path, kind, safe)


def described(path: Path, kind: filetypes.FileType, name: str, pages: int | None = None) -> Inspected:
    with path.open("rb") as file:
        return Inspected(
            media_type=kind.media_type,
            name=name,
            size=os.fstat(file.fileno()).st_size,
            sha256=hashlib.file_digest(file, "sha256").hexdigest(),
            pages=pages,
        )


OFFICE = {".doc", ".docx", ".odt", ".pages", ".ppt", ".pptx", ".odp", ".key", ".xls", ".xlsx", ".ods"}


def check_extension(kind: filetypes.FileType, extension: str) -> None:
    """A name that claims another type is a mistake or a trick: "x.pdf.html" is opened as a web page."""
    if extension in OFFICE:
        raise Refused(_("Office documents cannot be sold here. Export this one as a PDF and upload that."))
    if extension and extension not in kind.extensions:
        raise Refused(
            _(
                "The name ends in “%(extension)s”, but the content is %(kind)s. "
                "Choose the right file, or rename it to end in “%(right)s”."
            )
            % {"extension": extension, "kind": kind.label, "right": kind.extensions[0]}
        )


def check_pdf_end(file: BinaryIO) -> None:
    """Nothing rides along behind the PDF: such a file is a PDF to one program and something else to another."""
    start = max(0, file.seek(0, os.SEEK_END) - TAIL)
    tail = filetypes.read_at(file, start, TAIL)
    __, end, after = tail.rpartition(b"%%EOF")
    if not end:
        raise Refused(_("This PDF is cut off: its end is missing. Upload it again, or export it again."))
    if len(after.strip(b"\0\t\n\f\r ")) > AFTER_END or zipfile.is_zipfile(file):
        raise Refused(
            _(
                "Something else is hidden behind the PDF in this file. "
                "Export it again from the program it was made with."
            )
        )


def inspect_pdf(path: Path, name: str) -> Inspected:
    handle, copy = tempfile.mkstemp(suffix=".pdf")
    os.close(handle)
    unlocked, keep = Path(copy), False
    try:
        result = look_into_pdf(path, unlocked)
        seen = described(unlocked if result["unlocked"] else path, filetypes.PDF, name, result["pages"])
        keep = result["unlocked"]
        outline = outlines.cleaned(result["outline"])
        return replace(seen, outline=outline, replacement=unlocked if keep else None)
    finally:
        if not keep:
            unlocked.unlink()


def look_into_pdf(path: Path, unlocked: Path) -> dict[str, Any]:
    """The child's answer for a good file: pages, outline, whether an unlocked copy was written. Raises Refused."""
    try:
        result: dict[str, Any] = json.loads(
            confined.run("catalog.inspection_child", str(path.resolve()), str(unlocked), memory=confined.MEMORY)
        )
    except (confined.Failed, ValueError):
        raise Refused(
            _(
                "This PDF needs far more time or memory than a normal one, or is damaged. "
                "Export it again, and split a very large one."
            )
        ) from None
    if code := result.get("refused"):
        raise Refused(found_message(result["found"]) if code == "active" else str(REFUSALS[code]))
    return result


REFUSALS: dict[str, Promise] = {
    "password": lazy("This PDF can only be opened with a password. Remove the password and upload it again."),
    "damaged": lazy("This PDF is damaged. Export it again from the program it was made with, and check that it opens."),
    "empty": lazy("This PDF has no pages. Export it again from the program it was made with."),
    "pages": lazy("This PDF has more than 20,000 pages. Split it into several files."),
    "bomb": lazy(
        "This PDF unpacks to far more data than its size allows. Export it again from the program it was made with."
    ),
}

# What was found, and how the uploader gets rid of it.
FOUND: dict[str, tuple[Promise, Promise]] = {
    "javascript": (lazy("JavaScript"), lazy("export it again without scripts")),
    "launch": (
        lazy("a command that starts a program"),
        lazy("remove the buttons and links that start programs"),
    ),
    "open": (
        lazy("an action that runs when it is opened"),
        lazy("remove the open action from the document's properties"),
    ),
    "automatic": (
        lazy("actions that run by themselves (/AA)"),
        lazy("remove the actions from its pages and form fields"),
    ),
    "submit": (lazy("a form that sends data elsewhere"), lazy("flatten its forms")),
    "attachment": (
        lazy("attached files"),
        lazy("remove the attachments, and sell them as files of their own"),
    ),
    "xfa": (lazy("an XFA form"), lazy("flatten its forms")),
    "remote": (lazy("links into other files (/GoToR)"), lazy("remove those links, or make them web links")),
    "media": (lazy("Flash or 3D content"), lazy("replace it by pictures")),
    "external": (lazy("content kept in another file"), lazy("embed all images and fonts")),
}


def found_message(codes: Sequence[str]) -> str:
    what = get_text_list([str(FOUND[code][0]) for code in codes], _("and"))
    how = "; ".join(dict.fromkeys(str(FOUND[code][1]) for code in codes))
    return _(
        "This PDF contains %(what)s, which must not reach readers. To get rid of it: %(how)s. "
        "Printing it to a new PDF also helps."
    ) % {"what": what, "how": how}
