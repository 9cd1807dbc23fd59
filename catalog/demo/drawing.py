"""Flat vector drawings that become SVG (for covers) or PDF operators (for pages), and letters made of strokes.

The letters are ours: text in an SVG would need fonts, which a fresh machine may lack.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Point = tuple[float, float]
# ("M", x, y), ("L", x, y), ("C", x1, y1, x2, y2, x, y) and ("Z",), as in SVG; y grows downwards.
Step = tuple[str, *tuple[float, ...]]
ROUND = 0.5523  # how far the handles of a Bézier curve reach for a quarter of an ellipse


@dataclass
class Shape:
    steps: list[Step]
    fill: str | None
    stroke: str | None
    width: float
    cap: str


@dataclass
class Drawing:
    """Shapes in the order they are painted. Colors are "#rrggbb"."""

    width: float
    height: float
    shapes: list[Shape] = field(default_factory=list)

    def add(
        self,
        steps: Iterable[Step],
        fill: str | None = None,
        stroke: str | None = None,
        width: float = 1,
        cap: str = "round",
    ) -> None:
        self.shapes.append(Shape(list(steps), fill, stroke, width, cap))

    def rect(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        self.polygon([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], fill)

    def polygon(self, points: Sequence[Point], fill: str) -> None:
        self.add([*polyline(points), ("Z",)], fill)

    def line(self, points: Sequence[Point], stroke: str, width: float, cap: str = "round") -> None:
        self.add(polyline(points), None, stroke, width, cap)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: str | None, stroke: str | None = None,
                width: float = 1) -> None:  # fmt: skip
        right, bottom, left, top = (x + rx, y), (x, y + ry), (x - rx, y), (x, y - ry)
        steps: list[Step] = [("M", *top), quarter("h", top, right), quarter("v", right, bottom)]
        self.add([*steps, quarter("h", bottom, left), quarter("v", left, top), ("Z",)], fill, stroke, width)

    def disc(self, x: float, y: float, radius: float, fill: str) -> None:
        self.ellipse(x, y, radius, radius, fill)

    def letters(self, text: str, x: float, y: float, height: float, stroke: str, weight: float = 0.11) -> None:
        """Capitals with their top left corner at (x, y). `weight` is the width of the stroke per height."""
        for character in text:
            width, strokes = LETTERS[character]
            if strokes:
                self.add(letter(strokes, x, y, height / 100), None, stroke, height * weight)
            x += (width + GAP) * height / 100

    def svg(self) -> str:
        body = "".join(svg_path(shape) for shape in self.shapes)
        size = f'viewBox="0 0 {self.width:g} {self.height:g}" width="{self.width:g}" height="{self.height:g}"'
        return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{body}</svg>\n'

    def pdf(self, x: float, top: float, width: float) -> str:
        """Operators that draw it with its upper left corner at (x, top) of a page, this wide (points)."""
        scale = width / self.width
        body = "".join(pdf_path(shape) for shape in self.shapes)
        clip = f"0 0 {self.width:g} {self.height:g} re W n"
        return f"q {scale:.5f} 0 0 {-scale:.5f} {x:.3f} {top:.3f} cm {clip} 1 j\n{body}Q\n"


def polyline(points: Sequence[Point]) -> list[Step]:
    return [("M" if number == 0 else "L", *point) for number, point in enumerate(points)]


def quarter(start: str, here: Point, there: Point) -> Step:
    """A quarter of an ellipse that sets out horizontally ("h") or vertically ("v")."""
    (x0, y0), (x1, y1) = here, there
    dx, dy = ROUND * (x1 - x0), ROUND * (y1 - y0)
    return ("C", x0 + dx, y0, x1, y1 - dy, x1, y1) if start == "h" else ("C", x0, y0 + dy, x1 - dx, y1, x1, y1)


def svg_path(shape: Shape) -> str:
    d = " ".join(step[0] + " ".join(f"{number:.2f}" for number in step[1:]) for step in shape.steps)
    paint = f'fill="{shape.fill or "none"}"'
    if shape.stroke:
        paint += f' stroke="{shape.stroke}" stroke-width="{shape.width:g}"'
        paint += f' stroke-linecap="{shape.cap}" stroke-linejoin="round"'
    return f'<path d="{d}" {paint}/>\n'


def pdf_path(shape: Shape) -> str:
    operators = {"M": "m", "L": "l", "C": "c", "Z": "h"}
    path = "".join("".join(f"{number:.2f} " for number in step[1:]) + operators[step[0]] + "\n" for step in shape.steps)
    paint = f"{rgb(shape.fill)} rg " if shape.fill else ""
    if shape.stroke:
        paint += f"{rgb(shape.stroke)} RG {shape.width:g} w {1 if shape.cap == 'round' else 0} J "
    return f"{paint}\n{path}{'B' if shape.fill and shape.stroke else 'f' if shape.fill else 'S'}\n"


def rgb(color: str) -> str:
    """ "#ff8000" as PDF writes it: "1 0.502 0"."""
    return " ".join(f"{int(color[at : at + 2], 16) / 255:.3g}" for at in (1, 3, 5))


GAP = 22  # between letters, per 100 of height


def letters_width(text: str, height: float) -> float:
    return (sum(LETTERS[character][0] + GAP for character in text) - GAP) * height / 100


def letter(strokes: str, x: float, y: float, scale: float) -> list[Step]:
    """A letter's strokes, placed. "h" and "v" are quarters of an ellipse."""
    steps: list[Step] = []
    here = (0.0, 0.0)
    for part in strokes.replace(",", " ").split(";"):
        command, *texts = part.split()
        numbers = [float(text) * scale for text in texts]
        placed = [number + (y if at % 2 else x) for at, number in enumerate(numbers)]
        there = (placed[-2], placed[-1])
        steps.append(quarter(command, here, there) if command in {"h", "v"} else (command, *placed))
        here = there
    return steps


