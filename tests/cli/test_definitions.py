"""The page for a meeting: whose signature stands, in the draft and in what is live, and what a publication costs."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tests.cli.conftest import Desk

SIGNED = """\
agreed:
  - {team: marketing, name: Lena Pop, date: 2026-02-16}
  - {team: sales, name: Mihai Ionescu, date: 2026-02-16}
mql: {levels: {hot: {fit: {at_least: B}, score: {at_least: 60}}, warm: {score: {at_least: 40}}}}
milestones:
  demo_requested: {when: {did: demo_requested}, handoff: true}
gate:
  - {reason: student, refuse: {company: Campus}}
"""


def states(desk: Desk, *words: str) -> dict[str, str]:
    told = json.loads(desk.nurture("definitions", "--json", *words).out)
    return {one["name"]: one["state"] for one in told["signatures"]}


def test_a_signature_lives_as_long_as_its_text(desk: Desk) -> None:
    """Not published, standing, void through an edit, and standing again when the edit is taken back."""
    desk.write("templates/lifecycle.yaml", SIGNED)
    assert set(states(desk).values()) == {"not published yet"}
    assert "nothing is published yet" in desk.nurture("definitions", "--live").err

    assert desk.nurture("publish").code == 0
    assert set(states(desk).values()) == set(states(desk, "--live").values()) == {"stands"}

    desk.now = datetime(2026, 3, 4, tzinfo=UTC)
    desk.write("templates/lifecycle.yaml", SIGNED.replace("at_least: 60", "at_least: 55"))
    told = " ".join(desk.nurture("definitions").out.split())
    assert "Lena Pop for marketing on 16 February 2026: VOID, given for version 1" in told
    assert "- MQL, level hot: “fit at least B, score at least 60” became “fit at least B, score at least 55”" in told
    assert set(states(desk, "--live").values()) == {"stands"}

    published = desk.nurture("publish").out
    assert "VOID: what Mihai Ionescu for sales signed on 2026-02-16 has changed" in published
    assert "what Lena Pop for marketing, Mihai Ionescu for sales signed has changed since" in " ".join(
        json.dumps(desk.nurture("doctor", "--json").out).split()
    )
    live = desk.nurture("definitions", "--live").out
    assert "Version 2 of the program, live since 4 March 2026." in live
    assert live.count("VOID") == 2

    desk.write("templates/lifecycle.yaml", "definitions: {agreed: 2026-02-16, by: [Lena]}\n" + SIGNED)
    assert states(desk) == {"Lena Pop": "stands", "Mihai Ionescu": "stands", "Lena": "not published yet"}


def test_a_narrow_terminal_breaks_no_line(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page and the report of what came of it are no wider than the terminal."""
    desk.write("templates/lifecycle.yaml", SIGNED)
    assert desk.nurture("publish").code == 0
    monkeypatch.setenv("COLUMNS", "60")
    for words in (["definitions"], ["report", "definitions"]):
        assert 50 < max(map(len, desk.nurture(*words).out.splitlines())) <= 60, words


def test_the_page_fits_a_terminal_and_a_printer(desk: Desk) -> None:
    """A matrix is a table of at most 100 columns; the HTML page says the same and escapes what a marketer wrote."""
    desk.write("templates/lifecycle.yaml", SIGNED.replace("Lena Pop", '"Lena <Pop>"'))
    text, html = desk.nurture("definitions").out, desk.nurture("definitions", "--as", "html").out

    assert "| level | fit        | score       |" in text
    assert "| warm  | any        | at least 40 |" in text
    assert max(map(len, text.splitlines())) <= 100
    assert "- Lena <Pop> for marketing on 16 February 2026: not published yet" in text
    assert "Lena &lt;Pop&gt; for marketing" in html
    assert '<th scope="row">warm</th><td>any</td><td>at least 40</td>' in html
