"""Promise P4 at the door itself: no message begins after the 200 of an unsubscription, by a socket, while letters go out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
from sqlalchemy import select
from sqlmodel import col

from nurture.engine.machine import Machine
from nurture.records import Lead, Touch
from nurture.web.server import PublicServer
from tests.web.factories import later, make_lead, opened, send

LEADS, CLIENTS = 16, 4
BEGUN = ("sending", "sent")
ONE_CLICK = {"content-type": "application/x-www-form-urlencoded"}


def states(machine: Machine, step: str) -> dict[str, tuple[int, str]]:
    """By address, the touch of `step` and its state."""
    query = select(col(Lead.email), col(Touch.id), col(Touch.state)).join(Touch, col(Touch.lead_id) == col(Lead.id))
    with machine.db.read() as link:
        rows = link.execute(query.where(col(Touch.step) == step)).all()
    return {email or "": (touch or 0, state) for email, touch, state in rows}


def test_a_goodbye_that_was_answered_is_the_last_word(database_url: str) -> None:
    """Each link is posted by two clients at once, as a provider that repeats itself does; half of a cohort goes."""
    with opened(database_url) as machine, PublicServer(machine) as server:
        names = [f"lead{number}@acme.example" for number in range(LEADS)]
        for name in names:
            make_lead(machine, name)
        send(machine)
        touches = states(machine, "hello")
        ways = {name: f"{server.url}/u/{machine.keys.seal('unsubscribe', touches[name][0])}" for name in names}
        later(machine, days=9)

        def leave(name: str) -> tuple[str, str]:
            answer = httpx.post(ways[name], headers=ONE_CLICK, content=b"List-Unsubscribe=One-Click", timeout=30)
            assert answer.status_code == 200
            return name, states(machine, "more").get(name, (0, ""))[1]

        first = leave(names[0])
        with ThreadPoolExecutor(CLIENTS + 1) as hands:
            sending = hands.submit(machine.tick, "readers", machine.now())
            leaving = [hands.submit(leave, name) for name in names[: LEADS // 2] for _ in range(2)]
            answers = [one.result(60) for one in leaving]
            sending.result(60)
        for _ in range(2):
            machine.tick("readers", machine.now())
            later(machine, days=20)

        gone = {name for name, state in [first, *answers] if state not in BEGUN}
        begun = {name for name, (_, state) in states(machine, "more").items() if state in BEGUN}
        assert names[0] in gone
        assert gone & begun == set()
        assert set(names[LEADS // 2 :]) <= begun  # who stayed was written to
