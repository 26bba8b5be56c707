"""Salesforce: leads told in collections by an external id, leads and their opportunities read by when they changed.

Of the API (developer.salesforce.com/docs, REST API Developer Guide): 200 records a collection, each with an outcome of
its own; SOQL by SystemModstamp, and nextRecordsUrl while there is more; a converted lead takes no changes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from nurture.channels.outbound import Answer
from nurture.crm.api import Api, Reply
from nurture.crm.base import UNREADABLE, Change, Deal, Entry, Page, Told, Turn, Unwell, amount_of
from nurture.crm.secrets import CrmSecrets
from nurture.program.crm import Crm

KEY = "Nurture_Id__c"
VERSION = "/services/data/v62.0"
MOST = 200
#: What a lead must have over there, and has when nobody knows it.
REQUIRED = {"last_name": "[not provided]", "company": "[not provided]"}
#: How long after its SystemModstamp a row is surely committed, and so found.
SETTLED = timedelta(minutes=5)
#: Share of the day's calls that we leave to others.
LEFT = 0.05
_PAGES = {"Sforce-Query-Options": "batchSize=500"}
#: Refusals that may be none a moment later.
_AGAIN = {"UNABLE_TO_LOCK_ROW", "DUPLICATE_EXTERNAL_ID", "SERVER_UNAVAILABLE", "QUERY_TIMEOUT"}
_CLOSED = {"CANNOT_UPDATE_CONVERTED_LEAD", "ENTITY_IS_DELETED"}
_HOUR = 3600.0


def _pardon(answer: Answer, said: Any) -> float | None:
    """A day's calls are counted over 24 hours that move on; so it is asked again in an hour."""
    return _HOUR if answer.status == 403 and "REQUEST_LIMIT_EXCEEDED" in _codes(said) else None


