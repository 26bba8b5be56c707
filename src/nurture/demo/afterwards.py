"""After the demo, in a terminal: its pages stay open, on the clock on the wall, until Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, select
from sqlmodel import col

from nurture import clock as clocks
from nurture.channels.mailbox import Kept
from nurture.clock import SystemClock
from nurture.demo.house import DemoHouse
from nurture.demo.letters import opened
from nurture.demo.play import Play
from nurture.demo.screen import Screen
from nurture.engine.machine import Machine
from nurture.engine.notices import PAGE
from nurture.errors import NurtureError
from nurture.program.wording import in_language
from nurture.records import Handoff, Lead, Touch
from nurture.settings import Listen
from nurture.web.private import Surroundings
from nurture.web.server import PrivateServer

#: The port on which `nurture serve` has its private app too.
PORT = 8322
#: Seconds between two ticks.
_TICK = 5.0


def keep_open(screen: Screen, house: DemoHouse, machine: Machine, play: Play, prefect: str | None) -> None:
    """Say what can be opened, and carry the house on until Ctrl-C. `prefect`: where its API is."""
    with _private(house, machine, prefect) as private:
        screen.title("Open until Ctrl-C")
        with machine.db.read() as link:
            for what, url in _places(link, house, machine, private.url, prefect):
                screen.console.print(f"  {what:<34} ", end="", markup=False)
                screen.console.print(url, style="bold", markup=False, soft_wrap=True)
        screen.say(
            "\n  Send the form, and the salesperson's notice is named here within a second. Mail comes as files to"
        )
        screen.console.print(f"  {house.folder.resolve() / 'mail'}", markup=False, soft_wrap=True)
        try:
            _carry_on(screen, house, play)
        except KeyboardInterrupt:
            screen.say("\n  Closed. Nothing goes on in the background.")


def _private(house: DemoHouse, machine: Machine, prefect: str | None) -> PrivateServer:
    """The private app, at its own port if that is free."""
    known = Surroundings(
        environment={"PREFECT_API_URL": prefect or ""}, prefect=prefect.removesuffix("/api") if prefect else None
    )
    try:
        return PrivateServer(machine, Listen("127.0.0.1", PORT), known, house.metrics)
    except OSError:
        return PrivateServer(machine, Listen("127.0.0.1", 0), known, house.metrics)


def _places(
    link: Connection, house: DemoHouse, machine: Machine, private: str, prefect: str | None
) -> Iterator[tuple[str, str]]:  # fmt: skip
    """What there is to see, and its address: the newest of each kind, in English where there is one."""
    public, seal, forms = machine.public_url, machine.keys.seal, house.house.program.forms
    key = "demo" if "demo" in forms else next(iter(forms), None)
    if key is not None:
        yield f"a form: {in_language(forms[key].title, 'en') or key}", f"{public}/f/{key}"
    if (letter := _newest(link, "email")) is not None:
        yield "what a reader may choose", f"{public}/p/{seal('preferences', letter)}"
    if (offer := _newest(link, "offer")) is not None:
        yield "an offer that was sent", f"{public}/o/{seal('offer', offer)}"
    waiting = select(col(Handoff.id)).where(col(Handoff.state) == "open").order_by(col(Handoff.id).desc()).limit(1)
    if (handoff := link.execute(waiting).scalar()) is not None:
        yield "a hand-off that waits for sales", f"{public}/h/{seal('handoff', handoff, PAGE)}"
    yield "for the people of the house", f"{private}/"
    yield "metrics for Prometheus", f"{private}/metrics"
    if prefect is not None:
        yield "Prefect: flow runs, sequences", prefect.removesuffix("/api")


def _newest(link: Connection, kind: str) -> int | None:
    sent = (
        select(col(Touch.id))
        .join(Lead, col(Lead.id) == col(Touch.lead_id))
        .where(col(Touch.kind) == kind, col(Touch.state) == "sent")
        .order_by((col(Lead.language) == "en").desc(), col(Touch.id).desc())
        .limit(1)
    )
    return link.execute(sent).scalar()


def _carry_on(screen: Screen, house: DemoHouse, play: Play) -> None:
    """The clock follows the wall's; what falls due is done, and mail to the house is named as it comes."""
    wall, ticked, told = SystemClock(), float("-inf"), len(house.mail.messages)
    while True:
        house.clock.at = max(house.clock.at, wall.now())
        if clocks.monotonic() - ticked >= _TICK:
            ticked = clocks.monotonic()
            try:
                play.tick(house.clock.at)
            except NurtureError as problem:
                screen.say(f"  [red]{problem}[/]")
        fresh = house.mail.messages[told:]
        _tell(screen, play, f"{house.clock.at:%H:%M:%S}Z", fresh, told)
        told += len(fresh)
        clocks.pause(0.3)


def _tell(screen: Screen, play: Play, at: str, fresh: Sequence[Kept], before: int) -> None:
    """Notices one by one with their files, letters to leads by number. `before`: messages that came earlier."""
    others = 0
    for number, letter in enumerate(map(opened, fresh), before + 1):
        if play.sales.is_for(letter):
            line = f"  {at}  {number:05d}.eml  to {letter.to}: {letter.subject}"
            screen.console.print(line, markup=False, soft_wrap=True)
        else:
            others += 1
    if others:
        screen.say(f"  {at}  {others:,} {'letters' if others > 1 else 'letter'} to leads")
