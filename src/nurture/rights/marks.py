"""Cells that a spreadsheet would take for a formula get a mark before them, and lose it again exactly.

OWASP ASVS 5.0, 1.2.10: a cell that begins with = + - @, a tab, a carriage return or NUL gets a leading quote. One that
begins with a quote gets another, so that the way back is plain: a quote at the beginning is ours.
"""

from __future__ import annotations

#: The column that says that a file is an export of ours, and its marks are ours.
EXPORTED = "nurture_export"
_MARK = "'"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0", _MARK)


def marked(text: str) -> str:
    """`text` as no spreadsheet takes it for a formula."""
    return f"{_MARK}{text}" if text.startswith(_FORMULA) else text


def unmarked(cell: str) -> str:
    """The text that `marked` made this cell of."""
    return cell.removeprefix(_MARK)
