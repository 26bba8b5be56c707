"""A healthy world holds; each invariant, broken on purpose, is found and its offender named."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text

from nurture.cli import main
from nurture.engine.live import Library
from nurture.reading.verify import INVARIANTS, NAMED, Verified, verify
from tests.engine.world import DAY, HOUR, PROGRAM, World, new_database, program, sequence

KINDS = ["sqlite", "postgres"]
CAPPED = PROGRAM + "caps: {per_day: 2, per_7_days: 3}\naudiences: {visitors: {url: 'https://ads.example/visitors'}}\n"
LIFECYCLE = """
mql: {when: {score: {at_least: 20}}}
milestones: {demo: {when: {did: asked}, handoff: true}}
"""
SCORING = """
half_life: 10 days
engagement:
  - {rule: signed up, when: {did: signed_up}, points: 15}
  - {rule: clicked, when: {did: email_clicked}, points: 12, cap: 2 per day}
"""
OFFERS = """
offers:
  - {key: guide, title: A guide, stage: awareness, url: "https://acme.example/guide"}
"""
STEPS = """
  - {id: one, email: one.j2}
  - {id: engaged, wait_until: {clicked: one}, at_most: 2 days, then: offer, else: nudge}
  - {id: nudge, email: nudge.j2}
  - {id: offer, offer: {stage: awareness}}
  - {id: again, offer: {stage: awareness}}
  - {id: gone, exit: done}
"""
OTHER = """
  - {id: ads, audience: {add: visitors}}
  - {id: note, email: note.j2}
  - {id: rest, wait: 60 days}
