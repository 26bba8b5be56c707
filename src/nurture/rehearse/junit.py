"""Checks as JUnit XML, which build servers show: a suite for each segment, a case for each check."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from nurture.errors import FileFault
from nurture.rehearse.play import Outcome
from nurture.rehearse.run import CheckRun

#: What XML 1.0 cannot hold, not even escaped (its section 2.2).
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(run: CheckRun) -> str:
    """The document."""
    root = ElementTree.Element("testsuites", {"name": "nurture test", **_figures(run.outcomes)})
    suites: dict[str, list[Outcome]] = {}
    for outcome in run.outcomes:
        suites.setdefault(outcome.file.split("/")[0], []).append(outcome)
    for segment, outcomes in suites.items():
        suite = ElementTree.SubElement(root, "testsuite", {"name": segment, **_figures(outcomes)})
        for outcome in outcomes:
            case = ElementTree.SubElement(
                suite, "testcase", classname=segment, name=_plain(outcome.sentence), file=outcome.file,
                time=f"{outcome.seconds:.3f}",
            )  # fmt: skip
            if not outcome.ok:
                failure = ElementTree.SubElement(
                    case, "failure", type="difference", message=_plain(outcome.differences[0])
                )
                failure.text = _plain("\n".join(outcome.details()))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def write(run: CheckRun, file: Path) -> None:
    """The document as a file. Raises FileFault when it cannot be written."""
    try:
        file.write_text('<?xml version="1.0" encoding="UTF-8"?>\n' + junit(run), encoding="utf-8")
    except OSError as problem:
        raise FileFault(
            f"{file}: cannot be written ({problem.strerror}); name a file in a folder that is there"
        ) from None


def _figures(outcomes: list[Outcome]) -> dict[str, str]:
    failed = sum(not outcome.ok for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)
    return {
        "tests": str(len(outcomes)), "failures": str(failed), "errors": "0", "skipped": "0", "time": f"{seconds:.3f}",
    }  # fmt: skip


def _plain(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
