"""The room between two layers of a drawing: at which height each line runs sideways, so that none lies on another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Point = tuple[float, float]
#: Pixels between two lines side by side, between two one above the other, and from a box to the first.
BESIDE_A_LINE, _TRACK, _CLEARANCE = 22.0, 14.0, 16.0


@dataclass
class Box:
    """What takes room: a node, an arrow's label, or a place where a line passes. `x`: its middle; `y`: its top."""

    key: str
    width: float = 0.0
    height: float = 0.0
    layer: int = 0
    x: float = 0.0
    y: float = 0.0
    #: Lines that pass keep straight and stand closer.
    passing: bool = False
    #: Goes around at the left.
    back: bool = False
    #: One of the boxes that were asked for.
    node: bool = False


@dataclass(frozen=True)
class Line:
    """A drawn line from corner to corner; `arrives`: it ends with an arrow head."""

    points: tuple[Point, ...]
    arrives: bool


class Gap:
    """The room between two layers: each group of lines has a height at which it runs sideways."""

    def __init__(
        self, boxes: Mapping[str, Box], pieces: Sequence[tuple[str, str, bool]], hooks: Sequence[tuple[str, str, bool]]
    ) -> None:
        self.pieces, self.hooks = pieces, hooks
        fans = defaultdict(list)
        for upper, _lower, _ in pieces:
            fans[upper].append(_lower)
        #: Lines that fan out from one box run together, others with those that go to the same box.
        self.group = {
            (upper, lower): f"from {upper}" if len(fans[upper]) > 1 else f"to {lower}" for upper, lower, _ in pieces
        }
        self.group |= {(a, b): f"to {b}" if head else f"hook {a}" for a, b, head in hooks}
        spans: dict[str, list[float]] = defaultdict(list)
        for (a, b), name in self.group.items():
            spans[name] += [boxes[a].x, boxes[b].x]
        self.track = self._tracks({name: (min(xs), max(xs)) for name, xs in spans.items()}, boxes)
        self.height = 2 * _CLEARANCE + _TRACK * max(self.track.values(), default=0)

    def _tracks(self, spans: Mapping[str, tuple[float, float]], boxes: Mapping[str, Box]) -> dict[str, int]:
        """The first height at which nothing else runs; a line that ends where another begins runs above it."""
        starts: dict[str, set[float]] = defaultdict(set)
        ends: dict[str, set[float]] = defaultdict(set)
        for (a, b), name in self.group.items():
            starts[name].add(round(boxes[a].x))
            ends[name].add(round(boxes[b].x))
        flat = {name for name, (low, high) in spans.items() if high - low < 1}
        given = dict.fromkeys(flat, 0)
        waiting = sorted(spans.keys() - flat, key=lambda name: (spans[name][1] - spans[name][0], name))
        while waiting:
            free = [
                one for one in waiting if not any(one != other and starts[other] & ends[one] for other in waiting)
            ] or waiting
            one = free[0]
            waiting.remove(one)
            low, high = spans[one]
            taken = {
                given[other]
                for other in given
                if other not in flat
                and spans[other][0] < high + BESIDE_A_LINE
                and low - BESIDE_A_LINE < spans[other][1]
            }
            least = max(
                (given[other] + 1 for other in given if other not in flat and starts[one] & ends[other]), default=0
            )
            given[one] = next(height for height in range(least, len(spans) + least + 1) if height not in taken)
        return given

    def draw(self, floor: float, boxes: Mapping[str, Box], lines: list[Line]) -> None:
        """The lines of this gap; `floor`: where it begins."""
        for upper, lower, up in self.pieces:
            a, b = boxes[upper], boxes[lower]
            side = floor + _CLEARANCE + _TRACK * self.track[self.group[(upper, lower)]]
            points = [(a.x, a.y + a.height), (a.x, side), (b.x, side), (b.x, b.y)]
            lines.append(Line(tuple(points), not up and b.node))
        for a_key, b_key, head in self.hooks:
            a, b = boxes[a_key], boxes[b_key]
            side = floor + _CLEARANCE + _TRACK * self.track[self.group[(a_key, b_key)]]
            begin = a.y if head else a.y + a.height
            end = b.y if head else b.y + b.height
            lines.append(Line(((a.x, begin), (a.x, side), (b.x, side), (b.x, end)), head))
