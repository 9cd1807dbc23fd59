"""The covers of the demo books: 600 × 800, flat shapes, no text that would need a font."""

import math
from collections.abc import Callable
from random import Random

from catalog.demo.drawing import Drawing, Point, Step, letters_width
from catalog.demo.figures import rope

WIDTH, HEIGHT = 600, 800


def cover(slug: str) -> Drawing:
    drawing = Drawing(WIDTH, HEIGHT)
    COVERS[slug](drawing)
    return drawing


def title(drawing: Drawing, lines: list[str], y: float, height: float, color: str, weight: float = 0.1) -> None:
    for number, line in enumerate(lines):
        x = (WIDTH - letters_width(line, height)) / 2
        drawing.letters(line, x, y + number * height * 1.55, height, color, weight)


def bread(drawing: Drawing) -> None:
    drawing.rect(0, 0, 600, 800, "#f3e3c8")
    drawing.disc(300, 520, 236, "#e9cf9f")
    drawing.ellipse(300, 690, 216, 20, "#d9b87f")
    drawing.ellipse(300, 560, 208, 132, "#8a4b21")
    drawing.ellipse(300, 550, 200, 124, "#b8692d")
    drawing.ellipse(300, 530, 168, 92, "#c97d3a")
    for left in (190, 268, 346):
        drawing.add(
            [
                ("M", left, 580),
                ("C", left - 2, 530, left + 26, 470, left + 66, 452),
                ("C", left + 46, 490, left + 34, 540, left, 580),
            ],
            "#f6dfb2",
        )
    random = Random(4)  # noqa: S311 - the same flour every time
    for _ in range(70):
        x, y = random.uniform(140, 460), random.uniform(455, 650)
        if ((x - 300) / 195) ** 2 + ((y - 550) / 118) ** 2 < 1:
            drawing.disc(x, y, random.uniform(0.8, 2.2), "#f3dcae")
    title(drawing, ["SLOW", "BREAD"], 66, 80, "#6b3516")


def knots(drawing: Drawing) -> None:
    drawing.rect(0, 0, 600, 800, "#16324a")
    drawing.rect(28, 28, 544, 744, "#1d3f5c")
    rope(drawing, 300, 335, 78, ("#122a3f", "#f0e2c0"), 44)
    title(drawing, ["TWELVE", "KNOTS"], 580, 58, "#f0e2c0")


DIPPER: list[Point] = [(120, 300), (205, 262), (272, 288), (345, 312), (372, 385), (492, 372), (485, 285)]


def sky(drawing: Drawing) -> None:
    for number, color in enumerate(("#0d1330", "#121a40", "#18234f", "#21305f", "#2d4070", "#405580", "#5f6f93")):
        drawing.rect(0, number * 108, 600, 160, color)
    random = Random(7)  # noqa: S311 - the same sky every time
    for _ in range(150):
        x, y, size = random.uniform(0, 600), random.uniform(0, 600) ** 1.02, random.choice((0.8, 1.1, 1.1, 1.7))
        drawing.disc(x, y, size, "#c8d2ee")
    drawing.line([*DIPPER, DIPPER[3]], "#8fa1d6", 2)
    for x, y in DIPPER:
        drawing.disc(x, y, 7, "#fdf3cf")
    drawing.add(
        [("M", 0, 690), ("C", 120, 620, 230, 650, 330, 690), ("C", 430, 640, 520, 630, 600, 668), ("L", 600, 800),
         ("L", 0, 800), ("Z",)],
        "#0b1024",
    )  # fmt: skip
    drawing.add(
        [("M", 446, 690), ("L", 446, 630), ("L", 470, 612), ("L", 494, 630), ("L", 494, 690), ("Z",)], "#0b1024"
    )
    drawing.rect(463, 640, 14, 16, "#f7cf6b")
    title(drawing, ["THE QUIET", "SKY"], 78, 54, "#fdf3cf")


