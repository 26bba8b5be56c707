"""What an import of events writes, leaves, refuses and says."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from nurture.errors import FileFault, Refused
from nurture.intake.write import MAX_DATA, put_event, put_lead
from tests.intake.importing import NOW, Imports

LEADS = "id,Email\n7,ana@acme.example\n8,\n"
THEN = datetime(2026, 2, 1, 10, 0, tzinfo=UTC)


@pytest.fixture
def imports(imports: Imports) -> Imports:
    """Ana and a lead without address, settled: nothing is on the work list."""
    imports.leads(LEADS, source="crm")
    imports.clear("work")
    return imports


def test_rows_become_events_of_their_leads(imports: Imports) -> None:
    """Without a mapping file the usual names do, and what is left is the event's data."""
    row = "Ana@acme.example,Page Viewed,2026-02-01T12:00:00+02:00,e1,/pricing"
    content = f"email,event,timestamp,event id,Page Path\n{row}\n"

    report = imports.events(content, source="web")

    assert report.created == 1
    columns = ("name", "occurred_at", "recorded_at", "ripe_at", "actor", "source", "key", "data")
    assert imports.rows("event", *columns) == [
        ("page_viewed", THEN, NOW, NOW, "person", "web", "e1", {"page_path": "/pricing"})
    ]
    assert imports.rows("work", "due_at") == [NOW]


def test_the_same_file_again_changes_nothing(imports: Imports) -> None:
    """By the source's ids, or by what the rows mean; also where a row stands twice."""
    by_id = "email,event,at,id\nana@acme.example,page_viewed,2026-02-01T10:00:00Z,1\n"
    by_meaning = "email,event,at,path\n" + "ana@acme.example,page_viewed,2026-02-01T10:00:00Z,/a\n" * 2
    first = [imports.events(by_id, source="web"), imports.events(by_meaning)]
    imports.clear("work")

    again = [imports.events(by_id, source="web"), imports.events(by_meaning)]

    assert [(report.created, report.unchanged) for report in first] == [(1, 0), (1, 1)]
    assert [(report.created, report.unchanged) for report in again] == [(0, 1), (0, 2)]
    assert (imports.count("event"), imports.count("work")) == (2, 0)


def test_ids_of_two_unnamed_files_do_not_hide_each_other(imports: Imports) -> None:
    """Two systems number from one: without a source an id alone says nothing."""
    imports.events("email,event,at,id\nana@acme.example,page_viewed,2026-02-01T10:00:00Z,1\n")
    report = imports.events("email,event,at,id\nana@acme.example,form_submitted,2026-02-02T10:00:00Z,1\n")

    assert report.created == 1


@pytest.mark.parametrize(
    ("at", "due"),
    [("2026-02-01T10:00:00Z", NOW), ("2026-03-02T08:59:50Z", NOW + timedelta(seconds=20))],
    ids=["history counts at once", "a fresh one rests"],
)
def test_a_click_counts_after_its_rest(imports: Imports, at: str, due: datetime) -> None:
    imports.events(f"email,event,at\nana@acme.example,email_clicked,{at}\n")

    (occurred, ripe), *_ = imports.rows("event", "occurred_at", "ripe_at")
    assert timedelta(seconds=30) == ripe - occurred
    assert [due] == imports.rows("work", "due_at")


def test_leads_are_found_by_the_id_at_their_source(imports: Imports) -> None:
    content = (
        "type,lead_id,activity_date,id,url\n"
        "OPEN,8,2026-02-01 10:00:00.000,1,\nSENT,7,2026-02-01 10:00:00,2,\nCLICK,9,2026-02-01 10:00:00,3,\n"
    )
    mapping = """
        source: crm
        event: {column: type, names: {open: email_opened, CLICK: email_clicked}}
        lead: {id: lead_id}
        at: activity_date
        zone: Europe/Bucharest
        id: id
        data: {url: url}
    """

    report = imports.events(content, mapping=mapping)

    assert [("email_opened", THEN - timedelta(hours=2), "1", {})] == imports.rows(
        "event", "name", "occurred_at", "key", "data"
    )
    assert (report.created, report.passed_over, report.refused_count) == (1, 1, 1)
    assert "passed over, since the mapping file does not name them: SENT (1)" in report.text()
    assert "is no id of a lead known from 'crm'; import the leads first" in report.text()


BAD = [
    (
        "nobody we know",
        "zoe@acme.example,page_viewed,2026-02-01T10:00:00Z,",
        "email",
        "names no lead that is known here",
    ),
    ("no lead", ",page_viewed,2026-02-01T10:00:00Z,", "email", "is empty, so nobody knows"),
    ("the future", "ana@acme.example,page_viewed,2026-03-02T09:06:00Z,", "at", "lies in the future"),
    ("no time", "ana@acme.example,page_viewed,,", "at", "an event needs its time"),
    ("no zone", "ana@acme.example,page_viewed,2026-02-01 10:00:00,", "at", "has no time zone; say 'zone:"),
    (
        "no date",
        "ana@acme.example,page_viewed,yesterday,",
        "at",
        "is not a date like 2026-03-02T09:00:00+02:00",
    ),
    ("year 1", "ana@acme.example,page_viewed,0001-01-01T00:00:00+05:00,", "at", "not a date of our time"),
    ("no name", "ana@acme.example,,2026-02-01T10:00:00Z,", "event", "is empty; an event needs a name"),
    ("no name at all", "ana@acme.example,???,2026-02-01T10:00:00Z,", "event", "is no name of an event"),
    (
        "too much data",
        "ana@acme.example,page_viewed,2026-02-01T10:00:00Z," + "x" * MAX_DATA,
        "",
        "may have 16,384 bytes",
    ),
]


