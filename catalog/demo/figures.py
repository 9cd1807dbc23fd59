"""Drawings that stand between the paragraphs of the demo books."""

import math
from collections.abc import Callable
from functools import partial

from catalog.demo.drawing import Drawing, Point

Point3 = tuple[float, float, float]


def figure(name: str) -> Drawing:
    return FIGURES[name]()


def trefoil(t: float) -> Point3:
    return math.sin(t) + 2 * math.sin(2 * t), math.cos(t) - 2 * math.cos(2 * t), -math.sin(3 * t)


PIECES = 150


def rope(drawing: Drawing, x: float, y: float, scale: float, colors: tuple[str, str], thick: float) -> None:
    """A trefoil of rope, its pieces painted from the lowest to the highest so that it passes over itself.

    `colors` are those of its edge and its body.
    """
    curve = [trefoil(math.tau * step / PIECES) for step in range(PIECES + 3)]
    placed = [(x + px * scale, y + py * scale) for px, py, _ in curve]
    for at in sorted(range(PIECES), key=lambda step: (curve[step][2], step)):
        piece: list[Point] = placed[at : at + 3]
        drawing.line(piece, colors[0], thick, cap="butt")
        drawing.line(piece, colors[1], thick * 0.74)


def knot() -> Drawing:
    drawing = Drawing(400, 240)
    rope(drawing, 200, 128, 36, ("#16324a", "#e9d8b0"), 20)
    return drawing


def dots(drawing: Drawing, stars: list[Point], lines: list[tuple[int, int]], size: float = 5) -> None:
    for one, other in lines:
        drawing.line([stars[one], stars[other]], "#7d8fc7", 1.4)
    for x, y in stars:
        drawing.disc(x, y, size, "#fdf3cf")


def night(height: float) -> Drawing:
    drawing = Drawing(400, height)
    drawing.rect(0, 0, 400, height, "#131b40")
    return drawing


def pole_star() -> Drawing:
    """The Big Dipper and the two stars of its bowl that lead to Polaris."""
    drawing = night(220)
    dipper: list[Point] = [(40, 170), (80, 150), (116, 158), (152, 164), (172, 196), (228, 184), (222, 142)]
    drawing.line([(228, 184), (213, 40)], "#3f4f8c", 1)
    dots(drawing, dipper, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 3)])
    drawing.disc(212, 32, 7, "#ffffff")
    dots(drawing, [(300, 60), (322, 36), (342, 58), (366, 46), (378, 74)], [(0, 1), (1, 2), (2, 3), (3, 4)], 4)
    return drawing


def orion() -> Drawing:
    drawing = night(240)
    stars: list[Point] = [(150, 40), (236, 52), (182, 124), (200, 118), (218, 112), (166, 204), (252, 192)]
    dots(drawing, stars, [(0, 1), (0, 2), (1, 4), (2, 3), (3, 4), (2, 5), (4, 6), (5, 6)])
    drawing.disc(150, 40, 6, "#f2a37a")
    drawing.disc(252, 192, 6, "#cfe0ff")
    drawing.disc(202, 150, 3, "#b9c4ea")
    return drawing


def color_wheel() -> Drawing:
    drawing = Drawing(400, 260)
    colors = ("#e8c32e", "#e69a2c", "#dd6b2b", "#cf4238", "#b23a63", "#7f4690", "#4f51a0", "#2f6db0", "#2a8fa3",
              "#2f9a74", "#62aa4c", "#a9ba39")  # fmt: skip
    for number, color in enumerate(colors):
        angle = math.tau * number / 12 - math.pi / 2
        drawing.disc(200 + 98 * math.cos(angle), 130 + 98 * math.sin(angle), 23 if number % 4 == 0 else 16, color)
    return drawing


def values() -> Drawing:
    """One pigment from much to little."""
    drawing = Drawing(400, 60)
    for number in range(8):
        part = number / 8
        color = "#" + "".join(f"{round(low + (250 - low) * part):02x}" for low in (38, 70, 120))
        drawing.rect(number * 50, 0, 47, 60, color)
    return drawing


def timeline() -> Drawing:
    """A day and a half of dough: short work in dark, long waiting in light."""
    drawing = Drawing(400, 40)
    at = 0.0
    for hours, work in ((0.6, True), (5, False), (0.6, True), (14, False), (0.6, True), (1.4, True), (1.6, False)):
        width = 400 * hours / 23.8
        drawing.rect(at, 4, width - 1.5, 32, "#8a4b21" if work else "#ecd6ac")
        at += width
    return drawing


