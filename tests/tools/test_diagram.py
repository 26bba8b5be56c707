"""`nurture diagram`: the words that a person would say, and a picture in which nothing lies on anything else."""

from __future__ import annotations

import re
import shutil
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nurture.program.load import load, read_folder
from nurture.reading.chart import Arrow, Chart, Counts, Node, Standing, chart
from nurture.reading.diagram import diagram
from nurture.reading.drawing import svg
from nurture.reading.layout import Layout, Way, lay_out
from nurture.reading.lettering import measure, wrapped
from nurture.reading.picture import BROWSERS, svg_picture
from tests.cli.conftest import Desk

TEMPLATES = Path(__file__).parents[2] / "templates"
SEGMENTS = load(read_folder(TEMPLATES)).segments
_TEXT = "{http://www.w3.org/2000/svg}text"


def words(picture: str) -> str:
    """Everything that is written in an SVG, in its order."""
    return " ".join(node.text or "" for node in ElementTree.fromstring(picture).iter(_TEXT))


SAAS = [
    "SaaS evaluators", "industry is saas, fintech or ecommerce; once only", "demo requested",
    "workdays, 09:00-17:00 on the lead's clock, no public holidays; priority 80",
    "Starts when", "whitepaper downloaded within 30 days", "E-mail: welcome", "Wait until", "clicked in welcome",
    "at most 3 days", "yes, at once", "not in 3 days", "E-mail: nudge", "“A, B or C?”", "Add to audience",
    "linkedin-evaluators", "Wait 2 days", "Offer: case", "Note down", "tag evaluated", "evaluated = true",
    "score is at least 60", "otherwise", "Hand over to sales", "engaged evaluator", "End: completed",
]  # fmt: skip


def test_a_picture_says_what_a_person_would(desk: Desk) -> None:
    shutil.rmtree(desk.folder / "templates")
    shutil.copytree(TEMPLATES, desk.folder / "templates")

    said = desk.nurture("diagram", "saas-evaluators", "--as", "svg")

    assert said.code == 0
    assert [phrase for phrase in SAAS if phrase not in words(said.out)] == []


@pytest.mark.parametrize("slug", sorted(SEGMENTS))
def test_every_step_and_every_way_is_drawn(slug: str) -> None:
    """In each shipped sequence, in both kinds of picture."""
    drawn = chart(SEGMENTS[slug])
    mermaid, picture = diagram(SEGMENTS[slug]), words(svg(drawn)).replace(" ", "")

    assert {node.id for node in drawn.nodes} >= {step.id for step in SEGMENTS[slug].spec.steps}
    for node in drawn.nodes:
        assert node.title.replace(" ", "") in picture
    assert mermaid.count("-->") == len(drawn.arrows)
    assert {arrow.source for arrow in drawn.arrows} | {arrow.target for arrow in drawn.arrows} == {
        node.id for node in drawn.nodes
    }


LOOP = """\
name: Loop
segment: {industry: saas}
enrol: {when: {did: whitepaper_downloaded}}
steps:
  - {id: news, email: welcome.j2, repeat: true}
  - {id: rest, wait: 7 days}
  - {id: again, goto: news, turns: 3}
  - {id: half, split: {a: 60, b: 40}}
  - {id: a, email: welcome.j2, repeat: true, next: done}
  - {id: b, email: bye.j2}
  - {id: done, exit: completed}
"""


def test_a_way_back_and_the_shares_of_a_split(desk: Desk) -> None:
    desk.write("templates/evaluators/sequence.yaml", LOOP)
    picture, mermaid = desk.nurture("diagram", "evaluators", "--as", "svg"), desk.nurture("diagram", "evaluators")

    for phrase in ("Back to news", "at most 3 times in all", "again", "after 3 times", "60 %", "40 %"):
        assert phrase in words(picture.out)
        assert phrase in mermaid.out


def test_who_stands_where(desk: Desk) -> None:
    desk.open_for_business()
    assert desk.nurture("tick", "--now", "2026-03-02T08:00:00Z").code == 0

    said = desk.nurture("diagram", "evaluators", "--live", "--as", "svg")

    assert "2 sent" in words(said.out)
    assert "2 here" in words(said.out)


def test_counts_of_leavers_and_of_older_versions() -> None:
    steps = {"welcome": Counts(waiting=3, sent=1204, exhausted=2), "reminder": Counts(waiting=4)}
    standing = Standing(steps, {"completed": 12, "objective": 3})
    picture = words(svg(chart(SEGMENTS["saas-evaluators"], standing)))
    mermaid = diagram(SEGMENTS["saas-evaluators"], standing)

    assert "3 here · 1,204 sent · 2 exhausted" in picture
    assert "Left completed: 12 objective: 3 On older versions reminder: 4" in picture
    assert "left<br/>completed: 12<br/>objective: 3" in mermaid
    assert "on older versions<br/>reminder: 4" in mermaid


@pytest.mark.parametrize("kind", ["svg", "mermaid"])
def test_a_picture_goes_into_a_file(kind: str, desk: Desk) -> None:
    said = desk.nurture("diagram", "evaluators", "--as", kind, "--to", "drawn/")
    (file,) = (desk.folder / "drawn").iterdir() if (desk.folder / "drawn").is_dir() else [desk.folder / "drawn"]

    assert said.out.strip().endswith(file.name)
    assert file.read_text("utf-8").startswith("<svg" if kind == "svg" else "flowchart TD")


