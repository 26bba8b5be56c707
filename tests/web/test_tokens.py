"""Tokens at the doors: a flipped bit, another purpose or a guess is nothing here, and tells nothing."""

from __future__ import annotations

import base64
from typing import get_args

import pytest

from nurture import tokens
from nurture.engine.machine import Machine
from nurture.tokens import Purpose
from tests.web.factories import FORM, PAGE, Visitor, everything, touch_of

DOORS: dict[str, tuple[Purpose, list[str]]] = {
    "/c": ("click", ["GET", "HEAD"]),
    "/o": ("offer", ["GET", "HEAD"]),
    "/u": ("unsubscribe", ["GET", "HEAD", "POST"]),
    "/h": ("handoff", ["GET", "HEAD", "POST"]),
    "/p": ("preferences", ["GET", "HEAD", "POST"]),
    "/q": ("question", ["GET", "HEAD", "POST"]),
    "/y": ("confirm", ["GET", "HEAD", "POST"]),
}


@pytest.mark.parametrize("machine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("door", DOORS)
def test_what_is_not_a_token_of_this_door_is_404(machine: Machine, visit: Visitor, door: str) -> None:
    """Flipped bits, each other purpose, another house's, a row that is gone, rubbish: one 404, and nothing changes."""
    purpose, methods = DOORS[door]
    row = touch_of(machine, "rae@acme.example").id
    good = machine.keys.seal(purpose, row)
    raw = base64.urlsafe_b64decode(good + "=")
    flipped = [
        bytes(byte ^ (1 << bit if place == at else 0) for place, byte in enumerate(raw))
        for at in range(0, len(raw), 5)
        for bit in (0, 7)
    ]
    wrong = [base64.urlsafe_b64encode(bits).rstrip(b"=").decode() for bits in flipped]
    wrong += [machine.keys.seal(other, row) for other in get_args(Purpose) if other != purpose]
    wrong += [
        good[:-1],
        good + "A",
        good.swapcase(),
        "x",
        "%00",
        "..%2f",
        "1",
        machine.keys.seal(purpose, 2**40),
        tokens.keys("the secret of another installation, as long").seal(purpose, row),
    ]
    before = everything(machine)

    answers = [(method, visit(method, f"{door}/{token}", headers=FORM)) for token in wrong for method in methods]

    assert {answer.status_code for _, answer in answers} == {404}
    assert len({(method, answer.text, str(answer.headers)) for method, answer in answers}) == len(methods)
    assert everything(machine) == before


def test_a_link_number_that_the_letter_does_not_have_is_404(machine: Machine, visit: Visitor) -> None:
    """Also the two numbers that are not a static link's."""
    row = touch_of(machine, "rae@acme.example").id

    for place in (2, 7, 0xFFFE, 0xFFFF):
        assert visit.get(f"/c/{machine.keys.seal('click', row, place)}").status_code == 404
        assert visit.get(f"/c/{machine.keys.click(row, place)}").status_code == 404


def test_a_broken_token_on_a_form_is_as_good_as_none(machine: Machine, visit: Visitor) -> None:
    """The form still opens, and knows nobody."""
    page = visit.get(f"/f/demo?t={machine.keys.seal('offer', 1)}", headers=PAGE)

    assert page.status_code == 200
    assert "acme.example" not in page.text
