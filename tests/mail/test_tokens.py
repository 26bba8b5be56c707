"""Tokens that are out in the world already, and who may make them at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from nurture import tokens

KEYS = tokens.keys("a secret of at least thirty-two characters")
#: As the first release made them.
MADE = {
    "a link's": (KEYS.seal("click", 7, 3), "zMpf2rwACanGmrWrf-_U1VGVQ3WTAXtfgKM"),
    "of the greatest row": (KEYS.seal("unsubscribe", 2**63 - 1), "hU3giujKx9nhMSp5kjxgPLEFh3HJZXd_hy4"),
    "an address's": (KEYS.seal_for_address("bounce", 7), "ugsocnswfubtwspbfnab7z7hln3s6jtgpnk6jggh2u"),
    "a message's name": (KEYS.message_id(7, "acme.example"), "<t.yq3l55w3ttwvupr4sk77yhhs5pzkfzn2@acme.example>"),
    "a notice's": (KEYS.message_id(7, "acme.example", "n"), "<n.fnfjb4luo7ow5yp4nau5nfcgfvzfxu2u@acme.example>"),
}


def test_tokens_stay_as_they_were() -> None:
    """A link in a letter of years ago still opens, and a second try at a touch has the Message-ID of the first."""
    assert {name: made for name, (made, _) in MADE.items()} == {name: known for name, (_, known) in MADE.items()}
    assert KEYS.open("click", MADE["a link's"][1]) == (7, 3)
    assert KEYS.open_from_address("bounce", MADE["an address's"][1]) == 7


def test_threads_share_a_key() -> None:
    """What eight threads make and open at the same time is what one makes."""
    rows = range(400)

    def made(row: int) -> tuple[str, str, tuple[int, int]]:
        token = KEYS.seal("open", row, row % 9)
        return token, KEYS.message_id(row, "acme.example"), KEYS.open("open", token)

    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(made, rows))

    assert together == [made(row) for row in rows]
    assert [opened for *_, opened in together] == [(row, row % 9) for row in rows]


CLICK = KEYS.click(7, 3)
HEAD = CLICK.partition(".")[0]
NOT_OURS = {
    "a place that is sealed in ours": f"{HEAD}.65280",
    "a place with a zero before it": f"{HEAD}.03",
    "a place in other digits": f"{HEAD}.٣",
    "no place": f"{HEAD}.",
    "two places": f"{CLICK}.3",
    "a place behind one that is sealed": f"{KEYS.seal('click', 7, 0xFFFF)}.3",
    "a head of another purpose": f"{KEYS.seal('open', 7)}.3",
}


def test_a_letters_links_share_what_is_sealed() -> None:
    """What means more than a link is sealed with its place."""
    assert (HEAD, KEYS.open("click", CLICK)) == (KEYS.seal("click", 7), (7, 3))
    assert KEYS.open("click", KEYS.click(7, 0xFFFF)) == (7, 0xFFFF)
    assert "." not in KEYS.click(7, 0xFFFF)


@pytest.mark.parametrize("name", NOT_OURS)
def test_a_changed_place_that_is_refused(name: str) -> None:
    """Nobody makes a form's token of a link's, or two tokens of one link."""
    with pytest.raises(tokens.BadToken):
        KEYS.open("click", NOT_OURS[name])


def test_only_clicks_carry_a_place_in_the_open() -> None:
    """An answer's place stays sealed."""
    with pytest.raises(tokens.BadToken):
        KEYS.open("question", f"{KEYS.seal('question', 7)}.3")