class Salesforce:
    """Leads are our leads; the opportunity of a converted one is its deal."""

    most = MOST
    feeds: Sequence[str] = ("leads", "opportunities")

    def __init__(self, crm: Crm, secrets: CrmSecrets, private: Collection[str] = ()) -> None:
        self._crm = crm
        self._api = Api("Salesforce", crm.address, secrets, "/services/oauth2/token", private, pardon=_pardon)
        self._people: dict[str, str] | None = None
        self.usage: str | None = None

    def close(self) -> None:
        self._api.close()

    def probe(self) -> list[str]:
        """Whether leads have each field; which one is missing is asked only if one is."""
        names = self._columns()
        if self._ask("GET", self._path(f"SELECT {', '.join(names)} FROM Lead LIMIT 1")).status == 200:
            return []
        odd = [name for name in names if self._ask("GET", self._path(f"SELECT {name} FROM Lead LIMIT 1")).status != 200]
        return [f"leads have no field '{name}' that we may read; make it, or give 'fields:' its name" for name in odd]

    def tell(self, entries: Sequence[Entry], turn: Turn) -> Iterator[tuple[str, Told]]:
        """Whose record is known, or found by its address, by its id; all others by our key, which makes them once."""
        known = self._known([entry.email for entry in entries if entry.their_id is None and entry.email])
        ids = {one.key: one.their_id or known.get((one.email or "").casefold()) for one in entries}
        for there, path in (
            (True, f"{VERSION}/composite/sobjects"),
            (False, f"{VERSION}/composite/sobjects/Lead/{KEY}"),
        ):
            some = [one for one in entries if bool(ids[one.key]) is there]
            if some and turn.goes_on():
                records = [self._record(one, ids[one.key]) for one in some]
                rows = self._require(self._ask("PATCH", path, {"allOrNone": False, "records": records}))
                yield from ((one.key, _outcome(row)) for one, row in zip(some, rows, strict=True))

    def _known(self, emails: Sequence[str]) -> dict[str, str]:
        """The id of each lead that is not converted, by its address."""
        if not emails:
            return {}
        listed = ", ".join(_quoted(email) for email in emails)
        rows = self._query(f"SELECT Id, Email FROM Lead WHERE IsConverted = false AND Email IN ({listed})")
        return {str(row["Email"]).casefold(): str(row["Id"]) for row in rows}

    def _record(self, entry: Entry, their_id: str | None) -> dict[str, Any]:
        record: dict[str, Any] = {"attributes": {"type": "Lead"}, KEY: entry.key}
        said = {"email": entry.email, **entry.values}
        if their_id is not None:
            record["id"] = their_id
        else:
            said = {**REQUIRED, **said}
        for ours, value in said.items():
            name = self._crm.theirs(ours)
            if name is None or value is None:
                continue
            if ours == "owner":
                value = next((number for number, email in self._owners().items() if email == value.casefold()), None)
            if value is not None:
                record[name] = value
        return record

    def _owners(self) -> dict[str, str]:
        """The id of each active user to the address, folded."""
        if self._people is None:
            rows = self._query("SELECT Id, Email FROM User WHERE IsActive = true")
            self._people = {str(row["Id"]): str(row["Email"] or "").casefold() for row in rows}
        return self._people

    def since(self, at: datetime) -> str:
        return _stamp(at)

    def changes(self, feed: str, cursor: str, now: datetime) -> Page:
        """Rows by SystemModstamp; a cursor is an instant, and behind a space the way to the rest of its rows."""
        at, _, rest = cursor.partition(" ")
        reply = self._ask("GET", rest, headers=_PAGES) if rest else None
        if reply is None or reply.status in (400, 404):  # a locator that has run out: from the instant on
            reply = self._ask("GET", self._path(self._asked(feed, at)), headers=_PAGES)
        said = self._require(reply)
        rows, odd = _legible(said.get("records", []))
        changes = self._leads(rows) if feed == "leads" else [self._opportunity(row) for row in rows]
        last = max([_instant(at), *(_instant(row["SystemModstamp"]) for row in rows)])
        following = str(said.get("nextRecordsUrl") or "")
        more = not said.get("done", True) and following.startswith(VERSION)
        further = f"{_stamp(last)} {following}" if more else _stamp(last)
        settled = now - SETTLED
        return Page(changes, further, further if last <= settled else _stamp(settled), more, odd)

    def _asked(self, feed: str, at: str) -> str:
        if feed == "opportunities":
            return f"{self._of_deals()} WHERE SystemModstamp >= {at} ORDER BY SystemModstamp, Id"
        return f"SELECT {', '.join(self._columns())} FROM Lead WHERE SystemModstamp >= {at} ORDER BY SystemModstamp, Id"

    def _columns(self) -> list[str]:
        """What is read of a lead."""
        names = [self._crm.theirs(ours) for ours in (*self._crm.owns.crm, *self._crm.owns.nurture)]
        always = ["Id", KEY, "Email", "SystemModstamp", "IsConverted", "ConvertedOpportunityId"]
        return list(dict.fromkeys([*always, *(name for name in names if name)]))

    def _of_deals(self) -> str:
        reason = self._crm.deals.lost_reason
        columns = ["Id", "StageName", "IsClosed", "IsWon", "Amount", "CreatedDate", "SystemModstamp"]
        columns += [reason] if reason else []
        return f"SELECT {', '.join(columns)} FROM Opportunity"

    def _leads(self, rows: Sequence[dict[str, Any]]) -> list[Change]:
        """With the opportunity of each that was converted, as it is: it may have changed before we knew of it."""
        asked = [str(row["ConvertedOpportunityId"]) for row in rows if row.get("ConvertedOpportunityId")]
        deals: dict[str, Deal] = {}
        if asked:
            found, _ = _legible(self._query(f"{self._of_deals()} WHERE Id IN ({', '.join(map(_quoted, asked))})"))
            deals = {str(row["Id"]): self._deal(row) for row in found}
        changes = []
        for row in rows:
            values = {}
            for ours in (*self._crm.owns.crm, *self._crm.owns.nurture):
                value = row.get(self._crm.theirs(ours) or "")
                if value not in (None, ""):
                    values[ours] = self._owners().get(str(value), str(value)) if ours == "owner" else _text(value)
            key, email, deal = (
                str(row[name]) if row.get(name) else None for name in (KEY, "Email", "ConvertedOpportunityId")
            )
            at = _instant(row["SystemModstamp"])
            changes.append(Change(str(row["Id"]), at, key, email, values, deal, deals.get(deal or "")))
        return changes

    def _opportunity(self, row: dict[str, Any]) -> Change:
        return Change("", _instant(row["SystemModstamp"]), deal_id=str(row["Id"]), deal=self._deal(row))

    def _deal(self, row: dict[str, Any]) -> Deal:
        won = bool(row.get("IsWon")) if row.get("IsClosed") else None
        opened = _instant(row["CreatedDate"]) if row.get("CreatedDate") else None
        reason = row.get(self._crm.deals.lost_reason) if self._crm.deals.lost_reason else None
        return Deal(
            str(row["Id"]), str(row.get("StageName") or ""), won, amount_of(row.get("Amount")), None, reason, opened
        )

    def _query(self, soql: str) -> list[dict[str, Any]]:
        rows, path = [], self._path(soql)
        while path:
            said = self._require(self._ask("GET", path, headers=_PAGES))
            rows += said.get("records", [])
            path = str(said.get("nextRecordsUrl") or "") if not said.get("done", True) else ""
        return rows

    def _path(self, soql: str) -> str:
        return f"{VERSION}/query?q={quote(soql, safe='')}"

    def _ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        used, _, all_of_it = (self.usage or "").partition("/")
        if used.isdigit() and all_of_it.isdigit() and int(used) > int(all_of_it) * (1 - LEFT):
            raise Unwell(f"Salesforce: {self.usage} calls of the day are used; the rest is left to others", _HOUR)
        reply = self._api.ask(method, path, body, headers)
        for part in reply.headers.get("sforce-limit-info", "").replace(";", ",").split(","):
            name, _, said = part.strip().partition("=")
            self.usage = said if name == "api-usage" else self.usage
        return reply

    def _require(self, reply: Reply) -> Any:
        """What was said, of an answer that is none of refusal."""
        if reply.status in (200, 201) and reply.said is not None:
            return reply.said
        why = " ".join(_codes(reply.said)) or "no reason"
        raise Unwell(f"Salesforce refuses what we ask ({reply.status} {why}); docs/crm.md says what it needs")


