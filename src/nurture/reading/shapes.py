"""The shape and the colour of each kind of step, as SVG."""

from __future__ import annotations

from collections.abc import Callable

from nurture.reading.tracks import Box

#: Fill and line of each kind; what is sent is blue, what waits sand, what decides violet, what ends grey.
COLOURS = {
    "start": ("#e6f4ea", "#2e7d4f"),
    "email": ("#e7f0fb", "#2f6db5"),
    "offer": ("#e3f4f6", "#1f7a86"),
    "sms": ("#e7f0fb", "#2f6db5"),
    "audience": ("#f0ecfa", "#7058b0"),
    "webhook": ("#f0ecfa", "#7058b0"),
    "wait": ("#fdf6e3", "#b58a1f"),
    "wait_until": ("#fdf0d5", "#b5741f"),
    "branch": ("#fbe9f1", "#b03a72"),
    "split": ("#fbe9f1", "#b03a72"),
    "goto": ("#f4f4f4", "#666666"),
    "update": ("#f4f4f4", "#777777"),
    "task": ("#fdeee8", "#c2552d"),
    "handoff": ("#fde3d8", "#c2412d"),
    "exit": ("#e9ecef", "#495057"),
}
PLAIN = ("#ffffff", "#555555")


def _rect(box: Box, style: str, radius: float) -> str:
    return (
        f'<rect x="{box.x - box.width / 2:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" '
        f'rx="{radius:g}" {style}/>'
    )


def _polygon(box: Box, style: str, *corners: tuple[float, float]) -> str:
    """`corners`: pixels from the left edge and the top."""
    left = box.x - box.width / 2
    points = " ".join(f"{left + x:.1f},{box.y + y:.1f}" for x, y in corners)
    return f'<polygon points="{points}" stroke-linejoin="round" {style}/>'


def card(box: Box, style: str) -> str:
    return _rect(box, style, 5)


def _pill(box: Box, style: str) -> str:
    return _rect(box, style, min(box.height / 2, 24))


def _hexagon(box: Box, style: str) -> str:
    w, h = box.width, box.height
    return _polygon(box, style, (12, 0), (w - 12, 0), (w, h / 2), (w - 12, h), (12, h), (0, h / 2))


def _diamond(box: Box, style: str) -> str:
    w, h = box.width, box.height
    return _polygon(box, style, (w / 2, 0), (w, h / 2), (w / 2, h), (0, h / 2))


def _slanted(box: Box, style: str) -> str:
    w, h = box.width, box.height
    return _polygon(box, style, (12, 0), (w, 0), (w - 12, h), (0, h))


def _folded(box: Box, style: str) -> str:
    w, h = box.width, box.height
    right, top = box.x + w / 2, box.y
    corner = f'<path d="M{right - 12:.1f} {top:.1f}v12h12" fill="none" {style.split(" ", 1)[1]}/>'
    return _polygon(box, style, (0, 0), (w - 12, 0), (w, 12), (w, h), (0, h)) + corner


def _barred(box: Box, style: str) -> str:
    left, right = box.x - box.width / 2 + 7, box.x + box.width / 2 - 7
    bars = "".join(f'<path d="M{x:.1f} {box.y:.1f}v{box.height:.1f}" {style.split(" ", 1)[1]}/>' for x in (left, right))
    return _rect(box, style, 2) + bars


def _envelope(box: Box, style: str) -> str:
    """A card with the flap of an envelope at its top."""
    left, right, top = box.x - box.width / 2 + 5, box.x + box.width / 2 - 5, box.y
    way = f"M{left:.1f} {top + 1:.1f}L{box.x:.1f} {top + 8:.1f}L{right:.1f} {top + 1:.1f}"
    flap = f'<path d="{way}" fill="none" opacity="0.45" {style.split(" ", 1)[1]}/>'
    return _rect(box, style, 5) + flap


SHAPES: dict[str, Callable[[Box, str], str]] = {
    "start": _pill,
    "email": _envelope,
    "offer": _folded,
    "sms": card,
    "audience": _slanted,
    "webhook": _slanted,
    "wait": _pill,
    "wait_until": _hexagon,
    "branch": _diamond,
    "split": _diamond,
    "goto": _pill,
    "handoff": _barred,
    "exit": _pill,
}
