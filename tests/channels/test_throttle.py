"""How fast: rates as they are written, buckets by the clock they are given, and a real relay that is not held up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from nurture.channels import smtp
from nurture.channels.base import NoJournal, Parcel
from nurture.channels.smtp import SmtpChannel, Timeouts
from nurture.channels.throttle import Throttle, rates
from nurture.errors import SettingsError
from nurture.opening import mail_channel
from nurture.settings import Settings
from tests.channels.relay import Relay

RATES = {
    "": {},
    " , ": {},
    "50/s": {"": 50},
    "50/s, gmail.com=10/s, outlook.com=600/min": {"": 50, "gmail.com": 10, "outlook.com": 10},
    "gmail.com = 36 / h": {"gmail.com": 0.01},
    "0.5/s": {"": 0.5},
    "GMAIL.com=1/S,mail.co.uk=2/s": {"gmail.com": 1, "mail.co.uk": 2},
}


@pytest.mark.parametrize(("text", "expected"), RATES.items(), ids=[text or "empty" for text in RATES])
def test_rates(text, expected):
    """Messages a second by domain."""
    assert rates(text) == expected


BAD_RATES = ["50", "50/day", "0/s", "-1/s", "gmail.com", "gmail.com=", "gmail=1/s", "=1/s", "1e3/s", "٥/s", "a b.c=1/s"]


@pytest.mark.parametrize("text", [*BAD_RATES, "1/s, 2/s", "gmail.com=1/s, GMAIL.COM=2/s", "5/s; gmail.com=1/s"])
def test_what_is_no_rate(text):
    """The variable, the part, and how it is written."""
    with pytest.raises(SettingsError, match="NURTURE_MAIL_RATE") as caught:
        mail_channel(Settings(mail_rate=text, smtp_url=SecretStr("smtp://127.0.0.1:9")))
    assert "write such as 50/s, gmail.com=10/s" in str(caught.value)


def test_a_bucket_fills_with_time():
    """A second's worth at once, then one for each part of a second; each domain for itself."""
    throttle = Throttle({"gmail.com": 2.0})
    taken = [throttle.take("gmail.com", at) for at in (0, 0, 0, 0.25, 0.5, 0.5, 100, 100, 100)]

    assert taken == pytest.approx([0, 0, 0.5, 0.25, 0, 0.5, 0, 0, 0.5], abs=1e-6)
    assert throttle.take("", 0) == 0
    assert throttle.bucket("ana@GMAIL.com") == "gmail.com"
    assert throttle.bucket("ana@mail.gmail.com") == throttle.bucket("ana@acme.example") == ""


def test_the_channel_s_own_rate_counts_all():
    """What a domain holds up uses nothing of the channel's."""
    throttle = Throttle({"": 2.0, "gmail.com": 1.0})

    assert throttle.take("gmail.com", 0) == 0
    assert throttle.take("gmail.com", 0) == pytest.approx(1)
    assert throttle.take("", 0) == 0
    assert throttle.take("", 0) == pytest.approx(0.5)
    assert throttle.take("gmail.com", 0.6) == pytest.approx(0.4)


@given(st.floats(0.01, 500), st.lists(st.floats(0, 2), min_size=1, max_size=300), st.sampled_from(["", "gmail.com"]))
def test_no_window_holds_more(rate, pauses, bucket):
    """In any span of t seconds at most rate × t + a second's worth go."""
    throttle, at, went = Throttle({bucket: rate}), 0.0, []
    for pause in pauses:
        at += pause
        if not throttle.take(bucket, at):
            went.append(at)

    for first in range(len(went)):
        for last in range(first, len(went), 7):
            assert last - first + 1 <= rate * (went[last] - went[first]) + max(1.0, rate) + 0.001


def parcel(touch: int, to: str) -> Parcel:
    return Parcel(touch, f"t-{touch}", "b@us.example", to, b"Subject: x\r\n\r\nbody\r\n")


@pytest.fixture
def relay() -> Iterator[Relay]:
    with Relay() as running:
        yield running


def channel(relay: Relay, text: str, connections: int = 1) -> SmtpChannel:
    return SmtpChannel(relay.url, connections=connections, timeouts=Timeouts(2, 2, 2), throttle=Throttle(rates(text)))


BATCH = [parcel(n, f"lead{n}@gmail.com") for n in range(6)] + [parcel(n, f"lead{n}@acme.example") for n in range(6, 12)]


@pytest.mark.parametrize("connections", [1, 4], ids=["one line", "four lines"])
def test_a_slow_domain_holds_up_no_other(relay, monkeypatch, connections):
    """The others' messages all go; what would wait too long is not started, and says why; nothing is journaled."""
    monkeypatch.setattr(smtp, "PATIENCE", 0.3)

    class Notes(NoJournal):
        def started(self, touch_id: int) -> None:
            begun.append(touch_id)

    begun: list[int] = []
    email = channel(relay, "gmail.com=2/min", connections)
    receipts = email.deliver(BATCH, Notes(), lambda *_: False)
    email.close()

    assert [r.verdict for r in receipts] == ["accepted"] + ["not_started"] * 5 + ["accepted"] * 6
    assert {r.detail for r in receipts[1:6]} == {"held up by NURTURE_MAIL_RATE"}
    assert email.down is None
    assert sorted(begun) == [0, *range(6, 12)]
    assert len([line for line in relay.said if line.startswith("MAIL")]) == 7


def test_all_go_when_the_wait_is_short(relay):
    """Ten a second in all: whoever waits goes, once each."""
    email = channel(relay, "10/s, gmail.com=20/s", 4)
    receipts = email.deliver(BATCH, NoJournal(), lambda *_: False)
    email.close()

    assert {r.verdict for r in receipts} == {"accepted"}
    assert sorted(e.rcpt_tos[0] for e in relay.taken) == sorted(p.to for p in BATCH)


def test_the_rest_goes_with_the_next_batch(relay, monkeypatch):
    """The buckets live as long as the channel."""
    monkeypatch.setattr(smtp, "PATIENCE", 0.0)
    email = channel(relay, "gmail.com=1/h")
    first = email.deliver(BATCH[:2], NoJournal(), lambda *_: False)
    second = email.deliver(BATCH[1:2] + BATCH[6:7], NoJournal(), lambda *_: False)
    email.close()

    assert [r.verdict for r in first] == ["accepted", "not_started"]
    assert [r.verdict for r in second] == ["not_started", "accepted"]


def test_stop_ends_a_wait(relay):
    """Who waits for the throttle looks often: the batch ends long before a message may go."""
    looks: list[int] = []

    def stop(*_: object) -> bool:
        looks.append(1)
        return len(looks) > 4

    email = channel(relay, "gmail.com=0.2/s")
    receipts = email.deliver(BATCH[:6], NoJournal(), stop)
    email.close()

    assert [r.verdict for r in receipts] == ["accepted"] + ["not_started"] * 5
    assert receipts[1].detail == "not begun"
    assert len(relay.taken) == 1


def test_the_setting_reaches_the_channel(relay, monkeypatch):
    """As every door opens it."""
    monkeypatch.setattr(smtp, "PATIENCE", 0.0)
    email = mail_channel(Settings(mail_rate="gmail.com=1/h", smtp_url=SecretStr(relay.url)))
    receipts = email.deliver(BATCH[:2], NoJournal(), lambda *_: False)
    email.close()

    assert sorted(r.verdict for r in receipts) == ["accepted", "not_started"]
