"""Copies pages into a PDF of their own: `python -m catalog.extract_child MEMORY CPU FILE OUT < request`, as JSON.

Runs confined and apart from Django (catalog.confined). The request is {"numbers": [1, 3], "mark": text, "title": text};
{"size": bytes} tells that OUT was written, {"refused": code} that it was not.

A page is built anew from its content and from the resources that its content names, because in many files all pages
share what belongs to each of them. Links, notes, forms, files and whatever else is tied to a page stay behind.
"""

import codecs
import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream, String

from catalog.confined import confine, seal

LOADED = codecs.lookup("cp1252")  # a sealed process cannot load it later
LARGEST = 20 << 20  # bytes
KEPT = {"/MediaBox", "/CropBox", "/Rotate", "/UserUnit", "/Contents", "/Resources", "/Group", "/Type", "/Parent"}
# What an operator names, by the part of the resources that it names it in. ISO 32000-2, annex A.
NAMING = {
    "Do": "/XObject",
    "Tf": "/Font",
    "gs": "/ExtGState",
    "sh": "/Shading",
    "cs": "/ColorSpace",
    "CS": "/ColorSpace",
    "scn": "/Pattern",
    "SCN": "/Pattern",
    "BDC": "/Properties",
    "DP": "/Properties",
}
INLINE = "INLINE IMAGE"
# What pictures and fonts may carry along: who made them and how, other versions of them, files, the way back.
CARRIED = ("/Metadata", "/PieceInfo", "/LastModified", "/OPI", "/Alternates", "/Ref", "/AF", "/StructParent",
           "/StructParents", "/OC", "/Measure", "/PtData")  # fmt: skip
LEAST_VISIBLE = 0.6  # of a page; where less is in sight, what was cut away may be another page
Used = dict[str, set[str]]


class Unfit(Exception):
    """Its argument says why no sample is made of these pages; pictures of them are shown all the same."""


def main() -> None:
    confine(*sys.argv[1:3])
    request = json.load(sys.stdin)
    with Path(sys.argv[3]).open("rb") as file, Path(sys.argv[4]).open("wb") as out:
        seal()
        try:
            extract(file, out, **request)
            result: dict[str, Any] = {"size": out.tell()}
        except Unfit as unfit:
            result = {"refused": str(unfit)}
        except (pikepdf.PdfError, RecursionError, ValueError, TypeError, KeyError):
            result = {"refused": "damaged"}
    print(json.dumps(result))


