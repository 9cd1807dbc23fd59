"""Sets a text in a few marks of Markdown as pages, with PDF's standard fonts, which every reader has.

# Chapter          - item           > note in a box     [figure NAME] caption
## Section         1. step          [lines 6] label     [boxes 2 3] label
### Subsection     - [ ] to do      **bold** *italic*   a blank line ends a paragraph
    code
"""

import re
from dataclasses import dataclass, field

from catalog.demo.drawing import rgb
from catalog.demo.figures import figure
from catalog.demo.lines import Word, encoded, width_of, words, wrapped

INK, GRAY, PALE = "#26262b", "#77777f", "#c9c7c2"


@dataclass(frozen=True)
class Layout:
    width: float = 420  # points; A5
    height: float = 595
    margin: float = 56
    size: float = 10.5
    accent: str = "#8a4b21"

    @property
    def leading(self) -> float:
        return round(self.size * 1.448, 2)

    @property
    def measure(self) -> float:
        return self.width - 2 * self.margin

    @property
    def bottom(self) -> float:
        return self.margin + 2


@dataclass
class Page:
    operators: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, text: str, font: str, size: float, color: str = INK) -> None:
        escaped = re.sub(rb"([\\()])", rb"\\\1", encoded(text)).decode("latin-1")
        place = f"1 0 0 1 {x:.2f} {y:.2f} Tm"
        self.operators.append(f"BT {rgb(color)} rg /{font} {size:g} Tf {place} ({escaped}) Tj ET\n")

    def centered(self, middle: float, y: float, text: str, font: str, size: float, color: str = INK) -> None:
        self.text(middle - width_of(text, font, size) / 2, y, text, font, size, color)

    def rule(self, x: float, y: float, width: float, color: str, thick: float = 0.6) -> None:
        self.operators.append(f"{rgb(color)} RG {thick:g} w {x:.2f} {y:.2f} m {x + width:.2f} {y:.2f} l S\n")

    def box(self, x: float, y: float, width: float, height: float, *, fill: str = "", stroke: str = PALE) -> None:
        paint = f"{rgb(fill)} rg" if fill else f"{rgb(stroke)} RG 0.8 w"
        self.operators.append(f"{paint} {x:.2f} {y:.2f} {width:.2f} {height:.2f} re {'f' if fill else 'S'}\n")


@dataclass(frozen=True)
class Heading:
    level: int  # 1 for a chapter, 2 and 3 for what is in it
    title: str
    page: int  # among the pages of the text, from 0
    top: float  # points from the bottom of the page


