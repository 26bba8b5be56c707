"""Moving in from another system: whom it does not write to, where its leads stand, and addresses that changed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, update
from sqlmodel import col

from nurture.errors import FileFault, NotPublished
from nurture.intake import ImportReport, import_leads, suppressions
from nurture.intake.mapping import Mapping
from nurture.intake.positions import import_positions
from nurture.intake.suppressions import import_suppressions
from nurture.reading.verify import verify
from nurture.records import AudienceMember, Consent, Enrolment, Event, Lead, LeadAlias, Suppression, Touch
from nurture.rights.export import plain, write_csv, write_ndjson
from tests.engine.conftest import Make, make
from tests.engine.world import DAY, World, program, sequence
from tests.intake.importing import NOW, Imports

__all__ = ["make"]
STEPS = """  - {id: hello, email: hello.j2}
  - {id: pause, wait: 3 days}
  - {id: more, email: more.j2}
  - {id: rest, wait: 2 days}
  - {id: piece, offer: {}}
  - {id: done, exit: completed}"""
OFFERS = """offers:
  - {key: guide, title: Guide, stage: awareness, url: "https://acme.example/guide"}
  - {key: case, title: Case, stage: decision, url: "https://acme.example/case"}
"""
FILES = program({"offers.yaml": OFFERS}, drip=sequence(STEPS))


class Mover:
    """A world that files are brought into."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder

    def file(self, content: str) -> Path:
        path = self.folder / "in.csv"
        path.write_text(content)
        return path

    def suppress(self, content: str, **more: Any) -> ImportReport:
        machine, given = self.world.machine, {"zone": "UTC", "library": self.world.machine.library, **more}
        return import_suppressions(machine.db, self.file(content), now=self.world.now, **given)

    def place(self, content: str, **more: Any) -> ImportReport:
        machine, given = self.world.machine, {"zone": "UTC", "by": "ana", "library": self.world.machine.library, **more}
        return import_positions(machine.db, self.file(content), now=self.world.now, **given)


def broken(world: World) -> list[Any]:
    """What `nurture verify` finds."""
    with world.machine.db.read() as link:
        return verify(link, world.machine.library, world.now).broken


@pytest.fixture
def mover(make: Make, tmp_path: Path) -> Mover:
    return Mover(make(FILES), tmp_path)


@pytest.fixture
def alone(sqlite_url: str, tmp_path: Path) -> Iterator[Mover]:
    """On SQLite alone: for what is decided in Python, or by the statements of other tests here."""
    made = World(sqlite_url, FILES)
    yield Mover(made, tmp_path)
    made.close()


# whom another system does not write to

