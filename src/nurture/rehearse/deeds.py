"""What can happen in a check, one function for each kind of event, done through the same doors that people use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, select
from sqlmodel import col

from nurture.dialects import upsert
from nurture.engine import answers, byhand, control, doors, questions, stages, statuses
from nurture.engine.live import Live
from nurture.engine.machine import Machine
from nurture.engine.preferences import Wish, choose
from nurture.engine.running import Run
from nurture.folding import fold
from nurture.inbound.taking import take
from nurture.intake import write
from nurture.intake.values import zone as zone_of
from nurture.program.checks import Answered, Event, TagChange
from nurture.program.questions import Answer
from nurture.program.topics import Prefers
from nurture.records import Handoff, Lead, LeadTag, Suppression, Task, Touch
from nurture.rehearse import returned
from nurture.rehearse.relay import Relay
from nurture.rehearse.stage import Stage

#: Who does by hand what a check does.
BY = "check"


@dataclass(frozen=True)
class Scene:
    """One event about to happen. `happened`: when, if we hear of it only `now`; `who`: a lead's number by its name.

    `when`: a moment of the check as an instant.
    """

    stage: Stage
    slug: str
    live: Live
    now: datetime
    happened: datetime
    index: int
    event: Event
    lead: int
    who: Callable[[str], int]
    when: Callable[[datetime | timedelta], datetime]

    @property
    def machine(self) -> Machine:
        return self.stage.machine

    def write(self, work: Callable[[Connection], Any]) -> Any:
        """In one transaction, as a door does it."""
        return self.machine.db.transact(work)

    def touch(self, step: str | None) -> Any:
        """The last message of `step` that the lead has had. Raises ValueError."""
        slug, _, name = str(step).rpartition("/")
        query = select(col(Touch.id), col(Touch.message_id)).where(
            col(Touch.lead_id) == self.lead, col(Touch.sequence) == (slug or self.slug), col(Touch.step) == name,
            col(Touch.state).in_(("sent", "uncertain")),
        )  # fmt: skip
        with self.machine.db.read() as link:
            row = link.execute(query.order_by(col(Touch.id).desc())).first()
        if row is None:
            raise ValueError(f"'{step}' was not sent to this lead by then")
        return row


def _event(scene: Scene) -> None:
    event, name = scene.event, str(scene.event.event)
    data, key = event.data, f"event {scene.index}"
    if event.recorded is None:
        scene.write(lambda link: doors.add_event(link, scene.lead, name, scene.now, source=BY, key=key, data=data))
        return
    at, now = scene.happened, scene.now
    scene.write(lambda link: write.put_event(link, scene.lead, name, at, now, now, data, BY, key))


def _opens(scene: Scene) -> None:
    touch, machine_made = scene.touch(scene.event.opens).id, scene.event.by == "machine"
    actor, why = ("machine", "the check says so") if machine_made else ("person", None)
    key = f"open {scene.index}"

    def work(link: Connection) -> None:
        doors.add_event(
            link, scene.lead, "email_opened", scene.now, source=BY, key=key, touch=touch, actor=actor, classed_by=why
        )

    scene.write(work)


def _clicks(scene: Scene) -> None:
    touch = scene.touch(scene.event.clicks).id
    why, rest = "the check says so" if scene.event.by == "machine" else None, scene.machine.click_rest
    scene.write(lambda link: doors.click(link, touch, 0, scene.now, machine=why, rest=rest))


def _replies(scene: Scene) -> None:
    touch, automatic = scene.touch(scene.event.replies).id, scene.event.by == "machine"
    scene.write(lambda link: doors.reply(link, scene.live, touch, scene.now, automatic=automatic))


def _answers(scene: Scene) -> None:
    data, touch = scene.event.data, scene.touch(scene.event.answers).id
    said = Answer(str(data["question"]), str(data["answer"]))
    scene.write(lambda link: questions.given(link, scene.live, touch, said, scene.now))


def _unsubscribes(scene: Scene) -> None:
    scene.write(lambda link: doors.unsubscribe_lead(link, scene.live, scene.lead, scene.now, source=BY))


def _bounces(scene: Scene) -> None:
    message = scene.touch(scene.event.bounces).message_id
    take(scene.machine, returned.bounce(message, scene.event.severity, scene.index))


def _complains(scene: Scene) -> None:
    take(scene.machine, returned.complaint(scene.touch(scene.event.complains).message_id, scene.index))


def _set(scene: Scene) -> None:
    values = scene.event.set or {}
    unknown = [name for name in values if name not in scene.live.house.fields]
    if unknown:
        raise ValueError(f"'{unknown[0]}' is not a field; declare it in program.yaml")
    _import(scene, {**values, **zoned(values)})


def zoned(values: Mapping[str, Any]) -> dict[str, str]:
    """The zone that a lead's `timezone` names, if it names one; else the program's counts, as after an import."""
    try:
        return {"zone": zone_of(str(values["timezone"]))} if "timezone" in values else {}
    except ValueError:
        return {}


def _import(scene: Scene, values: dict[str, Any], **more: Any) -> None:
    """As a file brings it of a lead that is known."""
    with scene.machine.db.read() as link:
        known = select(col(Lead.email), col(Lead.source_id)).where(col(Lead.id) == scene.lead)
        email, source_id = link.execute(known).one()
    named = {"email": email, **values} if email else values
    own = None if email else source_id
    scene.write(lambda link: write.put_lead(link, named, now=scene.now, source=BY, source_id=own, **more))


def _consent(scene: Scene) -> None:
    said = "no" if scene.event.consent == "withdrawn" else str(scene.event.consent)
    _import(scene, {}, consent=said)


def _prefers(scene: Scene) -> None:
    said = scene.event.prefers or Prefers(topics={})
    until = None if said.pause_until is None else scene.when(said.pause_until)
    wish = Wish(said.topics, said.every, until, said.language)
    scene.write(lambda link: choose(link, scene.live, scene.lead, wish, scene.now))


def _tags(scene: Scene) -> None:
    change = scene.event.tags or TagChange()
    added, removed = ([words] if isinstance(words, str) else words for words in (change.add, change.remove))
    if added:
        _import(scene, {}, tags=added)
    if removed:
        gone = (col(LeadTag.lead_id) == scene.lead) & col(LeadTag.tag).in_([fold(tag) for tag in removed])
        _by_hand(scene, lambda link: link.execute(delete(LeadTag).where(gone)))


def _by_hand(scene: Scene, work: Callable[[Connection], Any]) -> None:
    """A change that no import brings, and what follows from it, in one transaction."""

    def whole(link: Connection) -> None:
        doors.lock_lead(link, scene.lead, scene.now)
        work(link)
        doors.settle_one(link, scene.live, scene.lead, scene.now)

    scene.write(whole)


def _stage(scene: Scene) -> None:
    def move(link: Connection) -> None:
        run = Run(link, scene.live, scene.now)
        stages.move_lead(run, scene.lead, str(scene.event.stage), cause="by hand", author=BY)

    _by_hand(scene, move)


def _list(scene: Scene) -> None:
    _import(scene, {}, lists=[str(scene.event.list)])


def _status(scene: Scene) -> None:
    def change(link: Connection) -> None:
        run = Run(link, scene.live, scene.now)
        statuses.change(run, scene.lead, str(scene.event.status), cause="by hand", author=BY)

    _by_hand(scene, change)


def _suppress(scene: Scene) -> None:
    kind = str(scene.event.suppress)
    with scene.machine.db.read() as link:
        email = link.execute(select(col(Lead.email)).where(col(Lead.id) == scene.lead)).scalar()
    if email is None and kind != "lead":
        raise ValueError("this lead has no address; write suppress: lead")
    value = {"address": email, "domain": str(email).rpartition("@")[2], "lead": str(scene.lead)}[kind]
    row = {"kind": kind, "value": value, "reason": "by hand", "source": BY, "at": scene.now}
    _by_hand(scene, lambda link: link.execute(upsert(link)(Suppression).values(**row).on_conflict_do_nothing()))


def _enrol(scene: Scene) -> None:
    segment = scene.live.segment(str(scene.event.enrol))

    def enter(link: Connection) -> None:
        refused = byhand.enrol(Run(link, scene.live, scene.now), segment, scene.lead, BY)
        if refused is not None:
            scene.stage.refusals.add((scene.now, scene.lead, segment.slug, refused))

    scene.write(enter)


def _unenrol(scene: Scene) -> None:
    slug = str(scene.event.unenrol)
    scene.write(lambda link: byhand.unenrol(Run(link, scene.live, scene.now), slug, scene.lead, BY))


def _handoff(scene: Scene) -> None:
    said = scene.event.handoff
    with scene.machine.db.read() as link:
        latest = select(func.max(col(Handoff.id))).where(col(Handoff.lead_id) == scene.lead)
        number = link.execute(latest).scalar()
    if number is None:
        raise ValueError("there is no open hand-off of this lead by then")
    word, more = said.parts() if isinstance(said, Answered) else (str(said), {})
    told = {"by": None, "now": scene.now, "source": BY, "key": f"event {scene.index}", **more}
    scene.write(lambda link: answers.answer(link, scene.live, number, word, **told))


def _done(scene: Scene) -> None:
    slug, _, step = str(scene.event.done).rpartition("/")
    mine = (col(Task.lead_id) == scene.lead) & (col(Task.sequence) == (slug or scene.slug)) & (col(Task.step) == step)
    with scene.machine.db.read() as link:
        number = link.execute(select(col(Task.id)).where(mine, col(Task.done_at).is_(None))).scalar()
    if number is None:
        raise ValueError(f"there is no open task '{scene.event.done}' of this lead by then")
    task = int(number)
    scene.write(lambda link: doors.done(link, scene.live, task, None, scene.now))


def _scope(scene: Scene, who: str) -> str:
    return "all" if who == "all" else f"lead:{scene.who(who)}" if "@" in who else f"segment:{who}"


def _pause(scene: Scene) -> None:
    scene.write(lambda link: control.pause(link, _scope(scene, str(scene.event.pause)), BY, scene.now))


def _resume(scene: Scene) -> None:
    scope = _scope(scene, str(scene.event.resume))
    if not scene.write(lambda link: control.resume(link, scope, BY, scene.now)):
        raise ValueError(f"'{scene.event.resume}' was not paused")


def _stop(scene: Scene) -> None:
    scene.write(lambda link: control.stop(link, _scope(scene, str(scene.event.stop)), BY, scene.now))


def _start(scene: Scene) -> None:
    scope = _scope(scene, str(scene.event.start))
    if not scene.write(lambda link: control.start(link, scope, BY, scene.now)):
        raise ValueError(f"'{scene.event.start}' was not stopped")


def _relay(scene: Scene) -> None:
    relay, mood = scene.machine.email, scene.event.relay
    assert isinstance(relay, Relay)
    assert mood is not None
    relay.mood = mood


DEEDS: dict[str, Callable[[Scene], None]] = {
    "event": _event, "opens": _opens, "clicks": _clicks, "replies": _replies, "answers": _answers, "done": _done,
    "unsubscribes": _unsubscribes, "bounces": _bounces, "complains": _complains, "set": _set, "tags": _tags,
    "list": _list, "consent": _consent, "prefers": _prefers, "stage": _stage, "status": _status, "relay": _relay,
    "suppress": _suppress, "enrol": _enrol, "unenrol": _unenrol, "handoff": _handoff,
    "pause": _pause, "resume": _resume, "stop": _stop, "start": _start,
}  # fmt: skip