def washes(drawing: Drawing) -> None:
    drawing.rect(0, 0, 600, 800, "#fbf8f0")
    rows = (("#f6d8c5", "#efb79a", "#e58f6c"), ("#f7e8b8", "#f1d277", "#e4b441"), ("#cfe3dc", "#9cc6ba", "#5f9f92"),
            ("#cddcef", "#94b5da", "#4f80b8"))  # fmt: skip
    for row, colors in enumerate(rows):
        for column, color in enumerate(colors):
            x, y = 150 + column * 150, 318 + row * 122
            blot(drawing, x, y, 72, color, seed=row * 3 + column)
            drawing.ellipse(x - 16, y - 16, 20, 14, lighter(color))
    title(drawing, ["FIRST", "WASHES"], 74, 60, "#3c5a80")


def blot(drawing: Drawing, x: float, y: float, radius: float, color: str, seed: int) -> None:
    """A patch of paint: a circle that wavers."""
    waves = [(number + 2, 0.05 / (number + 1), seed * 1.7 + number * 2.1) for number in range(4)]
    points = []
    for step in range(72):
        angle = math.tau * step / 72
        reach = radius * (0.86 + sum(depth * math.sin(many * angle + phase) for many, depth, phase in waves))
        points.append((x + reach * math.cos(angle), y + reach * 0.8 * math.sin(angle)))
    drawing.polygon(points, color)


def lighter(color: str) -> str:
    """Halfway to white."""
    return "#" + "".join(f"{(int(color[at : at + 2], 16) + 255) // 2:02x}" for at in (1, 3, 5))


def python(drawing: Drawing) -> None:
    drawing.rect(0, 0, 600, 800, "#12372f")
    for row in range(14):
        for column in range(11):
            drawing.disc(50 + column * 50, 75 + row * 50, 2.2, "#285a4d")
    path: list[Step] = [
        ("M", 150, 705),
        ("L", 400, 705),
        ("C", 500, 705, 500, 575, 400, 575),
        ("L", 200, 575),
        ("C", 100, 575, 100, 445, 200, 445),
        ("L", 420, 445),
    ]
    for color, width in (("#0c2720", 66), ("#e9c46a", 54), ("#f1d68f", 12)):
        drawing.add(path, None, color, width)
    drawing.ellipse(438, 445, 52, 38, "#e9c46a")
    drawing.disc(452, 432, 7, "#12372f")
    drawing.line([(488, 452), (518, 452), (532, 443)], "#e76f51", 5)
    drawing.line([(518, 452), (532, 461)], "#e76f51", 5)
    title(drawing, ["SMALL", "PYTHON", "HABITS"], 78, 66, "#f4ecd2")


def lisbon(drawing: Drawing) -> None:
    drawing.rect(0, 0, 600, 800, "#f9d99b")
    drawing.disc(446, 330, 74, "#f6b65c")
    walls = ("#fdf1dc", "#f3c9a5", "#e8eef0", "#f7dfb0", "#cfe0e6")
    random = Random(11)  # noqa: S311 - the same street every time
    for row, (base, shade) in enumerate(((500, "#e2926a"), (600, "#d97b50"), (700, "#c9633a"), (800, "#b4502b"))):
        x = -30.0 - row * 22
        while x < 620:
            width, height = random.choice((92, 108, 126)), random.choice((96, 118, 140))
            house(drawing, x, base, width, height, random.choice(walls), shade)
            x += width
    title(drawing, ["LISBON", "ON FOOT"], 74, 62, "#8c3a1d")


def house(drawing: Drawing, x: float, base: float, width: float, height: float, wall: str, roof: str) -> None:
    top = base - height
    drawing.rect(x, top, width, height + 60, wall)
    drawing.polygon([(x - 5, top), (x + width / 2, top - 34), (x + width + 5, top)], roof)
    for column in range(2 if width < 100 else 3):
        step = width / (3 if width < 100 else 4)
        drawing.rect(x + step * (column + 1) - 8, top + 22, 16, 28, "#5d7f8c")