EXPORTS = {
    "hubspot": (
        "Email,Unsubscribed from all email\nana@lead.example,true\nben@lead.example,false\n", {"ana": "unsubscribed"},
    ),
    "mailchimp": (
        '"Email Address","First Name",UNSUB_TIME,UNSUB_CAMPAIGN_TITLE,UNSUB_REASON\n'
        'ana@lead.example,Ana,"2026-01-05 10:00:00",News,NORMAL\n', {"ana": "unsubscribed"},
    ),
    "sendgrid": ("email,created\nANA@lead.example,1767607200\n", {"ana": "unsubscribed"}),
    "postmark": (
        "EmailAddress,SuppressionReason,Origin,CreatedAt\nana@lead.example,SpamComplaint,Recipient,2026-01-05T10:00:00Z\n"
        "ben@lead.example,HardBounce,Recipient,2026-01-05T10:00:00Z\n", {"ana": "complained", "ben": "bounced"},
    ),
    "marketo": (
        "Email Address,Unsubscribed,Unsubscribed Reason\nana@lead.example,1,too many mails\nben@lead.example,0,\n",
        {"ana": "unsubscribed"},
    ),
    "salesforce": ("Email,Has Opted Out Of Email\nana@lead.example,TRUE\nben@lead.example,FALSE\n", {"ana": "unsubscribed"}),
    "a list of everybody": ("email,status\nana@lead.example,cleaned\nben@lead.example,subscribed\n", {"ana": "bounced"}),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_is_read_as_it_is(sqlite_url: str, tmp_path: Path, name: str) -> None:
    """The columns of seven systems, without a mapping file."""
    content, wanted = EXPORTS[name]
    moving = Mover(World(sqlite_url), tmp_path)
    report = moving.suppress(content)
    found = {row.value.partition("@")[0]: row.reason for row in moving.world.rows(Suppression)}
    moving.world.close()

    assert (found, report.refused_count) == (wanted, 0)


def test_who_said_no_elsewhere_is_out_here_as_well(mover: Mover) -> None:
    """As by our own link: consents withdrawn, sequences ended, the event recorded; strangers stay out for good."""
    world = mover.world
    for name in ("ana", "ben"):
        world.lead(name)
        world.event(name, "signed_up")
    world.tick()
    listed = "email,reason,at\nana@lead.example,unsubscribed,2026-02-01T10:00:00Z\nzoe@new.example,,\n@spam.example,,\n"
    report, again = mover.suppress(listed, source="mailchimp"), mover.suppress(listed, source="mailchimp")
    world.lead("zoe", email="zoe@new.example")
    world.event("zoe", "signed_up")
    world.run(9 * DAY)

    assert (report.created, again.created, again.unchanged) == (3, 0, 3)
    assert report.warnings[0] == "1 lead known here was unsubscribed, and 1 passage of a sequence ended"
    assert again.warnings == []
    assert world.stands("drip") == {"ana": "unsubscribed", "ben": "completed"}
    assert world.refusals() == {"zoe": "suppressed"}
    assert [to for to, _ in world.sent if not to.startswith("ben")] == ["ana@lead.example"]
    assert {(row.kind, row.value, row.source) for row in world.rows(Suppression)} == {
        ("address", "ana@lead.example", "mailchimp"), ("lead", str(world.ids["ana"]), "mailchimp"),
        ("address", "zoe@new.example", "mailchimp"), ("domain", "spam.example", "mailchimp"),
    }  # fmt: skip
    withdrawn = {row.lead_id for row in world.rows(Consent) if row.withdrawn_at}
    assert withdrawn == {world.ids["ana"]}
    (said,) = world.rows(Event, col(Event.name) == "unsubscribed")
    assert said.occurred_at == datetime(2026, 2, 1, 10, tzinfo=UTC)
    assert broken(world) == []


def test_a_bounce_bars_the_address_and_not_the_person(mover: Mover) -> None:
    """Consents stay: with another address the lead is free again."""
    world = mover.world
    world.lead("ana")
    world.event("ana", "signed_up")
    world.machine.settle(world.now)
    report = mover.suppress("email\nana@lead.example\n", reason="bounced")
    world.tick()

    assert report.warnings == []
    assert (world.sent, world.stands("drip")) == ([], {"ana": "suppressed"})
    assert [row.withdrawn_at for row in world.rows(Consent)] == [None, None]


def test_a_domain_bars_who_is_there(mover: Mover) -> None:
    """They leave with the next look, and are not unsubscribed: nobody of them said so. A longer name is another's."""
    world = mover.world
    for name in ("ana", "ben"):
        world.lead(name, email=f"{name}@{'rival' if name == 'ana' else 'no-rival'}.example")
        world.event(name, "signed_up")
    world.machine.settle(world.now)
    mover.suppress("domain\nrival.example\n")
    world.tick()

    assert world.stands("drip") == {"ana": "suppressed", "ben": "pause"}
    assert [row for row in world.rows(Consent) if row.withdrawn_at] == []


def test_a_phone_ends_text_messages_alone(alone: Mover) -> None:
    world = alone.world
    world.lead("ana", phone="+40 721 000 000", sms="consent")
    report = alone.suppress("phone\n+40721000000\n0721 000 001\n")

    assert (report.created, report.refused_count) == (1, 1)
    assert "has no country code" in report.text()
    assert {row.purpose for row in world.rows(Consent) if row.withdrawn_at} == {"sms"}


def test_one_column_may_hold_phones_among_addresses(alone: Mover) -> None:
    report = alone.suppress("value\nana@lead.example\n+40 721 000 000\n@spam.example\nnobody\n")

    assert (report.created, report.refused_count) == (3, 1)
    assert {(row.kind, row.value) for row in alone.world.rows(Suppression)} == {
        ("address", "ana@lead.example"), ("phone", "+40721000000"), ("domain", "spam.example"),
    }  # fmt: skip


@pytest.mark.parametrize("form", [write_csv, write_ndjson])
def test_our_own_list_comes_back(alone: Mover, tmp_path: Path, form: Any) -> None:
    """A lead's row names it by a number of there; the rest is as it was, to the instant."""
    world = alone.world
    world.lead("ana")
    alone.suppress(
        "value,reason,at\nana@lead.example,,2026-02-01T10:00:00Z\n+40721000000,,\n@spam.example,,\n", source="crm"
    )
    before = {(row.kind, row.value, row.reason, row.source, row.at) for row in world.rows(Suppression)}
    out = io.StringIO()
    form(plain(world.machine.db, "suppression"), out)
    world.sql("DELETE FROM suppression WHERE kind != 'lead'")
    report = alone.suppress(out.getvalue())

    assert (report.refused_count, report.passed_over) == (0, 1)
    assert "its address has a row of its own" in report.text()
    assert "not used" not in report.text()
    assert {(row.kind, row.value, row.reason, row.source, row.at) for row in world.rows(Suppression)} == before


@pytest.mark.parametrize("kind", ["email", "phone", "domain"])
def test_a_list_does_not_read_every_lead_for_each_part_of_it(
    alone: Mover, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The list is found by its index; leads of domains and phones, whom no index finds, are looked for once a file."""
    monkeypatch.setattr(suppressions, "CHUNK", 2)
    said = {"email": "n{0}@x.example", "phone": "+4072100000{0}", "domain": "n{0}.example"}[kind]
    read: list[tuple[str, Any]] = []
    engine = alone.world.machine.db.engine
    listening = ("before_cursor_execute", lambda *told: read.append((told[2], told[3])))
    event.listen(engine, *listening)
    alone.suppress(f"{kind}\n" + "".join(said.format(n) + "\n" for n in range(7)))
    event.remove(engine, *listening)

    plans = []
    with engine.connect() as link:
        for text, values in read:
            if not text.startswith("BEGIN") and not isinstance(values, list):
                plans += [row[3] for row in link.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)]
    assert [plan for plan in plans if plan.startswith("SCAN suppression")] == []
    assert len([plan for plan in plans if plan.startswith("SCAN lead")]) == (0 if kind == "email" else 1)


def test_a_dry_run_changes_nothing(alone: Mover) -> None:
    world = alone.world
    world.lead("ana")
    report = alone.suppress("email\nana@lead.example\n", dry_run=True)

    assert (report.created, world.rows(Suppression)) == (1, [])
    assert "1 lead known here would be unsubscribed" in report.text()


def test_an_unreadable_date_loses_nobody(alone: Mover) -> None:
    """A list of refusals is honoured, whatever else its rows say."""
    report = alone.suppress("email,at\nana@lead.example,03/04/2026\n")

    assert report.created == 1
    assert "the moment of this import counts" in report.text()
    with pytest.raises(FileFault, match="no column holds an address, a domain or a phone"):
        alone.suppress("name\nAna\n")


# leads at a given step


def test_leads_go_on_from_where_they_stood(mover: Mover) -> None:
    """The wait counts from when they came to it; nothing is sent by the import, nor what they have had."""
    world = mover.world
    for name in ("ana", "ben", "cy"):
        world.lead(name)
    report = mover.place(
        "email,sequence,step,entered_at,received\n"
        "ana@lead.example,drip,pause,2026-03-01T08:00:00Z,hello\n"
        "ben@lead.example,drip,more,2026-01-01T08:00:00Z,hello;more.j2\n"
        "cy@lead.example,drip,piece,2026-02-20T08:00:00Z,hello; more;guide\n"
    )
    before = list(world.sent)
    world.run(9 * DAY)
    sent = [(row.step, row.content) for row in world.rows(Touch) if row.kind != "elsewhere" and row.state == "sent"]
    ways = {row.path for row in world.rows(Enrolment)}

    assert (report.created, report.refused_count, before) == (3, 0, [])
    assert {name: row[1:] for name, rows in world.touches().items() for row in rows if row[0] == "more"} == {
        "ana": ("sent", None), "ben": ("suppressed", "already_received"),
    }  # fmt: skip
    assert world.touch("ana", "more").due_at == world.start + 2 * DAY
    assert [content for _, content in sent].count("drip/hello.j2") == 0
    assert world.touch("cy", "piece").content == "case"
    assert ways == {"/hello/pause/more/rest/piece/done/"}
    assert broken(world) == []


def test_the_same_file_again_changes_nothing(alone: Mover) -> None:
    world = alone.world
    world.lead("ana")
    rows = "email,step\nana@lead.example,pause\n"
    first, again = alone.place(rows, sequence="drip"), alone.place(rows, sequence="drip")
    world.run(9 * DAY)
    later = alone.place(rows, sequence="drip")

    assert (first.created, again.unchanged, later.unchanged) == (1, 1, 1)
    assert len(world.rows(Enrolment)) == 1


def test_rows_that_cannot_stand_are_refused_with_the_reason(alone: Mover) -> None:
    world = alone.world
    for name in ("ana", "ben", "cy", "dan"):
        world.lead(name)
    world.event("ben", "signed_up")
    world.tick()
    alone.suppress("email\ncy@lead.example\n")
    report = alone.place(
        "email,sequence,step,entered_at,received\n"
        "ana@lead.example,drip,nowhere,,\n"
        "ana@lead.example,dripp,pause,,\n"
        "ben@lead.example,drip,pause,,\n"
        "cy@lead.example,drip,pause,,\n"
        "zoe@lead.example,drip,pause,,\n"
        "dan@lead.example,drip,pause,2027-01-01T00:00:00Z,\n"
        "dan@lead.example,drip,pause,,letter\n"
    )
    told = {refusal.line: refusal.problem for refusal in report.refused}

    assert {line: said.split(";")[0].split(",")[0] for line, said in told.items()} == {
        2: "is no step of 'drip'", 3: "is not live", 4: "it is inside already",
        5: "it is on the suppression list", 6: "names no lead that is known here", 7: "lies in the future",
        8: "is neither a letter of 'drip' nor an offer",
    }  # fmt: skip
    assert report.created == 0


def test_places_need_a_published_sequence(make: Make, tmp_path: Path) -> None:
    with pytest.raises(NotPublished):
        Mover(make(), tmp_path).place("email,sequence,step\nana@lead.example,drip,pause\n")


# addresses that changed


def test_an_id_that_moved_keeps_everything(imports: Imports) -> None:
    """With --changed-addresses the id counts; the old address means the same lead ever after."""
    imports.leads("id,Email,Company\n7,ana@old.example,Acme\n8,ben@two.example,Two\n", source="crm")
    refused = imports.leads("id,Email\n7,ana@new.example\n", source="crm")
    moved = imports.leads("id,Email\n7,ana@new.example\n", source="crm", changed_addresses=True)
    by_mapping = imports.leads("id,Email\n8,ben@new.example\n", mapping=Mapping(source="crm", changed_addresses=True))
    stale = imports.leads("id,Email,Title\n7,ana@old.example,Boss\n", source="crm", changed_addresses=True)
    alone = imports.leads("Email,Title\nana@old.example,Head\n")

    assert "if it is that lead's new one, say --changed-addresses" in refused.text()
    assert (moved.changed, by_mapping.changed) == (1, 1)
    assert moved.warnings[-1] == "1 lead has another address now than before; the former one still means that lead"
    assert "an address that its lead had before; the lead keeps the present one" in stale.text()
    assert (stale.changed, alone.changed, alone.created) == (1, 1, 0)
    assert imports.lead("ana@new.example")["title"] == "Head"
    assert imports.rows("lead_alias", "value", "cause") == [
        ("ana@old.example", "changed"),
        ("ben@two.example", "changed"),
    ]


def test_the_old_address_in_the_same_file_changes_nothing_back(imports: Imports) -> None:
    """A later row without the id still means the lead by its former address, which it does not take again."""
    imports.leads("id,Email\n7,ana@old.example\n", source="crm")
    rows = ["7,ana@new.example,", ",ana@old.example,Head"]
    for order in (rows, rows[::-1]):  # the second time the former address is on record
        report = imports.leads("id,Email,Title\n" + "\n".join(order) + "\n", source="crm", changed_addresses=True)
        assert report.refused_count == 0

    assert imports.lead("ana@new.example")["title"] == "Head"
    assert imports.rows("lead_alias", "value") == ["ana@old.example"]
    assert imports.count("lead") == 1


def test_two_addresses_under_one_id_are_not_followed(imports: Imports) -> None:
    """A file that gives one id to two people would make one of them write over the other at each import."""
    imports.leads("id,Email\n7,ana@old.example\n", source="crm")
    report = imports.leads("id,Email\n7,ana@one.example\n7,ben@two.example\n", source="crm", changed_addresses=True)

    assert (report.changed, report.refused_count) == (1, 1)


def test_a_no_goes_along_and_a_bounce_stays_behind(imports: Imports) -> None:
    imports.leads("id,Email\n7,ana@old.example\n8,ben@old.example\n", source="crm")
    for address, reason in (("ana", "unsubscribed"), ("ben", "bounced")):
        row = {"kind": "address", "value": f"{address}@old.example", "reason": reason, "source": "x", "at": NOW}
        known = insert(Suppression).values(**row)
        imports.db.transact(lambda link, known=known: link.execute(known))  # type: ignore[misc]
    imports.leads("id,Email\n7,ana@new.example\n8,ben@new.example\n", source="crm", changed_addresses=True)
    ana = imports.lead("ana@new.example")["id"]

    assert imports.rows("suppression", "kind", "value") == [
        ("address", "ana@old.example"), ("address", "ben@old.example"), ("lead", str(ana)),
    ]  # fmt: skip


def test_advertisers_are_told_of_the_old_address_too(alone: Mover) -> None:
    """They know the lead by it, so it is taken out under both."""
    world = alone.world
    ana = world.lead("ana")
    row = {"lead_id": ana, "audience": "ads", "wanted": True, "told": True, "changed_at": world.now}
    world.do(lambda link: link.execute(insert(AudienceMember).values(**row)))
    world.do(lambda link: link.execute(update(Lead).values(source="crm", source_id="7")))
    path = alone.file("id,email\n7,ana@new.example\n")
    known = world.machine.live().house.program
    import_leads(
        world.machine.db, path, known=known, now=world.now, source="crm", consent="none", changed_addresses=True
    )

    assert [row.value for row in world.rows(LeadAlias)] == ["ana@lead.example"]
    assert [len(row.hashes) for row in world.rows(AudienceMember)] == [1]
