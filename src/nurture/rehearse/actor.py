"""What a check says happens, done through the same doors that people use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlmodel import col

from nurture.engine import control, doors
from nurture.errors import NurtureError
from nurture.folding import canonical_email
from nurture.intake import write
from nurture.intake.values import zone as zone_of
from nurture.language.source import Misread
from nurture.program.checks import Check, Event, Rejected
from nurture.program.load import House
from nurture.records import Handoff, Touch
from nurture.rehearse.stage import Stage


@dataclass
class Actor:
    """Plays one check on a stage; `troubles` are events that could not happen, by their place in the file."""

    check: Check
    stage: Stage
    slug: str
    files: Mapping[str, str]
    folder: str
    leads: dict[str, int] = field(default_factory=dict)
    troubles: list[tuple[int, str]] = field(default_factory=list)

    def enter(self) -> None:
        """Import the check's leads; consent for mail and tracking unless it says otherwise."""
        house = self.stage.machine.live().house
        now = self.stage.clock.now()
        complaints = []
        for index, written in enumerate(self.check.leads):
            try:
                key, number = self._put(dict(written), house, now)
                self.leads[key] = number
            except (NurtureError, ValueError) as problem:
                complaints.append((("leads", index), str(problem), "mend this lead"))
        if complaints:
            raise Misread(complaints)

    def _put(self, written: dict[str, Any], house: House, now: datetime) -> tuple[str, int]:
        email = canonical_email(str(written.pop("email"))) if written.get("email") else None
        key = email or str(written.pop("id", ""))
        if not key:
            raise ValueError("a lead needs an email, or an id")
        consent, tracking = written.pop("consent", "contract"), written.pop("tracking", True)
        tags = written.pop("tags", [])
        unknown = [name for name in written if name not in house.fields and name not in ("stage", "status")]
        if unknown:
            raise ValueError(f"'{unknown[0]}' is not a field; declare it in program.yaml")
        values = {name: value for name, value in written.items() if value is not None}
        if "timezone" in values:
            values["zone"] = zone_of(str(values["timezone"]))
        if email:
            values["email"] = email
        number = self.stage.machine.db.transact(
            lambda link: write.put_lead(
                link,
                values,
                now=now,
                source="check",
                source_id=None if email else key,
                tags=[tags] if isinstance(tags, str) else tags,
                consent=None if consent in ("none", None) else str(consent),
                tracking=None if not tracking or consent in ("none", None) else "consent",
            )[0]
        )
        return key, number

    def stops(self) -> dict[datetime, Callable[[], None]]:
        """What happens, by instant."""
        at: dict[datetime, list[tuple[int, Event]]] = {}
        for index, event in enumerate(self.check.events):
            at.setdefault(self.check.when(event.at), []).append((index, event))
        return {instant: self._play(events) for instant, events in at.items()}

    def _play(self, events: list[tuple[int, Event]]) -> Callable[[], None]:
        def play() -> None:
            for index, event in events:
                try:
                    self._do(index, event)
                except (NurtureError, ValueError) as problem:
                    self.troubles.append((index, str(problem)))
                except KeyError as missing:
                    self.troubles.append((index, f"there is no '{missing.args[0]}'"))

        return play

    def _do(self, index: int, event: Event) -> None:
        machine, now = self.stage.machine, self.stage.clock.now()
        live = machine.live()
        lead = self._lead(event.lead) if event.lead is not None else 0

        def touch(step: str) -> int:
            return self._touch(lead, step)

        if event.event is not None:
            name, data = event.event, event.data
            machine.db.transact(
                lambda link: doors.add_event(link, lead, name, now, source="check", key=f"event {index}", data=data)
            )
        elif event.clicks is not None:
            sent, machine_made = touch(event.clicks), "the check says so" if event.by == "machine" else None
            machine.db.transact(
                lambda link: doors.click(link, sent, 0, now, machine=machine_made, rest=machine.click_rest)
            )
        elif event.replies is not None:
            sent, automatic = touch(event.replies), event.by == "machine"
            machine.db.transact(lambda link: doors.reply(link, live, sent, now, automatic=automatic))
        elif event.unsubscribes:
            machine.db.transact(lambda link: doors.unsubscribe_lead(link, live, lead, now, source="check"))
        elif event.set is not None:
            self._set(str(event.lead), event.set, live.house, now)
        elif event.publish is not None:
            self._publish(event.publish)
        elif event.pause is not None or event.resume is not None:
            self._control(event, now)
        elif event.handoff is not None:
            self._answer(lead, event.handoff, now)

    def _lead(self, who: str) -> int:
        key = canonical_email(who) if "@" in who else who
        if key not in self.leads:
            raise ValueError(f"'{who}' is not among the leads of this check")
        return self.leads[key]

    def _touch(self, lead: int, step: str) -> int:
        slug, _, name = step.rpartition("/")
        query = select(col(Touch.id), col(Touch.tracked)).where(
            col(Touch.lead_id) == lead, col(Touch.sequence) == (slug or self.slug), col(Touch.step) == name,
            col(Touch.state) == "sent",
        )  # fmt: skip
        with self.stage.machine.db.read() as link:
            row = link.execute(query.order_by(col(Touch.id).desc())).first()
        if row is None:
            raise ValueError(f"'{step}' was not sent to this lead by then")
        return int(row.id)

    def _set(self, who: str, changes: Mapping[str, Any], house: House, now: datetime) -> None:
        key = canonical_email(who) if "@" in who else who
        unknown = [name for name in changes if name not in house.fields]
        if unknown:
            raise ValueError(f"'{unknown[0]}' is not a field; declare it in program.yaml")
        values = dict(changes)
        if "@" in key:
            values["email"] = key
        self.stage.machine.db.transact(
            lambda link: write.put_lead(link, values, now=now, source="check", source_id=None if "@" in key else key)
        )

    def _publish(self, name: str) -> None:
        path = f"{self.folder}/{name}"
        if path not in self.files:
            raise ValueError(f"{path} does not exist; it lies beside the check")
        self.stage.publish({**self.files, f"{self.slug}/sequence.yaml": self.files[path]})

    def _control(self, event: Event, now: datetime) -> None:
        who = str(event.pause or event.resume)
        scope = "all" if who == "all" else f"lead:{self._lead(who)}" if "@" in who else f"segment:{who}"
        db = self.stage.machine.db
        if event.pause is not None:
            db.transact(lambda link: control.pause(link, scope, "check", now))
        elif not db.transact(lambda link: control.resume(link, scope, "check", now)):
            raise ValueError(f"'{who}' was not paused")

    def _answer(self, lead: int, answer: str | Rejected, now: datetime) -> None:
        machine = self.stage.machine
        live = machine.live()
        with machine.db.read() as link:
            theirs = (col(Handoff.lead_id) == lead) & (col(Handoff.state) == "open")
            row = link.execute(select(col(Handoff.id), col(Handoff.owner)).where(theirs)).first()
        if row is None:
            raise ValueError("there is no open hand-off of this lead by then")
        reason = answer.rejected if isinstance(answer, Rejected) else None
        verdict = "rejected" if reason else "accepted"
        machine.db.transact(
            lambda link: doors.answer_handoff(link, live, int(row.id or 0), verdict, reason, row.owner, now)
        )
