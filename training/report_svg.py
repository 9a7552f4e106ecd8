"""Matplotlib figures as SVG text that takes its colours from the page around it, light or dark."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

# Matplotlib knows no CSS variables: these colours stand for them until the SVG is written.
INK: Final = "#010101"
MUTED: Final = "#020202"
GRID: Final = "#030303"
OURS: Final = "#040404"
OURS_SOFT: Final = "#050505"
BASELINE: Final = "#060606"
SECOND: Final = "#070707"
VARIABLES: Final = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    OURS: "var(--ours)",
    OURS_SOFT: "var(--ours-soft)",
    BASELINE: "var(--baseline)",
    SECOND: "var(--second)",
}
PALETTE: Final = Markup("""\
:root {
  --page: #f6f5f2; --card: #fdfdfc; --ink: #1b1b19; --muted: #63625d; --grid: #e3e2dd;
  --ours: #2a6fc9; --ours-soft: #9dc0ec; --baseline: #c3c1ba; --second: #c2571f; --good: #1c7a43; --bad: #b3311f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #161615; --card: #1f1f1d; --ink: #f0efeb; --muted: #a5a49d; --grid: #363632;
    --ours: #5a9cf0; --ours-soft: #2f527f; --baseline: #5b5a55; --second: #e5875a; --good: #63c28b; --bad: #f08a78;
  }
}
""")
"""What the variables are, for the style of a page."""

STYLE: Final[dict[RcKeyType, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "recsys",  # the same report gives the same bytes
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": MUTED,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.edgecolor": GRID,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "grid.color": GRID,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}
WIDTH_INCHES: Final = 9.5
ROW_INCHES: Final = 0.3


@contextmanager
def panels(count: int, *, rows: int) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of `count` panels side by side, high enough for `rows` bars, drawn in the page's style."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 0.8 + ROW_INCHES * rows), layout="constrained")
        yield figure, list(figure.subplots(1, count, squeeze=False)[0])


def draw_bars(axes: Axes, names: Sequence[str], values: Sequence[float], *, colours: Sequence[str]) -> None:
    """Horizontal bars from the top down, starting at zero."""
    axes.barh(range(len(names)), values, color=colours, height=0.62)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="x")
    axes.locator_params(axis="x", nbins=5)


def label_bars(axes: Axes, ends: Sequence[float], labels: Sequence[str]) -> None:
    """Write a label to the right of each bar's end, and make room for the longest."""
    for row, (end, label) in enumerate(zip(ends, labels, strict=True)):
        axes.annotate(label, (end, row), (6, 0), textcoords="offset points", va="center", fontsize=9)
    room = 1.06 + 0.012 * max(len(label) for label in labels)
    axes.set_xlim(0, (max(ends) or 1.0) * room)


def as_svg(figure: Figure, spoken: str) -> Markup:
    """The figure as an SVG element; `spoken` is read to who cannot see it."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 system-ui, sans-serif", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Ids of groups repeat from figure to figure; only those of <defs> are referred to.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    view_box = re.search(r'viewBox="[^"]*"', svg)
    assert view_box is not None
    opening = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {view_box[0]} role="img" aria-label="{escape(spoken)}">'
    return Markup(opening + svg[svg.index(">") + 1 :])