@pytest.mark.parametrize(("row", "column", "said"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_row_is_refused_and_the_others_are_recorded(imports: Imports, row: str, column: str, said: str) -> None:
    good = "ana@acme.example,page_viewed,2026-02-0{}T10:00:00Z,\n"

    report = imports.events("email,event,at,path\n" + good.format(1) + row + "\n" + good.format(2))

    assert (2, [(3, column)]) == (
        report.created,
        [(refusal.line, refusal.column) for refusal in report.refused],
    )
    assert said in report.refused[0].problem
    assert report.refused_file is not None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("event,at\nx,2026-02-01T10:00:00Z\n", "no column says whose event it is"),
        ("email,event\na@b.example,x\n", "no column says when it happened"),
        ("email,at\na@b.example,2026-02-01T10:00:00Z\n", r"no column says what happened.*event: NAME"),
        ("lead_id,event,at\n1,x,2026-02-01T10:00:00Z\n", "'lead_id' holds ids; say whose with --source NAME"),
        ("email,event,at\na@b.example,x,02/03/2026 10:00\n", "line 2, at: '02/03/2026 10:00' may be day or .*%H:%M"),
    ],
)
def test_a_file_that_does_not_say_enough_changes_nothing(imports: Imports, content: str, said: str) -> None:
    with pytest.raises(FileFault, match=said):
        imports.events(content)
    assert imports.count("event") == 0


def test_json_events_keep_their_data(imports: Imports) -> None:
    row = {
        "email": "ana@acme.example",
        "event": "page_viewed",
        "at": 1769940000,
        "data": {"path": "/p", "seconds": 12},
    }

    imports.events(json.dumps(row) + "\n", name="events.ndjson")

    assert imports.rows("event", "occurred_at", "data") == [(THEN, {"path": "/p", "seconds": 12})]


def test_whoever_unsubscribed_elsewhere_is_not_written_to_here(imports: Imports) -> None:
    mapping = "{source: crm, event: unsubscribed, lead: {id: who}, at: at}"

    imports.events("who,at\n7,2026-02-01T10:00:00Z\n8,2026-02-01T10:00:00Z\n", mapping=mapping)

    assert [kind for kind, _ in imports.rows("suppression", "kind", "at")] == ["address", "lead", "lead"]
    assert set(imports.rows("suppression", "at")) == {THEN}
    assert imports.rows("consent", "withdrawn_at") == [NOW]


def test_one_event_and_one_lead_are_written_by_a_door(imports: Imports) -> None:
    """The same functions for one row: the second time it is known."""

    def visit() -> tuple[int, str, int | None]:
        def work(link: Connection) -> tuple[int, str, int | None]:
            lead, state = put_lead(
                link, {"email": "new@acme.example", "company": "Acme", "seats": 5}, now=NOW, source="form",
                consent="consent", tags=["Demo"],
            )  # fmt: skip
            event = put_event(link, lead, "form_submitted", NOW, NOW, NOW, {"form": "demo"}, "form", "k1")
            return lead, state, event

        return imports.db.transact(work, door=True)

    first, second = visit(), visit()

    assert (first[1], second[1]) == ("created", "unchanged")
    assert first[2] is not None
    assert second[2] is None
    assert imports.rows("lead_tag", "tag") == ["demo"]
    assert imports.lead("new@acme.example")["fields"] == {"seats": 5}
    assert [(first[0], NOW)] == imports.rows("work", "lead_id", "due_at")


def test_a_door_is_refused_too_much_data_and_two_leads_in_one(imports: Imports) -> None:
    lead = imports.lead("ana@acme.example")["id"]
    with pytest.raises(Refused, match="16,384 bytes"):
        imports.db.transact(lambda link: put_event(link, lead, "x", NOW, NOW, NOW, {"a": "x" * MAX_DATA}, "form", "k"))
    with pytest.raises(Refused, match="belongs to another lead"):
        imports.db.transact(
            lambda link: put_lead(link, {"email": "zoe@acme.example"}, now=NOW, source="crm", source_id="7")
        )


def test_two_imports_at_once_lose_and_double_nothing(imports: Imports) -> None:
    """Overlapping people, from two threads, in opposite order: every lead once, every fact there."""
    people = [f"p{i}@acme.example" for i in range(600)]
    files = [
        imports.file("Email,Company\n" + "".join(f"{p},Acme\n" for p in people), "one.csv"),
        imports.file("Email,Phone\n" + "".join(f"{p},123\n" for p in reversed(people)), "two.csv"),
    ]
    threads = [threading.Thread(target=imports.leads, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    facts = [row[1:] for row in imports.rows("lead", "email", "company", "phone") if row[0] in people]
    assert facts == [("Acme", "123")] * 600
    assert (imports.count("lead"), imports.count("work")) == (602, 600)
