"""A year as a picture: SVG, written by hand, the same bytes for the same figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable

LEFT, WIDTH = 64, 915
DAY = 2.5
MONTHS = tuple(
    zip(
        ("Sep", "Oct", "Nov", "Dec", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug"),
        (0, 30, 61, 91, 122, 153, 182, 213, 243, 274, 304, 335),
        strict=True,
    )
)
BLUE, PALE, RED, INK, GREY = "#2a6f97", "#9ec9de", "#c8434f", "#333333", "#dddddd"
SEVERITY = ((0.9, "#7a0f1c"), (0.4, "#d1495b"), (0.1, "#eda35a"), (0.01, "#f5dfb5"))
"""(rate from which, colour): the worst of the day."""

Days = list[list[float]]
"""For each day: calls, by A, by B, by the fallback, the worst failure rate of A and of B."""


def plot(days: Days) -> str:
    """The picture: who answered, how many calls got the fallback, and when the providers were degraded."""
    most = max(day[0] for day in days) or 1
    worst = max(0.01, *(day[3] / day[0] for day in days if day[0]))
    calls = _axis(20, 150, f"{most:,.0f}", "calls a day")
    calls += _bars(days, PALE, 170, 150 / most, lambda day: (day[1], day[2]))
    calls += _bars(days, BLUE, 170, 150 / most, lambda day: (0, day[1]))
    calls += _bars(days, RED, 170, 150 / most, lambda day: (day[1] + day[2], day[3]))
    fallen = _axis(205, 80, f"{100 * worst:.0f} %", "by the fallback")
    fallen += _bars(days, RED, 285, 80 / worst, lambda day: (0, day[3] / day[0] if day[0] else 0))
    strips = _strip(days, 4, 310, "A degraded") + _strip(days, 5, 334, "B degraded")
    months = "".join(_text(LEFT + day * DAY + 2, 372, name) for name, day in MONTHS)
    legend = "".join(
        f'<rect x="{x}" y="386" width="12" height="10" fill="{colour}"/>{_text(x + 17, 395, name)}'
        for x, colour, name in (
            (LEFT, BLUE, "answered by A"),
            (LEFT + 120, PALE, "by B"),
            (LEFT + 185, RED, "by the fallback"),
            (LEFT + 330, SEVERITY[3][1], "2 % fail"),
            (LEFT + 410, SEVERITY[2][1], "15 %"),
            (LEFT + 470, SEVERITY[1][1], "50 %"),
            (LEFT + 530, SEVERITY[0][1], "95 %, on the day's worst incident"),
        )
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 10} 410" role="img" '
        'font-family="sans-serif" font-size="11">\n<title>A simulated year: who answered, day by day</title>\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{calls}{fallen}{strips}{months}\n{legend}\n</svg>\n'
    )


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" fill="{INK}" text-anchor="{anchor}">{text}</text>'


def _axis(top: int, height: int, most: str, name: str) -> str:
    bottom = top + height
    return (
        _text(LEFT - 6, top + 9, most, "end")
        + _text(LEFT - 6, bottom, "0", "end")
        + _text(LEFT + 4, top - 5, name)
        + f'<path d="M{LEFT} {top}H{LEFT + WIDTH}M{LEFT} {bottom}H{LEFT + WIDTH}" stroke="{GREY}"/>\n'
    )


def _bars(days: Days, colour: str, bottom: int, scale: float, of: Callable[[list[float]], tuple[float, float]]) -> str:
    """One path of all bars: `of` says (what's beneath, how tall) for a day."""
    steps: list[str] = []
    for number, day in enumerate(days):
        beneath, tall = of(day)
        if tall:
            x, y, height = LEFT + number * DAY, bottom - beneath * scale, tall * scale
            steps.append(f"M{x:g} {y:.1f}v-{height:.1f}h{DAY:g}v{height:.1f}z")
    return f'<path d="{"".join(steps)}" fill="{colour}"/>\n'


def _strip(days: Days, place: int, top: int, name: str) -> str:
    """A strip coloured by the worst rate of each day."""
    strip = _text(LEFT - 6, top + 12, name.split()[0], "end")
    strip += f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="16" fill="#f4f4f4"/>\n'
    for number, (rate, colour) in enumerate(SEVERITY):
        above = SEVERITY[number - 1][0] if number else 2.0
        steps = (f"M{LEFT + day * DAY:g} {top}h{DAY:g}v16h-{DAY:g}z" for day in _where(days, place, rate, above))
        strip += f'<path d="{"".join(steps)}" fill="{colour}"/>\n'
    return strip


def _where(days: Days, place: int, rate: float, above: float) -> Iterable[int]:
    return (number for number, day in enumerate(days) if rate <= day[place] < above)
