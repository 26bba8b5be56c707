"""How many segments a text message takes (3GPP TS 23.038 and 23.040)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nurture.mail.segments import length

#: Texts, and the alphabet, units and segments.
TEXTS = {
    "nothing": ("", ("GSM-7", 0, 1)),
    "a full one": ("a" * 160, ("GSM-7", 160, 1)),
    "one too many": ("a" * 161, ("GSM-7", 161, 2)),
    "two full ones": ("a" * 306, ("GSM-7", 306, 2)),
    "three": ("a" * 307, ("GSM-7", 307, 3)),
    "a euro takes two places": ("a" * 159 + "€", ("GSM-7", 161, 2)),
    "brackets that fit": ("[]" * 40, ("GSM-7", 160, 1)),
    "an escape is not cut in two": ("a" * 152 + "€" + "a" * 152, ("GSM-7", 306, 3)),
    "accents of the alphabet": ("àèéìòùñÄÖÜßÅæøÇ§¿¡ΔΩ", ("GSM-7", 20, 1)),
    "an accent that is not in it": ("Ștefan", ("UCS-2", 6, 1)),
    "a c with a cedilla is not in it, a capital one is": ("ç", ("UCS-2", 1, 1)),
    "a typographer's quote costs": ("“" + "a" * 70, ("UCS-2", 71, 2)),
    "a full one of UCS-2": ("م" * 70, ("UCS-2", 70, 1)),
    "three of UCS-2": ("م" * 135, ("UCS-2", 135, 3)),
    "an emoji takes two, and is not cut": ("م" * 66 + "😀" + "م" * 66, ("UCS-2", 134, 3)),
}


@pytest.mark.parametrize("case", TEXTS)
def test_how_long_a_text_is(case: str) -> None:
    text, expected = TEXTS[case]
    found = length(text)

    assert (found.alphabet, found.units, found.segments) == expected


@given(st.text(max_size=500), st.text(max_size=200))
def test_more_text_is_never_fewer_segments(text: str, more: str) -> None:
    """Units add up within one alphabet, segments never shrink, and what is cut fills each segment but the last."""
    short, long = length(text), length(text + more)

    assert long.segments >= short.segments
    part, whole = (153, 160) if long.alphabet == "GSM-7" else (67, 70)
    assert (long.segments == 1) == (long.units <= whole)
    if long.segments > 1:
        assert (long.segments - 1) * (part - 1) < long.units <= long.segments * part
