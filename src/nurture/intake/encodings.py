"""Which encoding a file is in, decided or refused: single-byte encodings cannot be told apart."""

from __future__ import annotations

import codecs
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nurture.errors import FileFault

#: Asked about when a file is neither UTF-8 nor UTF-16: where such files come from most.
CANDIDATES = {
    "cp1252": "Western European",
    "iso8859-2": "Central European",
    "cp1256": "Arabic",
    "cp874": "Thai",
}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ARCHIVES = {
    b"PK\x03\x04": "a spreadsheet or an archive",
    b"\xd0\xcf\x11\xe0": "a spreadsheet",
    b"\x1f\x8b": "compressed",
}
_BLOCK = 1 << 20
_AROUND = 60


def decide_encoding(path: Path, said: str | None, command: str) -> str:
    """The codec that reads all of `path`; raises FileFault, with the way out, if that is not certain.

    `said` is what the person says it is; a mark at the file's beginning knows better. Reads the file once, in blocks.
    """
    with path.open("rb") as file:
        head = file.read(1 << 16)
    for magic, what in _ARCHIVES.items():
        if head.startswith(magic):
            raise FileFault(f"{path}: is {what}, not text; save it as CSV (UTF-8) and import that")
    marked = next((codec for bom, codec in _BOMS if head.startswith(bom)), None)
    named = _named(path, said)
    codec = marked or named or _plain_utf16(head) or "utf-8"
    fault = _first_fault(path, codec)
    if fault is None:
        return codec
    if said is None and codec == "utf-8":
        raise FileFault(_which(path, fault, command))
    raise FileFault(
        f"{path}: line {fault.line} cannot be read as {codec if marked else said or codec}; "
        "mend that line, or name another --encoding; nothing was imported"
    )


def overruled(said: str | None, codec: str) -> str | None:
    """A sentence for whoever said an encoding that the file's own mark contradicts."""
    if said is None or codec not in {marked for _, marked in _BOMS}:
        return None
    family = codec.removesuffix("-sig")
    if codecs.lookup(said).name.startswith(family):
        return None
    return f"the file begins with the mark of {family.upper()}, so it was read as that and not as {said}"


def _named(path: Path, said: str | None) -> str | None:
    """The codec of the encoding that was said."""
    if said is None:
        return None
    try:
        "a".encode(said)  # codecs of bytes to bytes fail here
        return codecs.lookup(said).name
    except LookupError:
        raise FileFault(
            f"{path}: there is no encoding '{said}'; known are utf-8, utf-16, {', '.join(CANDIDATES)} …"
        ) from None


def _plain_utf16(head: bytes) -> str | None:
    """UTF-16 without a mark, when it is plain: every second byte of what is mostly ASCII is zero."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if even + odd < len(head) // 8:
        return None
    if odd > 20 * even:
        return "utf-16-le"
    return "utf-16-be" if even > 20 * odd else None


def _blocks(path: Path) -> Iterator[bytes]:
    """The file's bytes, and one empty block that says: this was all."""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
    yield b""


@dataclass(frozen=True)
class _Fault:
    """The first line that a codec cannot read; `rich`: it could read more than ASCII before."""

    line: int
    #: Its bytes around the fault.
    sample: bytes
    rich: bool


def _first_fault(path: Path, codec: str) -> _Fault | None:
    """Where `codec` first fails on the file, or None if it reads all of it."""
    decoder = codecs.getincrementaldecoder(codec)()
    line, rich, tail = 1, False, b""
    for block in _blocks(path):
        pending = decoder.getstate()[0]
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as problem:
            good = (pending + block)[: problem.start].decode(codec, errors="ignore")
            sample = _line_at(tail + block, len(tail) - len(pending) + problem.start)
            return _Fault(line + _line_ends(good), sample, rich or not good.isascii())
        line += _line_ends(text)
        rich = rich or not text.isascii()
        tail = block[-4096:]
    return None


def _line_at(data: bytes, at: int) -> bytes:
    """The line of `data` that holds the byte at `at`, as far as it fits on a screen."""
    start = max(data.rfind(b"\n", 0, at), data.rfind(b"\r", 0, at)) + 1
    ends = [end for end in (data.find(b"\n", at), data.find(b"\r", at)) if end >= 0]
    return data[max(start, at - _AROUND) : min([*ends, at + _AROUND])]


def _line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _which(path: Path, fault: _Fault, command: str) -> str:
    """The question that only a person can answer, with what each answer would mean."""
    says = f"{path}: line {fault.line} is not UTF-8, and a file cannot say what else it is. That line reads:"
    readings = []
    for codec, where in CANDIDATES.items():
        try:
            text = fault.sample.decode(codec)
        except UnicodeDecodeError:
            continue
        shown = "".join(c if c.isprintable() else " " for c in text).strip()
        readings.append(f"  {codec:<10} {where:<17} {shown}")
    if fault.rich:
        readings.append(
            "Lines before it are UTF-8, so it may be a mixture: mend that line, unless one above reads right."
        )
    return "\n".join([
        says, *readings,
        "Nothing was imported. Run it with the encoding that reads right, for example:",
        f"  nurture import {command} {shlex.quote(str(path))} --encoding cp1252",
    ])  # fmt: skip
