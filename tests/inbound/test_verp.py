"""Addresses with a token: they fit, survive a change of case, and open for their purpose alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nurture.errors import SettingsError
from nurture.mail.verp import bounce_address, touch_of, unsubscribe_address
from nurture.settings import load_settings
from nurture.tokens import ADDRESS_TOKEN, keys

KEYS = keys("a secret of at least thirty-two characters")
LONGEST = "b" * (64 - 1 - ADDRESS_TOKEN) + "@in.acme.example"


@given(st.integers(0, 2**63 - 1))
def test_a_token_comes_back_in_any_case(touch: int) -> None:
    address = bounce_address(LONGEST, KEYS, touch)

    assert len(address.partition("@")[0]) == 64  # RFC 5321 section 4.5.3.1.1
    assert {touch_of(form, KEYS) for form in (address, address.upper(), f"<{address}>")} == {touch}
    assert touch_of(address, KEYS, "unsubscribe") is None
    assert touch_of(unsubscribe_address(LONGEST, KEYS, touch), KEYS) is None


@given(st.text())
def test_other_addresses_name_nothing(address: str) -> None:
    assert touch_of(address, KEYS) is None


def test_a_new_secret_opens_what_the_old_one_closed() -> None:
    address = bounce_address("b@in.acme.example", KEYS, 7)
    newer = keys("another secret of at least thirty-two characters", [KEYS.secrets[0]])

    assert touch_of(address, newer) == 7
    assert touch_of(address, keys("another secret of at least thirty-two characters")) is None


REFUSED = {
    "no address": ("NURTURE_BOUNCE_ADDRESS", "bounces", "is not an address"),
    "two": ("NURTURE_BOUNCE_ADDRESS", "a@b.example, c@d.example", "is not an address"),
    "a header": ("NURTURE_BOUNCE_ADDRESS", "a@b.example\r\nBcc: x@y.example", "is not an address"),
    "too long for a token": ("NURTURE_BOUNCE_ADDRESS", "b" + LONGEST, "at most 21"),
    "no mailbox": ("NURTURE_MAILBOX_URL", "https://a:sesame@mx.example/", "lacks a part"),
    "no password": ("NURTURE_MAILBOX_URL", "imaps://a@mx.example/", "lacks a part"),
    "a port that is none": ("NURTURE_MAILBOX_URL", "imaps://a:sesame@mx.example:x/", "cannot be read"),
    "in the open": ("NURTURE_MAILBOX_URL", "imap://a:sesame@mx.example/", "in the open"),
    "a folder with a quote": ("NURTURE_MAILBOX_URL", 'imaps://a:sesame@mx.example/x"y', "cannot be used"),
    "a line break": ("NURTURE_MAILBOX_URL", "imaps://a:sesame%0d%0a@mx.example/", "cannot be used"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_settings_that_cannot_be_used_say_why(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable, value, why = REFUSED[name]
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError) as said:
        load_settings().mailbox()

    assert variable in str(said.value)
    assert why in str(said.value)
    assert "sesame" not in str(said.value)


def test_a_mailbox_is_read_from_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NURTURE_MAILBOX_URL", "imaps://ana%40acme.example:p%3Aw%2F@mx.example/In%20box")
    monkeypatch.setenv("NURTURE_BOUNCE_ADDRESS", LONGEST)

    found = load_settings().mailbox()

    assert (found.host, found.port, found.tls) == ("mx.example", 993, True)
    assert (found.user, found.password, found.folder) == ("ana@acme.example", "p:w/", "In box")
    assert "p:w/" not in repr(found)