def espresso(drawing: Drawing) -> None:
    drawing.rect(0, 0, 600, 800, "#2f5d62")
    drawing.disc(308, 512, 226, "#264c50")
    drawing.disc(300, 500, 226, "#f1ece2")
    drawing.disc(300, 500, 206, "#e5dece")
    drawing.add([("M", 430, 452), ("L", 505, 405)], None, "#f8f5ee", 40)
    drawing.disc(300, 500, 146, "#f8f5ee")
    drawing.disc(300, 500, 124, "#4a2612")
    drawing.disc(300, 500, 116, "#a9672f")
    drawing.ellipse(286, 490, 92, 88, "#bf7d3e")
    drawing.ellipse(272, 478, 60, 54, "#d0934f")
    drawing.ellipse(262, 468, 26, 20, "#deab6c")
    title(drawing, ["ESPRESSO", "AT HOME"], 84, 58, "#f6eedb")


def plants(drawing: Drawing) -> None:
    drawing.rect(0, 0, 600, 800, "#e6efe0")
    drawing.disc(300, 500, 222, "#d3e3ca")
    for tip, color in (((150, 330), "#4f8a5b"), ((225, 268), "#3c7549"), ((300, 244), "#5e9c66"),
                       ((378, 272), "#3c7549"), ((452, 340), "#4f8a5b")):  # fmt: skip
        leaf(drawing, (300, 590), tip, 46, color)
    leaf(drawing, (310, 596), (520, 560), 34, "#d9b04a")
    drawing.polygon([(196, 590), (404, 590), (378, 740), (222, 740)], "#c66b42")
    drawing.rect(182, 570, 236, 44, "#d67d52")
    title(drawing, ["RESCUE YOUR", "HOUSEPLANTS"], 78, 46, "#2c5637")


def leaf(drawing: Drawing, root: Point, tip: Point, breadth: float, color: str) -> None:
    (x0, y0), (x1, y1) = root, tip
    length = math.dist(root, tip)
    nx, ny = -(y1 - y0) / length * breadth * 1.5, (x1 - x0) / length * breadth * 1.5
    ax, ay, bx, by = x0 + (x1 - x0) * 0.35, y0 + (y1 - y0) * 0.35, x0 + (x1 - x0) * 0.8, y0 + (y1 - y0) * 0.8
    drawing.add(
        [
            ("M", x0, y0),
            ("C", ax + nx, ay + ny, bx + nx, by + ny, x1, y1),
            ("C", bx - nx, by - ny, ax - nx, ay - ny, x0, y0),
        ],
        color,
    )
    drawing.line([root, (x0 + (x1 - x0) * 0.9, y0 + (y1 - y0) * 0.9)], lighter(color), 3)


def bike(drawing: Drawing) -> None:
    drawing.rect(0, 0, 600, 800, "#f5c53d")
    drawing.disc(300, 520, 236, "#f0b722")
    drawing.line([(56, 660), (544, 660)], "#d99b12", 10)
    ink, back, front, crank = "#22222a", (168.0, 550.0), (432.0, 550.0), (272.0, 556.0)
    for x, y in (back, front):
        drawing.ellipse(x, y, 102, 102, None, ink, 13)
        for spoke in range(4):
            angle = math.tau * (spoke + 0.5) / 8
            dx, dy = 88 * math.cos(angle), 88 * math.sin(angle)
            drawing.line([(x - dx, y - dy), (x + dx, y + dy)], "#dca31c", 5)
        drawing.disc(x, y, 10, ink)
    saddle, head = (232.0, 400.0), (392.0, 400.0)
    for points in ([back, crank, head, saddle, back], [saddle, crank], [(226, 380), saddle]):
        drawing.line(points, "#c8452f", 13)
    drawing.line([(382, 362), head, front], "#c8452f", 13)
    drawing.line([(382, 362), (372, 340), (424, 340), (440, 360)], ink, 11)
    drawing.line([(192, 372), (262, 372)], ink, 18)
    drawing.line([back, crank], ink, 4)
    drawing.disc(*crank, 24, ink)
    drawing.line([(crank[0] - 14, crank[1] - 34), (crank[0] + 14, crank[1] + 34)], "#f5c53d", 6)
    title(drawing, ["ROADSIDE", "BIKE CARD"], 78, 64, ink, 0.12)


