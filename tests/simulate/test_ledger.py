"""On the same leads a rehearsal and the real ticks leave the same ledger, row by row; and the real base stays as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url
from sqlmodel import SQLModel

from tests.cli.conftest import LETTER
from tests.postgres import Server
from tests.simulate.conftest import Base, copy_file, dump

UNTIL = "2026-03-17T07:00:00Z"
#: Columns that cannot be equal, and why.
APART = {
    ("touch", "run_id"): "the name of the run that acted on it last: drawn anew by every run",
    ("touch", "lease_owner"): "the name of the worker that had it: host, process and a random part",
    ("touch", "lease_until"): "by the database's own clock, which is the wall's for both",
    ("outbox", "lease_owner"): "the name of the worker that sent the notice",
}
#: Tables that tell of the installation and not of its leads.
HOUSEKEEPING = {
    "lease": "who carries a segment now, by the database's clock",
    "meta": "where the database is; the copy that was ticked had to be adopted",
    "audit": "what a person decided: the adoption of that copy",
    "opening": "derived from the tz database; filled ahead as needed",
    "zone_span": "derived from the tz database; filled as needed",
}
#: On PostgreSQL rows that one statement writes are numbered in another order than on SQLite, so these are held
#: against each other by what they are of: (lead, sequence, …). What is made of a touch's number differs with it.
NUMBERED = {
    "id": "", "enrolment_id": "", "touch_id": "", "event_id": "", "handoff_id": "", "row_id": "",
    "message_id": "sealed from the touch's number", "payload_sha256": "links in it are sealed from the number",
    "key": "touch:<number>:sent",
}  # fmt: skip


def plain(value: Any) -> Any:
    """As both databases mean it: documents read, numbers to nine places."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        value = json.loads(value)
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True)
    if isinstance(value, bool):
        return int(value)
    return round(value, 9) if isinstance(value, float) else value


def ledger(url: str, apart: set[str]) -> dict[str, list[str]]:
    """Every row of every table that tells of leads, without what cannot be equal."""
    found = {}
    for table, rows in dump(url).items():
        if table in HOUSEKEEPING:
            continue
        told = [
            repr({k: plain(v) for k, v in row.items() if (table, k) not in APART and k not in apart}) for row in rows
        ]
        found[table] = sorted(told)
    return found


def ticked(base: Base, url: str, home: Path, monkeypatch: pytest.MonkeyPatch, now: str, until: str) -> None:
    """`nurture tick --now --until` on a copy that was made this installation's own."""
    with monkeypatch.context() as here:
        here.setenv("NURTURE_DATABASE_URL", url)
        here.setenv("NURTURE_HOME", str(home))
        assert base.nurture("adopt", "--yes").code == 0
        said = base.nurture("tick", "--now", now, "--until", until)
        assert said.code == 0, said.err


#: What is changed in the base before both begin, and on which databases.
CASES = {
    "as it stands, sqlite": [],
    "as it stands, postgres": [],
    "a segment is paused, sqlite": [("pause", "evaluators")],
    "a lead is stopped, sqlite": [("stop", "p06@acme.example")],
    "somebody left, postgres": [("unsubscribe", "p08@acme.example")],
}


@pytest.mark.parametrize("case", CASES)
def test_simulate_and_tick_leave_the_same_ledger(
    make_base: Callable[[str], Base],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    case: str,
) -> None:
    """Twelve days from the same state: on SQLite every number is the same, on PostgreSQL everything but numbers."""
    base = make_base(case.rpartition(" ")[2])
    for words in CASES[case]:
        assert base.nurture(*words).code == 0
    sqlite = base.url.startswith("sqlite")
    if sqlite:
        other = copy_file(base.url, tmp_path / "other.db")
    else:
        server: Server = request.getfixturevalue("postgres")
        other = server.url(server.create(template=make_url(base.url).database))
    said = base.nurture("simulate", "evaluators", "--days", "12", "--keep", "kept.db", "--no-diaries")
    kept = f"sqlite:///{base.desk.folder / 'kept.db'}"
    ticked(base, other, tmp_path / "home of the copy", monkeypatch, "2026-03-05T07:00:00Z", UNTIL)
    apart = set() if sqlite else set(NUMBERED)
    ours, theirs = ledger(kept, apart), ledger(other, apart)
    if not sqlite:
        server.drop(str(make_url(other).database))

    assert said.code == 0
    assert {name for name in theirs if ours[name] != theirs[name]} == set()
    assert len(theirs["touch"]) > 30
    assert set(ours) == SQLModel.metadata.tables.keys() - HOUSEKEEPING.keys()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_real_base_is_not_touched(make_base: Callable[[str], Base], kind: str) -> None:
    """Not a row, not a message, not a call, not a file: neither live nor with a draft."""
    base = make_base(kind)
    base.desk.write("templates/evaluators/nudge.j2", LETTER + " ")
    before, taken, told = base.dump(), len(base.relay.taken), len(base.posts)
    files = sorted(base.desk.folder.rglob("*"))
    said = base.nurture("simulate", "evaluators", "--days", "6", "--draft")
    after = sorted(base.desk.folder.rglob("*"))

    assert said.code == 0, said.err
    assert base.dump() == before
    assert (len(base.relay.taken), len(base.posts)) == (taken, told)
    assert [file for file in after if file not in files and "nurture.db" not in file.name] == []
    assert taken > 10
