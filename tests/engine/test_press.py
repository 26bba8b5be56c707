"""Letters that another process makes: the same bytes, and nobody waits in vain where it is gone."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nurture import clock
from nurture.channels.recording import RecordingChannel
from nurture.engine import machine
from nurture.engine import press as presses
from nurture.engine.delivery import Courier
from nurture.engine.parcels import Claimed, Made, Maker
from nurture.engine.press import Press
from nurture.mail.dkim import Signer
from nurture.records import Touch
from nurture.steps import Email
from tests.engine.world import PROGRAM, World, program, sequence

STEPS = "  - {id: hello, email: hello.j2}\n  - {id: rest, wait: 90 days}"
LETTER = (
    "<html><body>{% block subject %}Hi {{ lead.first_name }}{% endblock %}<p>{{ 100 // (lead.employees or 0) }} of "
    '{{ lead.company }}: <a href="https://acme.example/{{ lead.first_name }}">read</a></p><p>{{ address }} '
    '<a href="{{ unsubscribe_url }}">stop</a></p></body></html>'
)
FILES = {"program.yaml": PROGRAM + "guard: {canary: off, growth: off}\n", "news/hello.j2": LETTER}
#: Three batches and a bit; the letter of who has no employees cannot be made.
NAMES = {f"Lead {number}": number % 5 for number in range(10)}
#: Seconds until what ought to come is given up.
PATIENCE = 60
#: A step whose letters are made.
LETTERS = Email(id="hello", email="hello.j2")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two letters are many, three are a batch, and this machine has two cores."""
    monkeypatch.setattr(presses, "MANY", 2)
    monkeypatch.setattr(presses, "cores", lambda: 2)
    monkeypatch.setattr(machine, "Courier", partial(Courier, _most=3))


def started() -> Press:
    """One whose process is ready."""
    one, given_up = Press(1), clock.monotonic() + PATIENCE
    one.expect(presses.MANY, LETTERS)
    while not one.makes(LETTERS):
        assert clock.monotonic() < given_up
        time.sleep(0.01)
    return one


def sent_by(press: Press, url: str, signer: Signer | None) -> tuple[dict[str, bytes], Counter[str]]:
    """What leaves for whom in one tick, and how the touches ended."""
    world = World(url, program(FILES, news=sequence(STEPS)))
    world.machine.press, world.machine.signer = press, signer
    world.machine.email = way = RecordingChannel("email")
    for name, employees in NAMES.items():
        world.lead(name, first_name=name, company="Süd & Söhne", employees=employees)
    world.event_of(NAMES, "signed_up")
    world.machine.tick("news", world.now)
    states = Counter(row.state for row in world.rows(Touch))
    world.close()
    return {parcel.to: parcel.payload for parcel in way.parcels}, states


def hangs_up(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(PATIENCE) == 0


def stands_still(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGSTOP)


#: What happens to the process when it has been asked for the second batch, and how it has ended at last.
ENDS: dict[str, tuple[Callable[[subprocess.Popen[bytes]], None], int]] = {
    "its pipe is closed": (hangs_up, 0),
    "it says nothing": (stands_still, -signal.SIGKILL),
}


@pytest.mark.parametrize("case", ENDS)
def test_without_it_letters_are_made_here(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each leaves once, and the operator is told why it is slower."""
    monkeypatch.setattr(presses, "_PATIENCE", 0.5)
    press, begun, (happens, code) = started(), list[int](), ENDS[case]
    (hand,) = press._hands
    real = press.begin

    def begin(*told: Any) -> Any:
        begun.append(len(told[3]))
        made = real(*told)
        if len(begun) == 2:
            happens(hand._process)
        return made

    monkeypatch.setattr(press, "begin", begin)
    gone, states = sent_by(press, f"sqlite:///{tmp_path}/gone.db", None)
    press.close()

    assert (states, len(gone), begun[:2]) == ({"sent": 8, "failed": 2}, 8, [3, 3])
    assert "letters are made here" in caplog.text
    assert not press.makes(LETTERS)
    assert hand._process.returncode == code


def test_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside us or here, signed as well; what cannot be made fails, and the others go on."""
    signer = Signer("s1", None, Ed25519PrivateKey.generate())
    here, states = sent_by(Press(), f"sqlite:///{tmp_path}/here.db", signer)
    monkeypatch.setattr(Maker, "write", None)  # nothing is made here
    beside, also = sent_by(started(), f"sqlite:///{tmp_path}/beside.db", signer)

    assert states == also == {"sent": 8, "failed": 2}
    assert beside == here


def test_two_steps_at_once_get_their_own_letters(tmp_path: Path) -> None:
    """Prefect carries steps side by side: each thread's letters are those of its version, and of its rows."""
    other = FILES | {"tips/hello.j2": LETTER.replace("read", "try")}
    world = World(f"sqlite:///{tmp_path}/two.db", program(other, news=sequence(STEPS), tips=sequence(STEPS)))
    live, press = world.machine.live(), started()
    maker = Maker(live, world.machine.keys, world.machine.public_url)

    def row(touch: int) -> Any:
        known = {"touch": touch, "tracked": True, "email": f"{touch}@lead.example", "fields": {"employees": 5}}
        return Claimed(**(dict.fromkeys(Claimed._fields) | known))

    def letters(place: int) -> tuple[Made, Made]:
        segment, rows = live.segments[("news", "tips")[place % 2]], [row(place), row(place + 1_000)]
        return press.begin(maker, segment, LETTERS, rows, world.now)(), maker.write(segment, LETTERS, rows, world.now)

    with ThreadPoolExecutor(2) as threads:
        pairs = list(threads.map(letters, range(1, 21)))
    press.close()
    world.close()
    assert len({parcel.payload for made, _ in pairs for parcel in made.parcels.values()}) == 40
    assert all(made == here for made, here in pairs)


def test_it_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """A tick goes on without."""
    monkeypatch.setattr("sys.executable", "/no/such/python")
    press = Press(1)
    press.expect(presses.MANY, LETTERS)

    assert "letters are made here: a process for them cannot be started" in caplog.text
    assert sent_by(press, f"sqlite:///{tmp_path}/none.db", None)[1] == {"sent": 8, "failed": 2}


#: What NURTURE_LETTER_PROCESSES says, and the cores that there are, to the processes that are started.
SIZES = {(None, 1): 0, (None, 2): 0, (None, 3): 1, (None, 8): 1, (0, 8): 0, (1, 1): 0, (1, 2): 1, (4, 3): 2, (2, 8): 2}


@pytest.mark.parametrize(("said", "there"), SIZES)
def test_how_many_are_started(said: int | None, there: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, however often many are due."""
    begun: list[int] = []
    monkeypatch.setattr(presses, "cores", lambda: there)
    monkeypatch.setattr(presses, "_Hand", lambda: begun.append(1))
    press = Press(said)
    for letters in (presses.MANY - 1, presses.MANY, presses.MANY):
        press.expect(letters, LETTERS)

    assert len(begun) == SIZES[said, there]