def extract(file: Any, out: Any, *, numbers: list[int], mark: str, title: str) -> None:
    """Write these pages, counted from 1, each with `mark` across it."""
    with (
        pikepdf.open(file, suppress_warnings=True, access_mode=pikepdf.AccessMode.stream) as source,
        pikepdf.new() as sample,
    ):
        check_separable(source, numbers)
        drawn_mark = watermark(sample, mark)
        for number in numbers:
            add_page(sample, source.pages[number - 1], drawn_mark)
        for item in sample.objects:
            if isinstance(item, Dictionary | Stream):
                leave_out(item, [key for key in CARRIED if key in item])
        sample.docinfo["/Title"] = String(title)
        sample.save(out, deterministic_id=True, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    if out.tell() > LARGEST:
        raise Unfit("size")


def check_separable(source: pikepdf.Pdf, numbers: list[int]) -> None:
    """Refuse pages that cannot be told from what must not be given away."""
    if "/OCProperties" in source.Root:  # layers may be hidden, and would no longer be
        raise Unfit("layers")
    others = [page.obj.get("/Contents") for number, page in enumerate(source.pages, 1) if number not in numbers]
    elsewhere = {contents.objgen for contents in others if isinstance(contents, Stream)}
    for number in numbers:
        page = source.pages[number - 1]
        contents = page.obj.get("/Contents")
        if isinstance(contents, Stream) and contents.objgen in elsewhere:  # each page shows another part of it
            raise Unfit("shared")
        if area(page.cropbox) < LEAST_VISIBLE * area(page.mediabox):
            raise Unfit("cropped")


def area(box: Any) -> float:
    left, bottom, right, top = (float(side) for side in box)
    return abs((right - left) * (top - bottom))


def add_page(sample: pikepdf.Pdf, page: pikepdf.Page, drawn_mark: Stream) -> None:
    leave_out(page.obj, set(page.obj.keys()) - KEPT)
    sample.pages.append(page)
    added = sample.pages[-1]
    leave_out(added.obj, set(added.obj.keys()) - KEPT)  # what it inherited
    added.contents_coalesce()
    instructions = pikepdf.parse_content_stream(added)
    resources = added.obj.get("/Resources", Dictionary())
    kept = pruned(resources, used_by(instructions), seen=set())
    name = free_name(kept)
    part(kept, "/XObject")[name] = drawn_mark
    added.obj.Resources = kept
    # Only what draws is written again: a stream may hold comments, and more, between its operators.
    content = pikepdf.unparse_content_stream(instructions)
    turned = " ".join(f"{number:.4f}" for number in placed(added))
    added.obj.Contents = sample.make_stream(b"q\n" + content + f"\nQ\nq {turned} cm {name} Do Q".encode())


def leave_out(item: Any, keys: Iterable[str]) -> None:
    for key in keys:
        del item[key]


def part(resources: Dictionary, category: str) -> Any:
    if category not in resources:
        resources[category] = Dictionary()
    return resources[category]


def used_by(instructions: Any) -> Used:
    """The names in the resources that a content stream uses."""
    used: Used = {}
    for operands, operator in instructions:
        category = NAMING.get(str(operator))
        if category:
            used.setdefault(category, set()).update(str(each) for each in operands if isinstance(each, Name))
        elif str(operator) == INLINE:
            used.setdefault("/ColorSpace", set()).add("*")
    return used


def pruned(resources: Any, used: Used, seen: set[tuple[int, int]]) -> Dictionary:
    """Only what is used of these resources, and of theirs in turn."""
    kept = Dictionary()
    for category in {*NAMING.values()}:
        entries = resources.get(category)
        if isinstance(entries, Dictionary):
            names = used.get(category, set())
            kept[category] = Dictionary({key: value for key, value in entries.items() if key in names or "*" in names})
    for value in [value for entries in list(kept.values()) for value in list(entries.values())]:
        prune_inside(value, resources, kept, used, seen)
    return kept


def prune_inside(value: Any, resources: Any, kept: Dictionary, used: Used, seen: set[tuple[int, int]]) -> None:
    """A form, pattern, soft mask or font of type 3 has content and resources of its own."""
    if isinstance(value, Dictionary | Stream):
        if value.is_indirect:
            if value.objgen in seen:
                return
            seen.add(value.objgen)
        mask = value.get("/SMask")
        if isinstance(mask, Dictionary):
            prune_inside(mask.get("/G"), resources, kept, used, seen)
        contents = list(value.CharProcs.values()) if isinstance(value.get("/CharProcs"), Dictionary) else [value]
        drawing = [each for each in contents if isinstance(each, Stream) and each.get("/Subtype") != Name.Image]
        inner: Used = {}
        for each in drawing if "/Resources" in value or "/CharProcs" in value or is_form(value) else []:
            for category, names in used_by(pikepdf.parse_content_stream(each)).items():
                inner.setdefault(category, set()).update(names)
        if isinstance(value.get("/Resources"), Dictionary):
            value.Resources = pruned(value.Resources, inner, seen)
        elif inner:  # old files: such a form uses the resources of the page
            add_used(resources, inner, kept, used, seen)


def is_form(value: Any) -> bool:
    return isinstance(value, Stream) and value.get("/Subtype") == Name.Form


def add_used(resources: Any, inner: Used, kept: Dictionary, used: Used, seen: set[tuple[int, int]]) -> None:
    for category, names in inner.items():
        entries = resources.get(category)
        for name in names - used.get(category, set()):
            if isinstance(entries, Dictionary) and name in entries:
                part(kept, category)[name] = entries[name]
                used.setdefault(category, set()).add(name)
                prune_inside(entries[name], resources, kept, used, seen)


def free_name(resources: Dictionary) -> str:
    taken = resources.get("/XObject", Dictionary())
    return next(name for name in (f"/Mark{number}" for number in range(10_000)) if name not in taken)


# The mark: one form for all pages, in a typewriter's face, whose letters are all equally wide.

LETTER, SIZE = 0.6, 100  # of the size; points


def watermark(sample: pikepdf.Pdf, text: str) -> Stream:
    """A line of text in the middle of a form one unit wide."""
    encoded = text.encode("cp1252", errors="ignore")
    width = LETTER * SIZE * max(1, len(encoded))
    font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name("/Courier-Bold"), Encoding=Name.WinAnsiEncoding)
    scale = 1 / width
    drawing = (
        f"/Pale gs q {scale:.8f} 0 0 {scale:.8f} -0.5 {-0.3 * SIZE * scale:.8f} cm 0.45 g BT /F {SIZE} Tf <".encode()
    )
    form = Stream(sample, drawing + encoded.hex().encode() + b"> Tj ET Q")
    form.Type, form.Subtype = Name.XObject, Name.Form
    form.BBox = Array([-0.5, -SIZE * scale, 0.5, SIZE * scale])
    form.Resources = Dictionary(
        Font=Dictionary(F=font), ExtGState=Dictionary(Pale=Dictionary(ca=0.22, CA=0.22, Type=Name.ExtGState))
    )
    return form


def placed(page: pikepdf.Page) -> tuple[float, ...]:
    """The matrix that lays the mark across what is seen of a page, rising to the right however the page is turned."""
    left, bottom, right, top = (float(side) for side in page.cropbox)
    turn = int(page.obj.get("/Rotate", 0)) % 360
    wide, high = abs(right - left), abs(top - bottom)
    seen_wide, seen_high = (high, wide) if turn in {90, 270} else (wide, high)
    angle = math.atan2(seen_high, seen_wide) + math.radians(turn)
    length = 0.72 * math.hypot(wide, high)
    cos, sin = length * math.cos(angle), length * math.sin(angle)
    return cos, sin, -sin, cos, (left + right) / 2, (bottom + top) / 2


if __name__ == "__main__":
    main()