def _outcome(row: Mapping[str, Any]) -> Told:
    """An UpsertResult or SaveResult; its messages may hold what was told, its codes and field names do not."""
    if row.get("success"):
        return Told(str(row["id"]) if row.get("id") else None, made=row.get("created") is True)
    faults = [one for one in row.get("errors", []) if isinstance(one, dict)]
    codes = [str(one.get("statusCode", "no reason")) for one in faults]
    fields = [str(name) for one in faults for name in one.get("fields", [])]
    why = " ".join(dict.fromkeys([*codes, *fields])) or "no reason"
    return Told(error=why, again=not _AGAIN.isdisjoint(codes), closed=not _CLOSED.isdisjoint(codes))


def _codes(said: Any) -> list[str]:
    """The error codes of a refusal: a list of objects."""
    found = said if isinstance(said, list) else [said]
    return [str(one["errorCode"]) for one in found if isinstance(one, dict) and one.get("errorCode")]


def _legible(rows: Sequence[Any]) -> tuple[list[dict[str, Any]], int]:
    """The rows that say what they are and when they changed, and how many do not."""
    sound = []
    for row in rows:
        try:
            _instant(row["SystemModstamp"])
            if row.get("CreatedDate"):
                _instant(row["CreatedDate"])
            sound.append({"Id": row["Id"], **row})
        except UNREADABLE:
            continue
    return sound, len(rows) - len(sound)


def _quoted(text: str) -> str:
    """A string in SOQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _stamp(at: datetime) -> str:
    """As SOQL writes an instant."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