"""
FILES = program(
    {"program.yaml": CAPPED, "lifecycle.yaml": LIFECYCLE, "scoring.yaml": SCORING, "offers.yaml": OFFERS},
    a=sequence(STEPS, segment="{email: {known: true}}"),
    b=sequence(OTHER, when="{did: visited}"),
)


def a_month(url: str) -> World:
    """What a month leaves: letters, offers, an audience, clicks, hand-offs, an unsubscribe, no consent, a resting lead."""
    world = World(url, FILES)
    for name in ("ana", "ben", "cyn", "dan", "eve", "fay"):
        world.lead(name)
    world.lead("gil", consent=None)
    world.lead("hue", timezone="Asia/Tokyo")
    for name in world.ids:
        world.event(name, "signed_up")
    world.tick()
    world.at(2 * HOUR).click("ana", "one")
    world.event("ben", "asked", settle=True)
    world.event("cyn", "visited", settle=True)
    world.run(3 * DAY)
    world.event("ana", "asked", settle=True)
    from nurture.engine import doors

    world.answer("ben", "rejected", "premature")
    world.do(
        lambda link: doors.unsubscribe_lead(link, world.machine.live(), world.ids["dan"], world.now, source="test")
    )
    world.run(8 * DAY)
    world.event("eve", "visited", settle=True)
    world.run(28 * DAY)
    return world


@pytest.fixture(params=KINDS, scope="module")
def month(request: pytest.FixtureRequest) -> Any:
    """The month, shared: each case breaks it inside a transaction that is undone."""
    url = new_database(request)
    world = a_month(url)
    yield world
    world.close()


class Undone(Exception):
    """Ends a transaction without a trace."""


def looked_at(world: World, *statements: str) -> Verified:
    """What `verify` says after `statements`, of which nothing stays."""
    found: list[Verified] = []

    def work(link: Any) -> None:
        for statement in statements:
            if statement.startswith(("SQLITE ", "POSTGRES ")):
                kind, _, statement = statement.partition(" ")
                if (kind == "SQLITE") is not world.machine.db.is_sqlite:
                    continue
            link.execute(text(statement))
        found.append(verify(link, Library(), world.now))
        raise Undone

    with pytest.raises(Undone):
        world.machine.db.transact(work)
    return found[0]


def test_a_rehearsed_month_holds(month: World) -> None:
    """What the engine itself leaves breaks nothing, and there is something of each kind to be broken."""
    done = looked_at(month)

    assert done.broken == []
    assert str(done) == f"{len(INVARIANTS)} invariants hold over {done.touches} touches, 8 leads."
    kinds = {row.kind for row in month.machine.db.transact(lambda link: link.execute(text("SELECT kind FROM touch")))}
    assert kinds == {"email", "offer", "audience"}
    assert len(month.handoffs("ben")) == len(month.handoffs("ana")) == 1


@dataclass(frozen=True)
class Broken:
    """How it is broken, which invariant says so, and of whom."""

    invariant: str
    said: str
    how: tuple[str, ...]


UNGUARDED = (
    "SQLITE DROP TRIGGER touch_state", "SQLITE DROP TRIGGER touch_begins",
    "POSTGRES DROP TRIGGER touch_state ON touch", "POSTGRES DROP TRIGGER touch_begins ON touch",
)  # fmt: skip
ONE = "(SELECT min(id) FROM touch WHERE state = 'sent' AND kind = 'email')"
LEAD = f"(SELECT lead_id FROM touch WHERE id = {ONE})"
#: A lead that is waiting inside sequence b.
INSIDE = "(SELECT max(id) FROM enrolment WHERE ended_at IS NULL AND sequence = 'b')"
DAYS = 86_400_000_000


def reopened(state: str, values: str = "") -> tuple[str, ...]:
    """A sent touch set back to `state` by hand."""
    more = f", {values}" if values else ""
    return (*UNGUARDED, f"UPDATE touch SET state = '{state}', ended_at = NULL{more} WHERE id = {ONE}")


def copied(table: str, values: Mapping[str, str], which: str, columns: str) -> str:
    """A row like another one, but for `values`; `columns`: those that are taken over."""
    names, said = ", ".join([*values, columns]), ", ".join([*values.values(), columns])
    return f"INSERT INTO {table} ({names}) SELECT {said} FROM {table} WHERE {which}"


TOUCH = (
    "lead_id, enrolment_id, sequence, version_id, kind, purpose, content, state, due_at, allowed_at, attempt, "
    "address, payload_sha256, tracked, program_version_id, planned_at, ended_at"
)


def another(message: str, step: str, sending: str, content: str = "'b/other'") -> tuple[str, ...]:
    """A second sent touch beside the first."""
    values = {"step": f"'{step}'", "occurrence": "1", "message_id": f"'{message}'", "sending_at": sending}
    columns = TOUCH.replace("content, ", "")
    return (*UNGUARDED, copied("touch", values | {"content": content}, f"id = {ONE}", columns))


BREAKS: dict[str, Broken] = {
    "planned twice": Broken(
        "one touch per step and passage", "planned 2 times for one passage of step one",
        (
            *UNGUARDED,
            "POSTGRES ALTER TABLE touch DROP CONSTRAINT uq_touch_enrolment_id_step_occurrence",
            "SQLITE CREATE TABLE other AS SELECT * FROM touch",
            "SQLITE DROP TABLE touch",
            "SQLITE ALTER TABLE other RENAME TO touch",
            "SQLITE INSERT INTO touch SELECT * FROM touch WHERE id = " + ONE,
            "POSTGRES " + copied(
                "touch", {"step": "'one'", "occurrence": "1", "message_id": "'<x@acme.example>'"}, f"id = {ONE}", TOUCH
            ),
        ),
    ),
    "no state that is known": Broken("every touch is in a known state", "in the unknown state lost", reopened("lost")),
    "sent, and not since when": Broken(
        "a touch has ended if and only if it says when", "sent, and not since when",
        (f"UPDATE touch SET ended_at = NULL WHERE id = {ONE}",),
    ),
    "planned, and yet ended": Broken(
        "a touch has ended if and only if it says when", "planned, and yet it has ended",
        (*UNGUARDED, f"UPDATE touch SET state = 'planned', next_at = 1 WHERE id = {ONE}"),
    ),
    "planned without a time": Broken(
        "an open touch waits for an hour, a worker or a person", "planned without a time", reopened("planned")
    ),
    "retried without a time": Broken(
        "an open touch waits for an hour, a worker or a person", "retry_wait without a time", reopened("retry_wait")
    ),
    "paused by nobody": Broken(
        "an open touch waits for an hour, a worker or a person", "paused or stopped, and nothing is",
        reopened("planned", "reason = 'paused'"),
    ),
    "claimed by nobody": Broken(
        "an open touch waits for an hour, a worker or a person", "claimed by nobody", reopened("claimed")
    ),
    "held without a question": Broken(
        "an open touch waits for an hour, a worker or a person", "held, and no question is open", reopened("held")
    ),
    "a dead worker's": Broken(
        "no claim outlives its lease", "sending by a worker whose lease ran out: here:1:2:3",
        reopened("sending", "lease_owner = 'here:1:2:3', lease_until = 1"),
    ),
    **{
        f"sent without {name}": Broken(
            "what was sent says what, when and to whom", f"sent without {name}",
            (f"UPDATE touch SET {column} = NULL WHERE id = {ONE}",),
        )
        for name, column in {
            "Message-ID": "message_id", "an instant": "sending_at", "the hash of its bytes": "payload_sha256",
            "an address": "address",
        }.items()
    },
    "one Message-ID twice": Broken(
        "one Message-ID per touch", "shares its Message-ID with touch ",
        ("UPDATE touch SET message_id = '<same@acme.example>' WHERE kind = 'email' AND state = 'sent'",),
    ),
    "another lead's enrolment": Broken(
        "a touch belongs to its enrolment, and ends with it", "its enrolment is another lead's",
        (f"UPDATE touch SET lead_id = (SELECT max(id) FROM lead WHERE id <> {LEAD}) WHERE id = {ONE}",),
    ),
    "planned after the end": Broken(
        "a touch belongs to its enrolment, and ends with it", "still planned, and its enrolment has ended",
        (
            *UNGUARDED,
            "UPDATE touch SET state = 'planned', ended_at = NULL, next_at = 1 WHERE id = (SELECT min(touch.id) FROM touch "
            "JOIN enrolment ON enrolment.id = touch.enrolment_id WHERE enrolment.ended_at > 0)",
        ),
    ),
    "written to a suppressed lead": Broken(
        "nothing is sent after a suppression", "sent after its lead was suppressed: unsubscribed",
        ("INSERT INTO suppression (kind, value, reason, source, at) "
         f"SELECT 'lead', CAST({LEAD} AS VARCHAR), 'unsubscribed', 'test', 1",),
    ),
    "written to a suppressed address": Broken(
        "nothing is sent after a suppression", "sent after its address was suppressed: bounced",
        ("INSERT INTO suppression (kind, value, reason, source, at) "
         f"SELECT 'address', address, 'bounced', 'test', sending_at - 11000000 FROM touch WHERE id = {ONE}",),
    ),
    "written to a suppressed domain": Broken(
        "nothing is sent after a suppression", "sent after its domain was suppressed: ours",
        ("INSERT INTO suppression (kind, value, reason, source, at) VALUES ('domain', 'lead.example', 'ours', 't', 1)",),
    ),
    "no consent": Broken(
        "no marketing message without a consent valid at that instant", "sent without a consent that was valid then",
        (f"DELETE FROM consent WHERE lead_id = {LEAD}",),
    ),
    "consent withdrawn before": Broken(
        "no marketing message without a consent valid at that instant", "sent without a consent that was valid then",
        (f"UPDATE consent SET given_at = 1, withdrawn_at = 2 WHERE lead_id = {LEAD}",),
    ),
    "consent run out before": Broken(
        "no marketing message without a consent valid at that instant", "sent without a consent that was valid then",
        (f"UPDATE consent SET given_at = 1, expires_at = 2 WHERE lead_id = {LEAD}",),
    ),
    "three on a day": Broken(
        "the program's caps hold over any 7 days, and any day of the lead's", "one more than 2 on one day",
        (*another("<x1@a.example>", "x1", "sending_at + 1"),
         another("<x2@a.example>", "x2", "sending_at + 2", "'b/third'")[-1]),
    ),
    "four in a week": Broken(
        "the program's caps hold over any 7 days, and any day of the lead's", "one more than 3 in 7 days",
        (*another("<x1@a.example>", "x1", f"sending_at + {DAYS * 5 // 4}"),
         another("<x2@a.example>", "x2", f"sending_at + {DAYS * 6 // 2}", "'b/x2'")[-1],
         another("<x3@a.example>", "x3", f"sending_at + {DAYS * 5}", "'b/x3'")[-1],
         another("<x4@a.example>", "x4", f"sending_at + {DAYS * 6}", "'b/x4'")[-1]),
    ),
    "the same again": Broken(
        "the same content is not sent twice", "the lead had already received a/one",
        another("<x1@a.example>", "x1", f"sending_at + {DAYS * 9}", "content"),
    ),
    "stuck after its touch": Broken(
        "nobody stands still without a reason", "its touch has ended, and it still stands on step note",
        (f"UPDATE enrolment SET step = 'note', due_at = NULL WHERE id = {INSIDE}",),
    ),
    "waiting for nothing": Broken(
        "nobody stands still without a reason", "waits for nothing on step rest",
        (f"UPDATE enrolment SET due_at = NULL WHERE id = {INSIDE}",),
    ),
    "on no step": Broken(
        "nobody stands still without a reason", "its version does not have what it stands on: on step limbo",
        (f"UPDATE enrolment SET step = 'limbo' WHERE id = {INSIDE}",),
    ),
    "claimed by a run that is gone": Broken(
        "nobody stands still without a reason", "in the hands of a run that is gone: tick:9",
        (f"UPDATE enrolment SET claim = 'tick:9' WHERE id = {INSIDE}",),
    ),
    "gone and still inside": Broken(
        "who has gone is out of every sequence, and in none twice", "still goes on in b",
        ("INSERT INTO suppression (kind, value, reason, source, at) SELECT 'lead', CAST(lead_id AS VARCHAR), 'u', 't', "
         f"9000000000000000 FROM enrolment WHERE id = {INSIDE}",),
    ),
    "ended without a word": Broken(
        "who has gone is out of every sequence, and in none twice", "has ended, and not as one ends",
        ("UPDATE enrolment SET outcome = NULL WHERE id = (SELECT min(id) FROM enrolment WHERE ended_at > 0)",),
    ),
    "inside twice": Broken(
        "who has gone is out of every sequence, and in none twice", "a second passage at the same time through b",
        (
            "DROP INDEX uq_enrolment_live",
            copied(
                "enrolment", {"rotation": "9"}, f"id = {INSIDE}",
                "lead_id, sequence, version_id, enrolled_by, step, occurrence, entered_at, due_at, listening, started_at",
            ),
        ),
    ),
    "a click on no touch": Broken(
        "every number leads to a row", "its touch_id 999999 leads to no touch",
        ("UPDATE event SET touch_id = 999999 WHERE id = (SELECT min(id) FROM event WHERE touch_id > 0)",),
    ),
    "a touch of no version": Broken(
        "every number leads to a row", "its version_id 999999 leads to no sequence_version",
        (f"UPDATE touch SET version_id = 999999 WHERE id = {ONE}",),
    ),
    "a sum that is off": Broken(
        "every score is the sum of its ledger", "its score sum ",
        ("UPDATE score_sum SET total = total + 0.001 WHERE lead_id = (SELECT min(lead_id) FROM score_sum)",),
    ),
    "a line that no sum has": Broken(
        "every score is the sum of its ledger", "is in no sum",
        ("UPDATE score_entry SET summed = 0 WHERE id = (SELECT min(id) FROM score_entry WHERE counted > 0)",),
    ),
    "a line that is changed": Broken(
        "every score is the sum of its ledger", "counts neither nothing nor its points",
        ("UPDATE score_entry SET points = 99 WHERE id = (SELECT min(id) FROM score_entry WHERE counted > 0)",),
    ),
    "a stage without a history": Broken(
        "a lead's stage is what its last transition says", "is customer, and its last transition says ",
        ("UPDATE lead SET stage = 'customer' WHERE id = 1",),
    ),
    "a status that nobody gave": Broken(
        "a lead's status is what its last change says", "is lost, and its last change says open",
        (
            "INSERT INTO status_change (lead_id, from_status, to_status, at, cause, author) "
            "VALUES (1, 'new', 'open', 1, 'by hand', 'test')",
            "UPDATE lead SET status = 'lost' WHERE id = 1",
        ),
    ),
    "two open hand-offs": Broken(
        "one open hand-off per lead", "is one of 2 open ones",
        (
            "DROP INDEX uq_handoff_open",
            copied(
                "handoff", {"cycle": "9"}, "state = 'open'",
                "lead_id, milestone, state, owner, score, stage_before, opened_at, deadline_at, program_version_id",
            ),
        ),
    ),
    "a hand-off for no reason": Broken(
        "a hand-off and the milestone that opened it know each other", "no milestone of its lead opened it",
        ("UPDATE milestone SET outcome = 'noted', handoff_id = NULL WHERE handoff_id > 0",),
    ),
    "a milestone that led to nothing": Broken(
        "a hand-off and the milestone that opened it know each other", "and there is no such hand-off of its lead",
        ("UPDATE milestone SET handoff_id = NULL WHERE outcome = 'handed_off'",),
    ),
    "a hand-off that nobody heard of": Broken(
        "every hand-off has its notice", "nobody told mihai@acme.example", ("DELETE FROM outbox",)
    ),
    "a hand-off that nobody looks at": Broken(
        "something is due about every open hand-off, and about none that is over", "nobody will ever be reminded",
        ("UPDATE handoff SET next_at = NULL WHERE state = 'open'",),
    ),
    "a hand-off that is over and due": Broken(
        "something is due about every open hand-off, and about none that is over", "is rejected, and something is due",
        ("UPDATE handoff SET state = 'rejected' WHERE state = 'open'",),
    ),
    "a hand-off instead of none": Broken(
        "a hand-off that was passed on has one in its place", "stands instead of 99, which was not passed on",
        ("UPDATE handoff SET instead_of = 99",),
    ),
    "a hand-off passed on to nobody": Broken(
        "a hand-off that was passed on has one in its place", "was passed on to 0 others",
        ("UPDATE handoff SET state = 'reassigned', next_at = NULL WHERE state = 'open'",),
    ),
    "an address of one that was another's": Broken(
        "a name means one lead", "its present name is also a former one: email",
        (
            "INSERT INTO lead_alias (kind, source, value, lead_id, since, cause) "
            f"SELECT 'email', '', email, {LEAD}, 1, 'changed' FROM lead WHERE id <> {LEAD} AND email IS NOT NULL LIMIT 1",
        ),
    ),
    "a lead that went into another": Broken(
        "a lead that was merged is gone", "was merged into another, and is still there",
        (
            "INSERT INTO lead_merge (lead_id, gone_id, at, by, cause, detail) "
            f"SELECT {LEAD}, min(id), 1, 'ana', 'one person', '{{}}' FROM lead WHERE id <> {LEAD}",
        ),
    ),
    "a shell that says who it was": Broken(
        "nothing is left of who was forgotten", "was forgotten, and its row says who it was",
        (f"UPDATE lead SET forgotten_at = 1 WHERE id = {LEAD}",),
    ),
    "a notice that is lost": Broken(
        "every hand-off has its notice", "was not sent, and is not tried again",
        ("UPDATE outbox SET next_at = NULL, done_at = NULL WHERE id = (SELECT min(id) FROM outbox)",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_is_found_and_named(month: World, name: str) -> None:
    """The invariant that was broken says so, and of which row."""
    case = BREAKS[name]
    done = looked_at(month, *case.how)

    found = {found.invariant.name: found.offenders for found in done.broken}
    assert case.invariant in found, found
    assert [offender for offender in found[case.invariant] if case.said in offender], found


def test_every_invariant_is_broken_once() -> None:
    """A check that cannot fail is none."""
    assert {case.invariant for case in BREAKS.values()} == {invariant.name for invariant in INVARIANTS}


def test_many_offenders_are_counted(month: World) -> None:
    """Twenty are named, of the others it is said how many."""
    done = looked_at(month, "UPDATE event SET touch_id = 999999")

    (broken,) = [found for found in done.broken if found.invariant.name == "every number leads to a row"]
    events = len(month.machine.db.transact(lambda link: link.execute(text("SELECT id FROM event")).all()))
    assert (len(broken.offenders), len(broken.offenders) + broken.more) == (NAMED, events)


@pytest.fixture
def shell(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], World]:
    """Points the command line at a month of the test's own."""

    def make() -> World:
        monkeypatch.setenv("NURTURE_DATABASE_URL", database_url)
        world = World(database_url, FILES)
        world.lead("ana")
        world.event("ana", "signed_up")
        return world.run(DAY)

    return make


def test_the_command_names_them(shell: Callable[[], World], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 and one line, or 1 with who, what it means and what to do; the same as JSON."""
    world = shell()
    assert main(["verify"]) == 0
    assert capsys.readouterr().out.endswith(f"{len(INVARIANTS)} invariants hold over 1 touches, 1 leads.\n")

    touch, lead = world.touch("ana", "one").id, world.ids["ana"]
    world.sql("UPDATE touch SET message_id = NULL")
    world.close()
    assert main(["verify"]) == 1
    said = capsys.readouterr()
    assert f"touch {touch} of lead {lead}: sent without Message-ID" in said.out
    assert "1 of" in said.err
    assert main(["verify", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["holds"], told["broken"][0]["offenders"]) == (
        False,
        [f"touch {touch} of lead {lead}: sent without Message-ID"],
    )