def ratio() -> Drawing:
    """Dry coffee and what it becomes at 1:1.5, 1:2 and 1:2.5."""
    drawing = Drawing(400, 120)
    for number, times in enumerate((1.5, 2, 2.5)):
        y = number * 42
        drawing.rect(0, y, 120, 30, "#4a2612")
        drawing.rect(124, y, 108 * times, 30, "#c08345")
    return drawing


def walk() -> Drawing:
    """The morning's climb as a profile: river, cathedral, viewpoint, castle, and down again."""
    drawing = Drawing(400, 130)
    ground: list[Point] = [(0, 118), (60, 112), (130, 80), (190, 56), (250, 18), (310, 52), (360, 92), (400, 108)]
    drawing.polygon([*ground, (400, 130), (0, 130)], "#f3d6a4")
    drawing.line(ground, "#b4502b", 3)
    for x, y in (ground[1], ground[2], ground[3], ground[4], ground[6]):
        drawing.disc(x, y, 5.5, "#8c3a1d")
    return drawing


def roots() -> Drawing:
    """Three pots: dry, right, wet."""
    drawing = Drawing(400, 130)
    for number, (soil, water) in enumerate((("#c9a57b", 0), ("#8a6546", 12), ("#5b4636", 40))):
        x = 30 + number * 130
        drawing.polygon([(x, 20), (x + 84, 20), (x + 72, 110), (x + 12, 110)], "#c66b42")
        drawing.polygon([(x + 6, 24), (x + 78, 24), (x + 68, 104), (x + 16, 104)], soil)
        drawing.rect(x + 17, 104 - water, 50, water, "#6d97b5")
        for way in (-22, -8, 8, 22):
            drawing.line([(x + 42, 24), (x + 42 + way * 0.6, 52), (x + 42 + way, 84)], "#f4ead6", 2.4)
    return drawing


# Sky, the hill behind, the hill in front, and the leaves of the trees.
SEASONS = {
    "winter": ("#e3e8f0", "#c9d3e2", "#f7f9fc", ""),
    "spring": ("#e4f0ee", "#b9d8a8", "#8fbf7a", "#f2b8c6"),
    "summer": ("#d8ecf7", "#7fae62", "#5f9550", "#3f7a45"),
    "autumn": ("#f5e6cf", "#d8b26a", "#b98a4a", "#cf6a2f"),
}


def season(name: str) -> Drawing:
    """Two hills and three trees, as they are then."""
    sky, behind, before, leaves = SEASONS[name]
    drawing = Drawing(400, 170)
    drawing.rect(0, 0, 400, 170, sky)
    drawing.disc(318, 46, 20, "#fdf6e0")
    for top, color in ((96, behind), (128, before)):
        hill: list[Point] = [(x, top + 14 * math.sin(x / 400 * math.tau + top)) for x in range(0, 401, 8)]
        drawing.polygon([*hill, (400, 170), (0, 170)], color)
    for x, foot, size in ((70, 134, 1.0), (112, 128, 0.7), (260, 142, 1.2)):
        tree(drawing, x, foot, size, leaves)
    return drawing


def tree(drawing: Drawing, x: float, foot: float, size: float, leaves: str) -> None:
    drawing.line([(x, foot), (x, foot - 52 * size)], "#5a4636", 4 * size)
    for way, from_foot in ((-1, 24), (1, 32), (-1, 40), (1, 46)):
        branch: list[Point] = [(x, foot - from_foot * size), (x + way * 17 * size, foot - (from_foot + 20) * size)]
        drawing.line(branch, "#5a4636", 2 * size)
    if leaves:
        for dx, dy, radius in ((-13, 58, 17), (13, 60, 17), (0, 74, 19)):
            drawing.disc(x + dx * size, foot - dy * size, radius * size, leaves)


FIGURES: dict[str, Callable[[], Drawing]] = {
    "trefoil": knot,
    "pole-star": pole_star,
    "orion": orion,
    "color-wheel": color_wheel,
    "values": values,
    "timeline": timeline,
    "ratio": ratio,
    "walk": walk,
    "roots": roots,
    **{name: partial(season, name) for name in SEASONS},
}