# Width and strokes, 100 high.
LETTERS: dict[str, tuple[float, str]] = {
    " ": (22, ""),
    "A": (76, "M 0 100;L 38 0;L 76 100;M 14 64;L 62 64"),
    "Ä": (76, "M 0 100;L 38 0;L 76 100;M 14 64;L 62 64;M 22 -20;L 22 -19;M 54 -20;L 54 -19"),
    "B": (58, "M 0 46;L 32 46;h 58 73;v 32 100;L 0 100;L 0 0;L 29 0;h 52 23;v 29 46"),
    "C": (84, "M 84 18;C 75 7,63 0,50 0;h 0 50;v 50 100;C 63 100,75 93,84 82"),
    "D": (74, "M 0 0;L 0 100;L 26 100;h 74 50;v 26 0;L 0 0"),
    "E": (48, "M 48 0;L 0 0;L 0 100;L 48 100;M 0 48;L 42 48"),
    "F": (46, "M 46 0;L 0 0;L 0 100;M 0 48;L 40 48"),
    "G": (92, "M 84 18;C 75 7,63 0,50 0;h 0 50;v 50 100;h 92 56;L 58 56"),
    "H": (70, "M 0 0;L 0 100;M 70 0;L 70 100;M 0 48;L 70 48"),
    "I": (0, "M 0 0;L 0 100"),
    "J": (40, "M 40 0;L 40 74;v 18 100;h 0 86"),
    "K": (60, "M 0 0;L 0 100;M 56 0;L 0 60;M 21 38;L 60 100"),
    "L": (46, "M 0 0;L 0 100;L 46 100"),
    "M": (90, "M 0 100;L 8 0;L 45 76;L 82 0;L 90 100"),
    "N": (72, "M 0 100;L 0 0;L 72 100;L 72 0"),
    "O": (100, "M 50 0;h 100 50;v 50 100;h 0 50;v 50 0"),
    "Ö": (100, "M 50 0;h 100 50;v 50 100;h 0 50;v 50 0;M 34 -20;L 34 -19;M 66 -20;L 66 -19"),
    "P": (54, "M 0 100;L 0 0;L 28 0;h 54 27;v 28 54;L 0 54"),
    "Q": (100, "M 50 0;h 100 50;v 50 100;h 0 50;v 50 0;M 66 70;L 98 104"),
    "R": (58, "M 0 100;L 0 0;L 28 0;h 54 27;v 28 54;L 0 54;M 26 54;L 58 100"),
    "S": (56, "M 52 17;C 47 6,39 0,28 0;h 4 24;C 4 40,16 45,28 49;C 42 54,56 60,56 75;v 28 100;C 14 100,5 93,1 81"),
    "T": (64, "M 0 0;L 64 0;M 32 0;L 32 100"),
    "U": (68, "M 0 0;L 0 66;v 34 100;h 68 66;L 68 0"),
    "Ü": (68, "M 0 0;L 0 66;v 34 100;h 68 66;L 68 0;M 18 -20;L 18 -19;M 50 -20;L 50 -19"),
    "V": (74, "M 0 0;L 37 100;L 74 0"),
    "W": (108, "M 0 0;L 28 100;L 54 16;L 80 100;L 108 0"),
    "X": (66, "M 0 0;L 66 100;M 66 0;L 0 100"),
    "Y": (68, "M 0 0;L 34 48;L 68 0;M 34 48;L 34 100"),
    "Z": (60, "M 0 0;L 60 0;L 0 100;L 60 100"),
}
