"""The demo's eight books: what the shop says about them, their covers, and their PDFs. Knows no models.

The texts lie in catalog/demo as <slug>.md: fields, the description and the book, parted by lines of three dashes.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from catalog.demo.binding import bind
from catalog.demo.covers import COVERS, cover
from catalog.demo.typeset import Layout, set_text

FOLDER = Path(__file__).parent / "demo"


@dataclass(frozen=True)
class DemoBook:
    slug: str
    name: str
    summary: str
    description: str  # Markdown
    price: int  # minor units
    currency: str
    categories: tuple[str, ...]
    layout: Layout
    text: str

    @property
    def cover_svg(self) -> str:
        return cover(self.slug).svg()

    def write_pdf(self, path: Path) -> None:
        """The same bytes each time."""
        text = set_text(self.text, self.layout)
        bind(path, name=self.name, summary=self.summary, layout=self.layout, cover=cover(self.slug), text=text)


@cache
def books() -> tuple[DemoBook, ...]:
    """In the order in which the shop should show them."""
    return tuple(book(slug, (FOLDER / f"{slug}.md").read_text(encoding="utf-8")) for slug in COVERS)


def book(slug: str, source: str) -> DemoBook:
    head, description, text = source.split("\n---\n", 2)
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    width, height = (float(side) for side in fields["page"].split(" x "))
    return DemoBook(
        slug=slug,
        name=fields["name"],
        summary=fields["summary"],
        description=description.strip(),
        price=int(fields["price"]),
        currency=fields["currency"],
        categories=tuple(fields["categories"].split(", ")),
        layout=Layout(width=width, height=height, accent=fields["accent"]),
        text=text,
    )
