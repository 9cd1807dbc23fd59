"""Looks into a PDF: `python -m catalog.inspection_child MEMORY CPU FILE UNLOCKED` prints what it found as JSON.

Runs confined and apart from Django (catalog.confined). {"pages": 3, "outline": [entries], "unlocked": false} is a good
file; if "unlocked" is true, a copy without its owner password was written to UNLOCKED. {"refused": code, "found":
[codes]} is any other.
"""

import json
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pikepdf
import pypdfium2
from pypdfium2.raw import FPDF_ERR_PASSWORD, FPDF_ERR_SUCCESS

from catalog.confined import confine
from catalog.outline_child import outline

MOST_PAGES = 20_000
# A stream that becomes larger than this and more than RATIO times its size is a bomb. Real pages stay far below:
# the picture of a page at 600 dpi is some 100 MB and seldom compresses by more than 50.
INFLATED = 256 << 20  # bytes, of one stream; four times as much for all
RATIO = 100
INFLATING_SECONDS = 3.0  # of CPU; smallest first, so that only streams too large to be bombs remain unread
# PDFium opens no document without pages, and calls that a success.
PDFIUM_ERRORS = {FPDF_ERR_PASSWORD: "password", FPDF_ERR_SUCCESS: "empty"}
CONTAINERS = (pikepdf.Dictionary, pikepdf.Array, pikepdf.Stream)
HARMLESS = "Resources is missing"  # a page that needs none; every reader takes that
READ_WHOLE = 64 << 20  # bytes; a larger stream is its own explanation


Check = Callable[[Any], str | None]  # a value to the code of what is wrong with it


class Unfit(Exception):
    def __init__(self, code: str, found: Iterable[str] = ()) -> None:
        self.result = {"refused": code, "found": sorted(set(found))}


def main() -> None:
    confine(*sys.argv[1:3])
    file, unlocked_file = Path(sys.argv[3]), Path(sys.argv[4])
    with file.open("rb") as one, file.open("rb") as other, unlocked_file.open("wb") as unlocked:
        try:
            result = inspect(one, other, unlocked)
        except Unfit as unfit:
            result = unfit.result
        except pikepdf.PasswordError:
            result = Unfit("password").result
        except pypdfium2.PdfiumError as error:
            result = Unfit(PDFIUM_ERRORS.get(error.err_code, "damaged")).result
        except (pikepdf.PdfError, RecursionError, ValueError, TypeError):
            result = Unfit("damaged").result
    print(json.dumps(result))


def inspect(one: Any, other: Any, unlocked: Any) -> dict[str, Any]:
    """Three views of one file: PDFium's pages, qpdf's objects, and the bytes of the streams."""
    # PDFium first: it counts a million pages in 0.2 s, which qpdf cannot even open within the memory.
    seen = pypdfium2.PdfDocument(one)
    pages = count_pages(seen)
    # No memory map: a file of 600 MB would not fit into the address space.
    with pikepdf.open(other, suppress_warnings=True, access_mode=pikepdf.AccessMode.stream) as pdf:
        objects = list(pdf.objects)
        if found := set(active_content(objects)):
            raise Unfit("active", found)
        check_bombs([stream for stream in objects if isinstance(stream, pikepdf.Stream)])
        if len(pdf.pages) != pages or any(HARMLESS not in warning for warning in pdf.get_warnings()):
            raise Unfit("damaged")
        if pdf.is_encrypted:
            pdf.save(unlocked, encryption=False)
        return {"pages": pages, "outline": outline(seen), "unlocked": pdf.is_encrypted}


def count_pages(pdf: Any) -> int:
    """1 to 20,000, of which the first can be loaded."""
    pages = len(pdf)
    if pages == 0:
        raise Unfit("empty")
    if pages > MOST_PAGES:
        raise Unfit("pages")
    pdf.get_page_size(0)  # loading the page itself would inflate a bomb in it
    return pages


def active_content(objects: Iterable[Any]) -> Iterator[str]:
    """Codes of what a file could do by itself or bring along, in all its objects, reachable or not."""
    for owner, key, value in entries(objects):
        if key in CHECKS and (code := CHECKS[key](value)):
            yield code
        if key == "/F" and isinstance(owner, pikepdf.Stream):  # its data are in another file, or at an address
            yield "external"


def entries(objects: Iterable[Any]) -> Iterator[tuple[Any, str, Any]]:
    """Dictionary, key and value of every entry in these objects, those of stream dictionaries too.

    What is stored as an object of its own is among `objects` and comes once.
    """
    stack = [item for item in objects if isinstance(item, CONTAINERS)]
    while stack:
        item = stack.pop()
        if isinstance(item, pikepdf.Array):
            stack += [value for value in item if isinstance(value, CONTAINERS) and not value.is_indirect]
            continue
        for key, value in item.items():
            yield item, key, value
            if isinstance(value, CONTAINERS) and not value.is_indirect:
                stack.append(value)


