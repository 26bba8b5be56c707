"""A house with a CRM beside it: a world of the engine, a vendor's server, and rounds between them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from nurture.crm import sync
from nurture.crm.secrets import CrmSecrets
from nurture.crm.sync import Round
from nurture.records import CrmLink, CrmState, HandoffAnswer
from tests.crm.peer import Peer
from tests.engine.world import MONDAY, PROGRAM, World, program, sequence

LIFECYCLE = """
milestones:
  demo: {when: {did: demo}, handoff: true}
"""
CALM = sequence("  - {id: rest, wait: 90 days}\n  - {id: over, exit: done}", leave="{stage: [sal, disqualified]}")
BATCH = timedelta(minutes=1)
OAUTH = {"client_id": "id", "client_secret": "secret"}


def files(crm: str, url: str, **more: str) -> dict[str, str]:
    """A program with `crm:`; `more`: other files instead of its own."""
    written = f"{PROGRAM}\ncrm:\n  url: {url}\n{crm}"
    return program({"program.yaml": written, "lifecycle.yaml": LIFECYCLE} | more, drip=CALM)


class Office:
    """`world` and `peer`; `round` is what the end of a tick does, a minute after the one before.

    `crm`: what program.yaml says of it; None: the database holds what is published.
    """

    def __init__(self, url: str, peer: Peer, crm: str | None, **secrets: str) -> None:
        self.peer = peer
        self.world = World(url, files(crm, peer.url) if crm is not None else None, MONDAY)
        self.secrets = CrmSecrets(**secrets)  # type: ignore[arg-type]

    def round(self) -> Round:
        """Settle, then hear and tell."""
        self.world.at(self.world.now + BATCH).machine.settle(self.world.now)
        done = sync.tick(self.world.machine, lambda: self.secrets)
        assert done is not None
        return done

    def sold(self, *names: str) -> None:
        """Leads that asked for a demo: sales has their hand-offs."""
        for name in names:
            self.world.lead(name, first_name="Ana", last_name="Pop", company="Acme", email=self.address(name))
        self.world.event_of(names, "demo")
        self.world.machine.settle(self.world.now)

    def renamed(self, name: str) -> None:
        """A lead whose company is called otherwise."""
        self.world.lead(name, email=self.address(name), company="Acme Group")

    def address(self, name: str) -> str:
        """Of a lead, by its name here."""
        return f"{name.replace(' ', '-').replace(',', '')}@one.example"

    def link(self, name: str) -> Any:
        """What is kept of a lead in the CRM."""
        (found,) = [row for row in self.world.rows(CrmLink) if row.lead_id == self.world.ids[name]]
        return found

    def state(self, name: str) -> Any:
        """How far telling or hearing is."""
        (found,) = [row for row in self.world.rows(CrmState) if row.name == name]
        return found

    def answers(self, name: str) -> list[tuple[str, str | None, float | None, str]]:
        """What sales said of a lead: (answer, reason, value, source)."""
        rows = [row for row in self.world.rows(HandoffAnswer) if row.lead_id == self.world.ids[name]]
        return [(row.answer, row.reason, row.value, row.source) for row in rows]

    def told(self, part: str) -> int:
        """How often a path was called."""
        return len(self.peer.asked(part))
