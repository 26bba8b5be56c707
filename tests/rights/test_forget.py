"""Forgotten is forgotten: a person is looked for in every store afterwards, and the counts are as they were."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from tests.rights.conftest import CANARY, NEW, OLD, House, bounce, traced


def test_the_person_is_held_in_full_and_then_not_at_all(house: House) -> None:
    """One population, three looks: the dossier is what a scan of the schema finds; after `forget` no scan finds a
    trace, in tables, files or the database's own pages; and what is counted is counted as before.
    """
    house.settle_in()
    bounce(house)
    found, counts = house.found(), _counts(house)

    document = json.loads(house.well("dossier", NEW, "--json"))
    listed = _listed(document)
    for table, rows in found.items():
        for row in rows:
            assert (table, _key(row)) in listed, (table, row)
    assert {"lead", "lead_tag", "lead_alias", "event", "suppression", "task", "touch", "visit", "webhook_body"} <= set(
        found
    )
    assert document["about"]["due"] == "2026-04-02"
    assert document["about"]["known_as"]["addresses"] == sorted([NEW, OLD])
    assert len(document["kept_messages"]) >= 4
    assert all(traced(one["content"]) for one in document["kept_messages"])
    assert [CANARY in one["row"] for one in document["refused_rows"]] == [True]
    assert document["score"]["score"] == round(sum(line["points"] for line in document["score"]["lines"])) == 40

    said = house.well("forget", NEW, "--yes")

    assert "mihai@acme.example" in said
    assert "webhook:crm" in said
    assert house.found() == {}
    assert house.files_with_traces() == []
    assert _counts(house) == counts
    assert house.nurture("verify").code == 0, house.nurture("verify").out
    assert "neighbour@lead.example" in house.well("export", "leads")

    house.server.answers.clear()
    house.server.calls.clear()
    house.well("tick")
    removed = [call["remove"] for call in house.server.said() if call.get("remove")]
    assert removed == [sorted(sha256(address.encode()).hexdigest() for address in (OLD, NEW))]
    assert [row["hashes"] for row in house.rows("audience_member")] == [None, None]
    assert house.nurture("forget", NEW, "--yes").out.startswith(f"{NEW} was forgotten on 2026-03-02 already")


def _counts(house: House) -> dict[str, Any]:
    """What reports are made of."""
    told = {
        "touches": sorted((row["kind"], row["state"]) for row in house.rows("touch") if row["sending_at"]),
        "events": sorted((row["name"], str(row["occurred_at"])) for row in house.rows("event")),
        "milestones": sorted(row["name"] for row in house.rows("milestone")),
        "stages": sorted(row["stage"] for row in house.rows("lead")),
        "funnel": json.loads(house.well("report", "funnel", "--json")),
    }
    for row in told["funnel"]["handoffs"]:  # nobody is asked to work on it any more
        row["ended"] = row.pop("waiting") + row.pop("expired")
    return told


def _listed(document: dict[str, Any]) -> set[tuple[str, Any]]:
    """(table, key) of each row of a dossier."""
    from nurture.rights.schema import TABLES, called

    found = {("lead", document["lead"]["id"])}
    for name in TABLES:
        found |= {(name, _key(row)) for row in document.get(called(name), ())}
    return found


def _key(row: dict[str, Any]) -> Any:
    """What tells a row from the others of its table."""
    if "id" in row:
        return row["id"]
    return next((row[name] for name in ("touch_id", "scope") if name in row), None) or json.dumps(
        [row.get(name) for name in ("lead_id", "audience", "tag", "list", "rule", "kind", "value", "topic")]
    )
