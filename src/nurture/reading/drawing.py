"""A chart as SVG: a shape and a colour for each kind, labels on the ways, nothing fetched from anywhere."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from html import escape

from nurture.reading.chart import Arrow, Chart, Node
from nurture.reading.layout import Box, Line, Way, lay_out
from nurture.reading.lettering import Text, wrapped
from nurture.reading.shapes import COLOURS, PLAIN, SHAPES, card

_FONT = (
    "Helvetica, Arial, 'Liberation Sans', 'Noto Sans', 'Noto Sans Arabic', 'Noto Kufi Arabic', "
    "'DejaVu Sans', sans-serif"
)
_TITLE, _BODY, _LABEL, _COUNT = 14.0, 12.0, 11.5, 11.5
_LEADING, _MARGIN = 1.35, 28.0
_NODE_WIDTH, _LABEL_WIDTH, _FACT_WIDTH = 210.0, 132.0, 560.0
_PAD_X, _PAD_Y = 16.0, 10.0
_LINE, _SOFT = "#8a93a0", "#55606e"


def svg(chart: Chart) -> str:
    """The picture, complete in itself. Raises nothing: what it cannot place it cuts."""
    texts = {node.id: _node_text(node) for node in chart.nodes}
    labels = [_label_text(arrow) for arrow in chart.arrows]
    sizes = {node.id: _size(node, texts[node.id]) for node in chart.nodes}
    ways = [
        Way(arrow.source, arrow.target, (_widest(label) + 10, _tall(label) + 6) if label else None)
        for arrow, label in zip(chart.arrows, labels, strict=True)
    ]
    placed = lay_out(sizes, ways)
    head, top = _head(chart)
    aside, aside_width = _aside(chart, placed.width + 2 * _MARGIN, top)
    width = max(
        placed.width + 2 * _MARGIN + aside_width, _MARGIN * 2 + max(x + text.width - _MARGIN for text, x, _ in head)
    )
    shift = (width - aside_width - placed.width) / 2 if not aside else _MARGIN
    height = top + placed.height + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="{_FONT}" role="img">',
        f"<title>{escape(_visible(chart.name))}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        *(_line(text, x, y, "start") for text, x, y in head),
        f'<g transform="translate({shift:.1f} {top:.1f})">',
        *(_way(line) for line in placed.lines),
        *(_label(placed.labels[number], label) for number, label in enumerate(labels) if number in placed.labels),
        *(_node(node, placed.boxes[node.id], texts[node.id]) for node in chart.nodes),
        "</g>",
        *aside,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _head(chart: Chart) -> tuple[list[tuple[Text, float, float]], float]:
    """The name and what holds for the whole sequence; where the boxes begin."""
    lines, y = [(Text(chart.name, 22, bold=True), _MARGIN, _MARGIN + 18)], _MARGIN + 40
    for word, said in chart.facts:
        for number, part in enumerate(wrapped(said, 13, _FACT_WIDTH, most=4)):
            if not number:
                lines.append((Text(word, 13, _SOFT, bold=True), _MARGIN, y))
            lines.append((Text(part, 13), _MARGIN + 92, y))
            y += 13 * _LEADING
    return lines, y - 8


def _aside(chart: Chart, x: float, top: float) -> tuple[list[str], float]:
    """Counts that belong to no step, in a dashed box at the right."""
    parts, y, widest = [], top + _CLEAR, 0.0
    for title, lines in chart.aside:
        texts = [Text(title.capitalize(), 13, bold=True), *(Text(line, 12) for line in lines)]
        width, height = _widest(texts) + 28, _tall(texts) + 20
        widest = max(widest, width)
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="6" fill="none" '
            f'stroke="{_LINE}" stroke-dasharray="4 4"/>'
        )
        below = y + 10
        for text in texts:
            below += text.size * _LEADING
            parts.append(_line(text, x + 14, below - text.size * 0.3, "start"))
        y += height + 16
    return parts, widest + _MARGIN if parts else 0.0


_CLEAR = 16.0


def _node_text(node: Node) -> list[Text]:
    room = 300.0 if node.kind == "start" else _NODE_WIDTH
    texts = [Text(line, _TITLE, bold=True) for line in wrapped(node.title, _TITLE, room, bold=True)]
    for detail in node.details:
        texts += [
            Text(line, _BODY, _SOFT) for line in wrapped(detail, _BODY, room, most=9 if node.kind == "start" else 3)
        ]
    ink = COLOURS.get(node.kind, PLAIN)[1]
    return [*texts, *([Text(node.counts, _COUNT, ink, bold=True)] if node.counts else [])]


def _label_text(arrow: Arrow) -> list[Text]:
    return [Text(line, _LABEL, _SOFT) for line in wrapped(arrow.words, _LABEL, _LABEL_WIDTH)] if arrow.words else []


def _widest(texts: Sequence[Text]) -> float:
    return max((text.width for text in texts), default=0.0)


def _tall(texts: Sequence[Text]) -> float:
    return sum(text.size * _LEADING for text in texts)


def _size(node: Node, texts: Sequence[Text]) -> tuple[float, float]:
    """Wide and tall enough for the text inside the shape."""
    width, height = max(_widest(texts) + 2 * _PAD_X, 110.0), _tall(texts) + 2 * _PAD_Y
    if node.kind in ("branch", "split"):
        return width * 1.25 + 20, height * 1.6
    if node.kind in ("wait", "wait_until", "exit", "start", "audience", "webhook", "goto"):
        return width + 22, height
    return width, height


def _way(line: Line) -> str:
    """A line with rounded corners."""
    points = [point for number, point in enumerate(line.points) if not number or point != line.points[number - 1]]
    if line.arrives:
        points[-1] = (points[-1][0], points[-1][1] - 6)
    path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        near = min(7.0, _length(before, here) / 2, _length(here, after) / 2)
        (ax, ay), (bx, by) = _towards(here, before, near), _towards(here, after, near)
        path.append(f"L{ax:.1f} {ay:.1f}Q{here[0]:.1f} {here[1]:.1f} {bx:.1f} {by:.1f}")
    path.append(f"L{points[-1][0]:.1f} {points[-1][1]:.1f}")
    drawn = f'<path d="{"".join(path)}" fill="none" stroke="{_LINE}" stroke-width="1.6"/>'
    if not line.arrives:
        return drawn
    x, y = points[-1]
    return f'{drawn}<path d="M{x - 5:.1f} {y - 3:.1f}L{x + 5:.1f} {y - 3:.1f}L{x:.1f} {y + 6:.1f}Z" fill="{_LINE}"/>'


def _length(a: tuple[float, float], b: tuple[float, float]) -> float:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def _towards(here: tuple[float, float], other: tuple[float, float], by: float) -> tuple[float, float]:
    length = _length(here, other) or 1.0
    return here[0] + (other[0] - here[0]) * by / length, here[1] + (other[1] - here[1]) * by / length


def _label(box: Box, texts: Sequence[Text]) -> str:
    ground = (
        f'<rect x="{box.x - box.width / 2:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" '
        f'rx="4" fill="#ffffff" stroke="#d8dde3"/>'
    )
    return ground + _stacked(box, texts)


def _node(node: Node, box: Box, texts: Sequence[Text]) -> str:
    fill, stroke = COLOURS.get(node.kind, PLAIN)
    style = f'fill="{fill}" stroke="{stroke}" stroke-width="1.6"'
    shape = SHAPES.get(node.kind, card)
    return f"<g>{shape(box, style)}{_stacked(box, texts)}</g>"


def _stacked(box: Box, texts: Sequence[Text]) -> str:
    y = box.y + (box.height - _tall(texts)) / 2
    lines = []
    for text in texts:
        y += text.size * _LEADING
        lines.append(_line(text, box.x, y - text.size * 0.36, "middle"))
    return "".join(lines)


def _line(text: Text, x: float, y: float, anchor: str) -> str:
    first = next((unicodedata.bidirectional(sign) for sign in text.words if sign.isalpha()), "L")
    right_to_left = first in ("R", "AL")
    if right_to_left and anchor == "start":
        x += text.width
    direction = ' direction="rtl"' if right_to_left else ""
    weight = ' font-weight="bold"' if text.bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{text.size:g}"{weight} fill="{text.ink}" '
        f'text-anchor="{anchor}"{direction}>{escape(_visible(text.words))}</text>'
    )


def _visible(words: str) -> str:
    """Without what XML does not allow."""
    return "".join(sign for sign in words if sign in "\t\n" or (sign >= " " and sign not in "\ufffe\uffff"))