def soundscapes(drawing: Drawing) -> None:
    """Circles of sound over still water, the nearest the brightest."""
    drawing.rect(0, 0, 600, 800, "#2b1740")
    rings = ("#3a2055", "#4d2a6d", "#683684", "#8a4595", "#b05a9d", "#d87c9f", "#f2aba2")
    for number, color in enumerate(rings):
        drawing.disc(300, 505, 250 - number * 36, color)
    drawing.disc(300, 505, 20, "#fdeed6")
    for number, color in enumerate(("#241338", "#1e0f30", "#180b28")):
        waves(drawing, 572 + number * 66, 15, 150 + number * 40, color)
    title(drawing, ["FIVE SLOW", "SOUNDSCAPES"], 76, 52, "#fdeed6")


def waves(drawing: Drawing, top: float, height: float, length: float, color: str) -> None:
    """Everything below a wavy line, from edge to edge."""
    points = [(x, top + height * math.sin(math.tau * x / length)) for x in range(0, 601, 6)]
    drawing.polygon([*points, (600, 800), (0, 800)], color)


def letter_writing(drawing: Drawing) -> None:
    drawing.rect(0, 0, 600, 800, "#c23f2e")
    drawing.polygon([(96, 404), (504, 404), (512, 716), (104, 716)], "#a83325")
    drawing.rect(88, 396, 412, 312, "#f7ead2")
    drawing.polygon([(88, 708), (294, 520), (500, 708)], "#efdcb9")
    drawing.polygon([(88, 396), (500, 396), (294, 572)], "#fdf5e4")
    drawing.line([(92, 398), (294, 572), (496, 398)], "#d9bd8e", 4)
    heart: list[Step] = [
        ("M", 294, 622), ("C", 236, 586, 236, 540, 266, 536), ("C", 284, 534, 292, 548, 294, 556),
        ("C", 296, 548, 304, 534, 322, 536), ("C", 352, 540, 352, 586, 294, 622), ("Z",),
    ]  # fmt: skip
    drawing.add(heart, "#c23f2e")
    title(drawing, ["LIEBE", "GRÜSSE"], 86, 76, "#fdf1dc")


def small_walks(drawing: Drawing) -> None:
    drawing.rect(0, 0, 600, 800, "#f7c9bd")
    drawing.disc(408, 366, 70, "#fdf0e0")
    hills = ((430, 34, 620, "#eba79f"), (500, 40, 520, "#d97f86"), (580, 30, 700, "#b65a72"), (655, 26, 480, "#8a3f60"))
    for top, height, length, color in hills:
        waves(drawing, top, height, length, color)
    path: list[Step] = [
        ("M", 330, 800), ("C", 250, 745, 470, 725, 400, 672), ("C", 352, 636, 214, 650, 250, 596),
        ("C", 270, 566, 330, 566, 318, 536),
    ]  # fmt: skip
    drawing.add(path, None, "#f7dfcb", 13)
    for x, y, size in ((96, 664, 1.0), (150, 676, 0.7), (506, 652, 1.15), (556, 664, 0.8)):
        drawing.line([(x, y), (x, y - 70 * size)], "#5d2745", 6 * size)
        drawing.ellipse(x, y - 96 * size, 27 * size, 46 * size, "#6d3050")
    title(drawing, ["FIFTY TWO", "SMALL WALKS"], 84, 52, "#7c2f4c", 0.11)


# In the order of the shop: neighbors differ in color.
COVERS: dict[str, Callable[[Drawing], None]] = {
    "slow-bread": bread,
    "twelve-knots": knots,
    "roadside-bike-card": bike,
    "five-slow-soundscapes": soundscapes,
    "liebe-gruesse": letter_writing,
    "first-washes": washes,
    "the-quiet-sky": sky,
    "lisbon-on-foot": lisbon,
    "small-python-habits": python,
    "fifty-two-small-walks": small_walks,
    "espresso-at-home": espresso,
    "rescue-your-houseplants": plants,
}