@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="needs Chromium")
def test_a_png_is_twice_as_fine(desk: Desk) -> None:
    drawn = desk.nurture("diagram", "evaluators", "--as", "svg").out
    width = re.search(r'width="(\d+)"', drawn)
    assert width is not None
    picture = svg_picture(drawn)

    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(picture[16:20]) == 2 * int(width[1])


def test_without_a_browser_the_way_out_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(desk.folder))
    said = desk.nurture("diagram", "evaluators", "--as", "png")

    assert (said.code, said.out) == (1, "")
    assert "install Chromium" in said.err
    assert "--as svg" in said.err


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_text_breaks_a_picture(title: str, said: str) -> None:
    """Angle brackets, quotes, controls, half characters: the SVG stays XML, and Mermaid's quotes stay closed."""
    nodes = (Node("a", "email", title, (said,)), Node("b", "exit", said))
    picture = svg(Chart(title, (("For", said),), nodes, (Arrow("a", "b", said),)))

    ElementTree.fromstring(picture.encode("utf-8", "replace"))


def test_right_to_left_is_said_so() -> None:
    picture = svg(Chart("اسم", (), (Node("a", "email", "مرحبا بكم"), Node("b", "exit", "End")), (Arrow("a", "b"),)))
    rtl = [node.text for node in ElementTree.fromstring(picture).iter(_TEXT) if node.get("direction") == "rtl"]

    assert rtl == ["اسم", "مرحبا بكم"]


@given(st.text(alphabet="abc xyz ÄØ漢字 مرحبا", max_size=120), st.integers(60, 300))
def test_lines_are_no_wider_than_asked(text: str, width: int) -> None:
    lines = wrapped(text, 12, width, most=1000)

    assert max(measure(line, 12) for line in lines) <= width
    assert "".join(lines).replace(" ", "") == "".join(text.split())


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, tuple[float, float]], list[Way]]:
    """Up to 14 boxes, each reached from one above, with jumps and ways back."""
    count = draw(st.integers(2, 14))
    sizes = {f"n{n}": (float(draw(st.integers(60, 260))), float(draw(st.integers(30, 120)))) for n in range(count)}
    label = st.one_of(st.none(), st.tuples(st.integers(20, 140).map(float), st.integers(15, 70).map(float)))
    ways = {(draw(st.integers(max(0, n - 3), n - 1)), n): draw(label) for n in range(1, count)}
    for _ in range(draw(st.integers(0, 8))):
        a, b = draw(st.integers(0, count - 1)), draw(st.integers(1, count - 1))
        if a != b:
            ways[(a, b)] = draw(label)
    return sizes, [Way(f"n{a}", f"n{b}", size) for (a, b), size in ways.items()]


@settings(max_examples=40)
@given(graphs())
def test_nothing_lies_on_anything(graph: tuple[dict[str, tuple[float, float]], list[Way]]) -> None:
    """No two boxes meet, no line goes through a box, and each way's label is there."""
    sizes, ways = graph
    placed = lay_out(sizes, ways)
    boxes = [*placed.boxes.values(), *placed.labels.values()]

    assert placed.boxes.keys() == sizes.keys()
    assert placed.labels.keys() == {number for number, way in enumerate(ways) if way.size}
    for a, b in combinations(boxes, 2):
        assert abs(a.x - b.x) >= (a.width + b.width) / 2 - 0.1 or a.y + a.height <= b.y or b.y + b.height <= a.y
    for box in boxes:
        left, right, top, foot = box.x - box.width / 2 + 1, box.x + box.width / 2 - 1, box.y + 1, box.y + box.height - 1
        for line in placed.lines:
            for (ax, ay), (bx, by) in pairwise(line.points):
                beside = max(ax, bx) <= left or min(ax, bx) >= right
                assert beside or max(ay, by) <= top or min(ay, by) >= foot, (box, line)


@settings(max_examples=40)
@given(graphs())
def test_every_way_can_be_followed(graph: tuple[dict[str, tuple[float, float]], list[Way]]) -> None:
    """From the source's foot to the target's head along drawn lines."""
    sizes, ways = graph
    placed = lay_out(sizes, ways)

    for way in ways:
        assert _reaches(placed, way.source, way.target), way


def _reaches(placed: Layout, source: str, target: str) -> bool:
    """Whether lines, and labels that they run through, lead from one box to the other."""
    a, b = placed.boxes[source], placed.boxes[target]
    seen: set[tuple[int, int]] = set()
    found = {(round(a.x), round(a.y + a.height))}
    joints = [
        ((round(box.x), round(box.y)), (round(box.x), round(box.y + box.height))) for box in placed.labels.values()
    ]
    ends = [
        ((round(p[0][0]), round(p[0][1])), (round(p[-1][0]), round(p[-1][1])))
        for p in (one.points for one in placed.lines)
    ]
    while found - seen:
        here = (found - seen).pop()
        seen.add(here)
        for one, other in (*joints, *ends):
            found |= {other} if one == here else {one} if other == here else set()
    return (round(b.x), round(b.y)) in seen