def open_action(value: Any) -> str | None:
    """To open at a place is harmless and common; LaTeX writes it into every file. ACTIONS names a script itself."""
    kind = entry(value, "/S")
    return None if kind in {"", "/GoTo", "/Named"} or kind in ACTIONS else "open"


def additional_actions(value: Any) -> str | None:
    """Only a dictionary of actions: a font may be called /AA as well."""
    if isinstance(value, pikepdf.Dictionary) and any(
        entry(each, "/S") or entry(each, "/JS") for each in value.values()
    ):
        return "automatic"
    return None


def script_link(value: Any) -> str | None:
    return "javascript" if text(value).strip().lower().startswith("javascript:") else None


def always(code: str) -> Check:
    return lambda _value: code


def named(codes: dict[str, str]) -> Check:
    return lambda value: codes.get(text(value))


def name_tree(code: str) -> Check:
    """Some programs write an empty tree."""
    return lambda value: code if entry(value, "/Names") or entry(value, "/Kids") else None


# ISO 32000-2, 12.6.4: action types, and what they need of a reader.
ACTIONS = {
    "/JavaScript": "javascript",
    "/Launch": "launch",
    "/SubmitForm": "submit",
    "/ImportData": "submit",
    "/GoToR": "remote",
    "/GoToE": "remote",
    "/RichMediaExecute": "media",
}
CHECKS: dict[str, Check] = {
    "/S": named(ACTIONS),
    "/JS": always("javascript"),
    "/JavaScript": name_tree("javascript"),
    "/URI": script_link,
    "/OpenAction": open_action,
    "/AA": additional_actions,
    "/EF": always("attachment"),
    "/EmbeddedFiles": name_tree("attachment"),
    "/Type": named({"/EmbeddedFile": "attachment"}),
    "/Subtype": named({"/FileAttachment": "attachment", "/RichMedia": "media", "/3D": "media"}),
    "/XFA": always("xfa"),
}


def text(value: Any) -> str:
    return str(value) if isinstance(value, (pikepdf.Name, pikepdf.String)) else ""


def entry(value: Any, key: str) -> str:
    """A name or a string as it reads, "[]" for an array with something in it, "" for anything else."""
    found = value.get(key) if isinstance(value, (pikepdf.Dictionary, pikepdf.Stream)) else None
    return ("[]" if len(found) else "") if isinstance(found, pikepdf.Array) else text(found)


def check_bombs(streams: list[Any]) -> None:
    """Inflate the streams as a reader would, without keeping the bytes. Raises Unfit, or MemoryError."""
    all_raw = all_inflated = 0
    until = time.process_time() + INFLATING_SECONDS
    for stream in sorted(streams, key=lambda each: int(each.get("/Length", 0))):
        if time.process_time() > until or int(stream.get("/Length", 0)) > READ_WHOLE:
            break
        raw = bytes(stream.read_raw_bytes())
        inflated = inflated_size(stream, raw, until)
        all_raw, all_inflated = all_raw + len(raw), all_inflated + inflated
        if is_bomb(inflated, len(raw), INFLATED) or is_bomb(all_inflated, all_raw, 4 * INFLATED):
            raise Unfit("bomb")


def inflated_size(stream: Any, raw: bytes, until: float) -> int:
    """Bytes that this stream becomes, as far as is needed to tell a bomb or as time allows."""
    inflated = 0
    for size in unpacked_sizes(stream, raw):
        inflated += size
        if is_bomb(inflated, len(raw), INFLATED) or time.process_time() > until:
            break
    return inflated


def is_bomb(inflated: int, raw: int, limit: int) -> bool:
    return inflated > limit and inflated > RATIO * raw


def unpacked_sizes(stream: Any, raw: bytes) -> Iterator[int]:
    """Sizes of the pieces that a stream's filters put out, in bytes, those of filters in between included."""
    filters = stream.get("/Filter", [])
    names = [text(each) for each in (filters if isinstance(filters, pikepdf.Array) else [filters])]
    if {"/LZWDecode", "/LZW", "/RunLengthDecode", "/RL"} & set(names):
        yield len(bytes(stream.read_bytes()))  # rare; a bomb of these ends at the limit of memory
        return
    sizes: list[int] = []
    pieces: Iterable[bytes] = [raw]
    for name in names:
        if name in {"/FlateDecode", "/Fl"}:
            pieces = inflate(pieces, sizes)
    for _ in pieces:
        yield sum(sizes)
        sizes.clear()


def inflate(pieces: Iterable[bytes], sizes: list[int]) -> Iterator[bytes]:
    inflator = zlib.decompressobj()
    try:
        for piece in pieces:
            rest = piece
            while rest and not inflator.eof:
                out = inflator.decompress(rest, 1 << 20)
                sizes.append(len(out))
                yield out
                rest = inflator.unconsumed_tail
    except zlib.error:  # for the readers of pages to judge; an odd checksum is common
        return


if __name__ == "__main__":
    main()
