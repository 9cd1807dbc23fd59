"""Bars for a page, as numbers that a template writes into an SVG: no script draws them, and no style stands in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# The picture is stretched to the width of its place, so its texts stand beside it, and lines keep their width.
WIDTH, HEIGHT = 620, 200
GAP = 0.28  # of a bar's place


@dataclass(frozen=True)
class Value:
    """What one bar shows: `kept` of it as a full bar, the rest hollow above it, and a line for what was before.

    `before` is None where there is nothing to compare with.
    """

    label: str
    amount: int
    kept: int
    before: int | None


@dataclass(frozen=True)
class Bar:
    """Where a value lies in the picture, in its own units, from the top left."""

    value: Value
    x: float
    width: float
    full_y: float
    full_height: float
    gone_y: float
    gone_height: float
    line_y: float | None

    @property
    def line_end(self) -> float:
        return round(self.x + self.width, 2)


@dataclass(frozen=True)
class Chart:
    bars: tuple[Bar, ...]
    top: int
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def half(self) -> int:
        return self.top // 2


def chart(values: Sequence[Value]) -> Chart:
    """Bars of equal width under a top that is a round number."""
    top = round_top(max((max(one.amount, one.before or 0) for one in values), default=0))
    return Chart(tuple(_bars(values, top)), top)


def round_top(most: int) -> int:
    """The least of 2, 4, 6, 8, 10 times a power of ten that is not below `most`: its half is whole, too."""
    power = 1
    while power * 10 < most:
        power *= 10
    return next(number * power for number in (2, 4, 6, 8, 10) if number * power >= most)


def _bars(values: Sequence[Value], top: int) -> Iterator[Bar]:
    place = WIDTH / max(1, len(values))
    for number, one in enumerate(values):
        kept = max(0, one.kept)
        yield Bar(
            value=one,
            x=round((number + GAP / 2) * place, 2),
            width=round(place * (1 - GAP), 2),
            full_y=_y(kept, top),
            full_height=round(HEIGHT - _y(kept, top), 2),
            gone_y=_y(one.amount, top),
            gone_height=round(_y(kept, top) - _y(one.amount, top), 2),
            line_y=None if one.before is None else _y(one.before, top),
        )


def _y(amount: int, top: int) -> float:
    return round(HEIGHT * (1 - amount / top), 2)