@dataclass
class Setter:
    """Fills pages from the top; `y` is where the next line's top will be, from the bottom of the page."""

    layout: Layout
    pages: list[Page] = field(default_factory=list)
    headings: list[Heading] = field(default_factory=list)
    y: float = 0

    @property
    def page(self) -> Page:
        return self.pages[-1]

    def new_page(self) -> None:
        self.pages.append(Page())
        self.y = self.layout.height - self.layout.margin

    def need(self, height: float) -> None:
        if not self.pages or self.y - height < self.layout.bottom:
            self.new_page()

    def block(self, block: str) -> None:
        for pattern, act in BLOCKS:
            if found := re.match(pattern, block, re.DOTALL):
                act(self, *found.groups())
                return
        self.paragraph(block)

    def heading(self, level: int, title: str) -> None:
        self.headings.append(Heading(level, title, len(self.pages) - 1, self.y))

    def chapter(self, title: str) -> None:
        self.new_page()
        self.heading(1, title)
        x = self.layout.margin
        self.y -= 20
        number = sum(heading.level == 1 for heading in self.headings)
        self.page.text(x, self.y, str(number), "G", 11, self.layout.accent)
        for line in wrapped([("G", word) for word in title.split()], 21, self.layout.measure):
            self.y -= 27
            self.page.text(x, self.y, "".join(word for _, word in line), "G", 21)
        self.page.rule(x, self.y - 13, 42, self.layout.accent, 2)
        self.y -= 28

    def section(self, title: str) -> None:
        self.need(62)
        self.heading(2, title)
        self.y -= 24
        self.page.text(self.layout.margin, self.y, title, "G", 11.5, self.layout.accent)
        self.y -= 6

    def subsection(self, title: str) -> None:
        self.need(62)
        self.heading(3, title)
        self.y -= 24
        self.page.text(self.layout.margin, self.y, title, "G", self.layout.size)
        self.y -= 4

    def paragraph(self, text: str, indent: float = 0) -> None:
        lines = list(wrapped(words(text), self.layout.size, self.layout.measure - indent))
        for number, line in enumerate(lines):
            if number in {0, len(lines) - 2}:  # neither the first nor the last line of a paragraph stands alone
                self.need(min(2, len(lines)) * self.layout.leading)
            self.line(line, self.layout.margin + indent)
        self.y -= 6.5

    def line(self, line: list[Word], x: float) -> None:
        self.need(self.layout.leading)
        self.y -= self.layout.leading
        put_words(self.page, line, x, self.y, self.layout.size)

    def items(self, block: str) -> None:
        for item in re.split(r"\n(?=- |\d+\. )", block):
            marker, text = re.match(r"(- \[ \]|-|\d+\.) (.*)", item, re.DOTALL).groups()  # type: ignore[union-attr]
            self.need(2 * self.layout.leading)  # as much as its paragraph asks for: no number without its text
            self.mark(marker, self.y - self.layout.leading)
            self.paragraph(text, indent=20)
            self.y += 3
        self.y -= 4

    def mark(self, marker: str, y: float) -> None:
        x = self.layout.margin
        if marker == "- [ ]":
            self.page.box(x + 3, y - 0.5, 8, 8, stroke=GRAY)
        elif marker == "-":
            self.page.box(x + 6, y + 2.4, 3.2, 3.2, fill=self.layout.accent)
        else:
            self.page.text(x + 3, y, marker, "G", self.layout.size - 1, self.layout.accent)

    def note(self, text: str) -> None:
        text = re.sub(r"\n> ?", " ", text)
        lines = list(wrapped(words(text), self.layout.size, self.layout.measure - 30))
        height = len(lines) * self.layout.leading + 16
        self.need(height + 12)
        self.y -= 6
        self.page.box(self.layout.margin, self.y - height, self.layout.measure, height, fill="#f5f2ec")
        self.page.box(self.layout.margin, self.y - height, 3, height, fill=self.layout.accent)
        self.y -= 5
        for line in lines:
            self.line(line, self.layout.margin + 17)
        self.y -= 19

    def code(self, block: str) -> None:
        lines = [line[4:] for line in block.split("\n")]
        height = len(lines) * 12.6 + 14
        self.need(height + 8)
        self.y -= 3
        self.page.box(self.layout.margin, self.y - height, self.layout.measure, height, fill="#f3f4f1")
        self.y -= 6
        for line in lines:
            self.y -= 12.6
            self.page.text(self.layout.margin + 10, self.y + 2, line, "C", 9)
        self.y -= 18

    def rules(self, count: str, label: str) -> None:
        self.need(16 + int(count) * 22)
        self.label(label)
        for _ in range(int(count)):
            self.y -= 22
            self.page.rule(self.layout.margin, self.y, self.layout.measure, PALE)
        self.y -= 12

    def label(self, label: str) -> None:
        if label:
            self.y -= 15
            self.page.text(self.layout.margin, self.y, label, "H", 8.5, GRAY)

    def boxes(self, rows: str, columns: str, label: str) -> None:
        """Empty frames to draw or paint in, as high as three quarters of their width."""
        gap = 12.0
        width = (self.layout.measure - gap * (int(columns) - 1)) / int(columns)
        height = min(width * 0.75, 230)
        self.need(20 + int(rows) * (height + gap))
        self.label(label)
        self.y -= 8
        for _ in range(int(rows)):
            for column in range(int(columns)):
                self.page.box(self.layout.margin + column * (width + gap), self.y - height, width, height)
            self.y -= height + gap
        self.y -= 4

    def figure(self, name: str, caption: str) -> None:
        drawing = figure(name)
        width = self.layout.measure * 0.92
        height = width * drawing.height / drawing.width
        lines = list(wrapped([("I", word) for word in caption.split()], 9, width))
        self.need(height + 14 + 12 * len(lines))
        x = self.layout.margin + (self.layout.measure - width) / 2
        self.y -= 6
        self.page.operators.append(drawing.pdf(x, self.y, width))
        self.y -= height + 3
        for line in lines:
            self.y -= 12
            put_words(self.page, line, x, self.y, 9, GRAY)
        self.y -= 11


BLOCKS = (
    (r"# (.+)", Setter.chapter),
    (r"## (.+)", Setter.section),
    (r"### (.+)", Setter.subsection),
    (r"\[figure (\S+)\] ?(.*)", Setter.figure),
    (r"\[lines (\d+)\] ?(.*)", Setter.rules),
    (r"\[boxes (\d+) (\d+)\] ?(.*)", Setter.boxes),
    (r"> (.+)", Setter.note),
    (r"(    .+)", Setter.code),
    (r"((?:- |\d+\. ).+)", Setter.items),
)


def put_words(page: Page, line: list[Word], x: float, y: float, size: float, color: str = INK) -> None:
    """One piece per font and stretch, so that copying from the PDF gives whole lines."""
    start = 0
    while start < len(line):
        end, font = start, line[start][0]
        while end < len(line) and (line[end][0] == font or (line[end][1] == " " and font != "C")):
            end += 1
        text = "".join(piece for _, piece in line[start:end])
        page.text(x, y, text, font, size if font != "C" else size - 1, color)
        x += width_of(text, font, size if font != "C" else size - 1)
        start = end


def set_text(text: str, layout: Layout) -> Setter:
    setter = Setter(layout)
    for part in re.split(r"\n+(?=#{1,3} )", text.strip("\n")):
        blocks = re.split(r"\n\s*\n", part)
        if part.startswith(("## ", "### ")) and "\n[" in part:  # an exercise stays together with its frames
            setter.need(height_of(blocks, layout))
        for block in blocks:
            setter.block(block)
    return setter


def height_of(blocks: list[str], layout: Layout) -> float:
    """What these blocks take on one page, or 0 if they take more than one."""
    trial = Setter(layout)
    trial.new_page()
    top = trial.y
    for block in blocks:
        trial.block(block)
    return top - trial.y if len(trial.pages) == 1 else 0
