"""The demo's dozen: what the shop says about each, their covers, PDFs and sounds. Knows no models.

The texts lie in catalog/demo as <slug>.md: fields, the description and the book, parted by lines of three dashes.
<slug>.1.md is the text of the first edition, where there is a second.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from catalog.demo.binding import Title, bind
from catalog.demo.covers import COVERS, cover
from catalog.demo.sounds import SOUNDS
from catalog.demo.typeset import Layout, set_text

FOLDER = Path(__file__).parent / "demo"


@dataclass(frozen=True)
class DemoFile:
    name: str
    write: Callable[[Path], None]  # the same bytes each time


@dataclass(frozen=True)
class DemoEdition:
    number: int
    text: str
    notes: str  # what changed


@dataclass(frozen=True)
class DemoBook:
    slug: str
    name: str
    summary: str
    description: str  # Markdown
    price: int  # minor units
    currency: str
    language: str
    categories: tuple[str, ...]
    tags: tuple[str, ...]
    layout: Layout
    editions: tuple[DemoEdition, ...]  # the newest last
    sounds: tuple[str, ...]

    @property
    def text(self) -> str:
        return self.editions[-1].text

    @property
    def cover_svg(self) -> str:
        return cover(self.slug).svg()

    def files(self, edition: DemoEdition) -> list[DemoFile]:
        """What a buyer of this edition gets, in this order."""
        sounds = [
            DemoFile(f"{number} {SOUNDS[sound].title}.wav", SOUNDS[sound].write)
            for number, sound in enumerate(self.sounds, 1)
        ]
        return [DemoFile(f"{self.name}.pdf", partial(self.write_pdf, edition=edition)), *sounds]

    def write_pdf(self, path: Path, edition: DemoEdition | None = None) -> None:
        """The newest edition, unless another is named. The same bytes each time."""
        edition = edition or self.editions[-1]
        title = Title(self.name, self.summary, self.language, edition.number)
        bind(path, title, layout=self.layout, cover=cover(self.slug), text=set_text(edition.text, self.layout))


@cache
def books() -> tuple[DemoBook, ...]:
    """In the order in which the shop should show them."""
    return tuple(book(slug, (FOLDER / f"{slug}.md").read_text(encoding="utf-8")) for slug in COVERS)


def book(slug: str, source: str) -> DemoBook:
    head, description, text = source.split("\n---\n", 2)
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    width, height = (float(side) for side in fields["page"].split(" x "))
    earlier = [path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob(f"{slug}.[0-9].md"))]
    return DemoBook(
        slug=slug,
        name=fields["name"],
        summary=fields["summary"],
        description=description.strip(),
        price=int(fields["price"]),
        currency=fields["currency"],
        language=fields.get("language", "en-US"),
        categories=tuple(fields["categories"].split(", ")),
        tags=tuple(fields["tags"].split(", ")),
        layout=Layout(
            width=width,
            height=height,
            margin=float(fields.get("margin", Layout.margin)),
            size=float(fields.get("size", Layout.size)),
            accent=fields["accent"],
        ),
        editions=tuple(
            DemoEdition(number, each, fields.get("changes", "") if number > 1 else "")
            for number, each in enumerate([*earlier, text], 1)
        ),
        sounds=tuple(fields["sounds"].split(", ")) if "sounds" in fields else (),
    )
