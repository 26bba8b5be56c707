"""HubSpot: contacts told in batches by a key of our own, contacts and deals read by when they changed.

Of the API (developers.hubspot.com/docs): 100 inputs a batch; `email` takes no partial upserts, so our own unique
property `nurture_id` is the key; a search finds 10,000 records at most, so each page begins where the one before ended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from nurture.channels.outbound import Answer
from nurture.crm.api import Api, Reply
from nurture.crm.base import UNREADABLE, Change, Deal, Entry, Page, Told, Turn, Unwell, amount_of
from nurture.crm.secrets import CrmSecrets
from nurture.program.crm import Crm
from nurture.records.types import from_micros, to_micros

KEY = "nurture_id"
#: Objects of one batch, and of one page of a search.
MOST, PAGE = 100, 100
#: Seconds after which a changed record is surely found by a search ("a few moments").
SETTLED = timedelta(minutes=2)
#: Records of one search beyond which it does not go.
_FAR = 10_000
_CONTACTS, _DEALS = "/crm/v3/objects/contacts", "/crm/v3/objects/deals"
#: Seconds that each limit asks for where no Retry-After does; the daily one ends at midnight, over there.
_LIMITS = {"SECONDLY": 1.0, "TEN_SECONDLY_ROLLING": 10.0, "DAILY": 3600.0}


def _pardon(answer: Answer, said: Any) -> float | None:
    if answer.status == 423:
        return 2.0
    if answer.status != 429:
        return None
    return _LIMITS.get(str(said.get("policyName", "")).upper(), 10.0) if isinstance(said, dict) else 10.0


class HubSpot:
    """Contacts are our leads; deals belong to contacts."""

    most = MOST
    feeds: Sequence[str] = ("contacts", "deals")

    def __init__(self, crm: Crm, secrets: CrmSecrets, private: Collection[str] = ()) -> None:
        self._crm = crm
        self._api = Api("HubSpot", crm.address, secrets, "/oauth/v1/token", private, pardon=_pardon)
        self._people: dict[str, str] | None = None
        self.usage: str | None = None

    def close(self) -> None:
        self._api.close()

    def probe(self) -> list[str]:
        """Whether each property is there, and our key is unique."""
        asked = {"inputs": [{"name": name} for name in self._asked()], "archived": False}
        said = self._require(self._api.ask("POST", "/crm/v3/properties/contacts/batch/read", asked))
        there = {str(row["name"]): row for row in said.get("results", [])}
        missing = [
            f"contacts have no property '{name}'; make it, or give 'fields:' its name"
            for name in self._asked()
            if name not in there
        ]
        if KEY in there and not there[KEY].get("hasUniqueValue"):
            missing.append(f"the property '{KEY}' is not unique; make it anew with unique values")
        return missing

    def tell(self, entries: Sequence[Entry], turn: Turn) -> Iterator[tuple[str, Told]]:
        """Whose record is known, or found by its address, by its id; all others by our key, which makes them once."""
        known = self._known([entry.email for entry in entries if entry.their_id is None and entry.email])
        ids = {one.key: one.their_id or known.get((one.email or "").casefold()) for one in entries}
        yield from self._batch("update", [self._input(one, ids[one.key]) for one in entries if ids[one.key]], turn)
        yield from self._batch("upsert", [self._input(one, None) for one in entries if not ids[one.key]], turn)

    def _known(self, emails: Sequence[str]) -> dict[str, str]:
        if not emails:
            return {}
        asked = {"idProperty": "email", "properties": ["email"], "inputs": [{"id": email} for email in emails]}
        reply = self._require(self._api.ask("POST", f"{_CONTACTS}/batch/read", asked))
        rows = [(str(row.get("properties", {}).get("email", "")), str(row["id"])) for row in reply.get("results", [])]
        return {email.casefold(): number for email, number in rows}

    def _input(self, entry: Entry, their_id: str | None) -> dict[str, Any]:
        said = {"email": entry.email, **entry.values}
        properties = {KEY: entry.key}
        for ours, value in said.items():
            name = self._crm.theirs(ours)
            if name is not None and value is not None and (word := self._word(ours, value)) is not None:
                properties[name] = word
        named = {"id": their_id} if their_id else {"id": entry.key, "idProperty": KEY}
        return {**named, "objectWriteTraceId": entry.key, "properties": properties}

    def _word(self, ours: str, value: Any) -> str | None:
        if ours == "owner":
            return next((number for number, email in self._owners().items() if email == value.casefold()), None)
        if isinstance(value, bool):
            return "true" if value else "false"
        words = {"status": str.upper, "language": str.lower}
        return words.get(ours, str)(str(value))

    def _batch(self, verb: str, inputs: Sequence[dict[str, Any]], turn: Turn) -> Iterator[tuple[str, Told]]:
        """What became of each, by our key; where the whole was refused, each half is told by itself."""
        if not inputs or not turn.goes_on():
            return
        reply = self._api.ask("POST", f"{_CONTACTS}/batch/{verb}", {"inputs": list(inputs)})
        keys = [str(one["objectWriteTraceId"]) for one in inputs]
        if reply.status in (400, 404, 409) and len(inputs) > 1:
            middle = len(inputs) // 2
            yield from self._batch(verb, inputs[:middle], turn)
            yield from self._batch(verb, inputs[middle:], turn)
            return
        if reply.status in (400, 404, 409):
            yield keys[0], _refused(reply.said)
            return
        said = self._require(reply)
        told: dict[str, Told] = {}
        for row in said.get("results", []):
            key = row.get("objectWriteTraceId") or row.get("properties", {}).get(KEY)
            told[str(key)] = Told(str(row["id"]), made=row.get("new") is True)
        for fault in said.get("errors", []):
            for key in fault.get("context", {}).get("objectWriteTraceId", []):
                told[str(key)] = _refused(fault)
        for key in keys:
            yield key, told.get(key, Told(error="HubSpot says nothing of it", again=True))

    def _owners(self) -> dict[str, str]:
        """The id of each owner to the address, folded."""
        if self._people is None:
            found: dict[str, str] = {}
            after = ""
            while True:
                path = f"/crm/v3/owners?limit=100{f'&after={after}' if after else ''}"
                said = self._require(self._api.ask("GET", path))
                rows = said.get("results", [])
                found |= {str(row["id"]): str(row.get("email") or "").casefold() for row in rows}
                after = str(said.get("paging", {}).get("next", {}).get("after", ""))
                if not after:
                    break
            self._people = found
        return self._people

    def since(self, at: datetime) -> str:
        return str(_millis(at))

    def changes(self, feed: str, cursor: str, now: datetime) -> Page:
        """Records by the instant of their last change; `after` goes on only among those of one instant."""
        at, _, after = cursor.partition(":")
        contacts = feed == "contacts"
        by = "lastmodifieddate" if contacts else "hs_lastmodifieddate"
        asked = {
            "filterGroups": [{"filters": [{"propertyName": by, "operator": "GTE", "value": at}]}],
            "sorts": [{"propertyName": by, "direction": "ASCENDING"}],
            "properties": [by, *(self._asked() if contacts else self._of_deals())], "limit": PAGE,
            **({"after": after} if after else {}),
        }  # fmt: skip
        path = _CONTACTS if contacts else _DEALS
        said = self._require(self._api.ask("POST", f"{path}/search", asked))
        rows, odd = _legible(said.get("results", []), by)
        changes = [self._contact(row, by) for row in rows] if contacts else self._deals(rows, by)
        following = str(said.get("paging", {}).get("next", {}).get("after", ""))
        last = max([_millis(_instant(row["properties"][by])) for row in rows], default=int(at) - 1)
        if following and last > int(at):
            further = str(last)
        elif following and int(following) < _FAR and rows:
            further = f"{at}:{following}"
        elif following:  # ten thousand of one millisecond, of which a search shows no more; or none that can be read
            further = str(int(at) + 1)
        else:
            further = str(last + 1)
        settled = _millis(now - SETTLED)
        kept = further if int(further.partition(":")[0]) <= settled else str(settled)
        return Page(changes, further, kept, bool(following), odd)

    def _asked(self) -> list[str]:
        names = [self._crm.theirs(ours) for ours in (*self._crm.owns.crm, *self._crm.owns.nurture)]
        return [KEY, "email", *(name for name in names if name)]

    def _of_deals(self) -> list[str]:
        reason = self._crm.deals.lost_reason
        return [
            "dealstage",
            "amount",
            "deal_currency_code",
            "hs_is_closed",
            "hs_is_closed_won",
            "createdate",
            *([reason] if reason else []),
        ]

    def _contact(self, row: dict[str, Any], by: str) -> Change:
        said = row["properties"]
        values = {}
        for ours in (*self._crm.owns.crm, *self._crm.owns.nurture):
            value = said.get(self._crm.theirs(ours))
            if value not in (None, ""):
                values[ours] = self._owners().get(str(value), str(value)) if ours == "owner" else str(value)
        key, email = (str(said[name]) if said.get(name) else None for name in (KEY, "email"))
        return Change(str(row["id"]), _instant(said[by]), key, email, values)

    def _deals(self, rows: Sequence[dict[str, Any]], by: str) -> list[Change]:
        """One change for each contact of each deal."""
        if not rows:
            return []
        asked = {"inputs": [{"id": str(row["id"])} for row in rows]}
        said = self._require(self._api.ask("POST", "/crm/v4/associations/deals/contacts/batch/read", asked))
        whose = {
            str(one["from"]["id"]): [str(to["toObjectId"]) for to in one.get("to", [])]
            for one in said.get("results", [])
        }
        found = []
        for row in rows:
            deal, at = self._deal(row), _instant(row["properties"][by])
            found += [Change(contact, at, deal_id=deal.id, deal=deal) for contact in whose.get(deal.id, [])]
        return found

    def _deal(self, row: dict[str, Any]) -> Deal:
        said = row["properties"]
        closed, won = (said.get(name) == "true" for name in ("hs_is_closed", "hs_is_closed_won"))
        reason = said.get(self._crm.deals.lost_reason) if self._crm.deals.lost_reason else None
        amount = amount_of(said.get("amount"))
        opened = _instant(said["createdate"]) if said.get("createdate") else None
        outcome = True if won else False if closed else None
        stage, currency = str(said.get("dealstage") or ""), said.get("deal_currency_code") or None
        return Deal(str(row["id"]), stage, outcome, amount, currency if amount is not None else None, reason, opened)

    def _require(self, reply: Reply) -> dict[str, Any]:
        """What was said, of an answer that is none of refusal."""
        if reply.status in (200, 201, 207) and isinstance(reply.said, dict):
            return reply.said
        raise Unwell(f"HubSpot refuses what we ask ({reply.status} {_why(reply.said)}); docs/crm.md says what it needs")


def _refused(said: Any) -> Told:
    """A record that is gone is let go; an address that another contact has may be found the next time."""
    why = _why(said)
    return Told(error=why, again=why.startswith("CONFLICT"), closed=why.startswith("OBJECT_NOT_FOUND"))


def _why(said: Any) -> str:
    """A refusal in the CRM's words for machines: nothing of what was told stands in it."""
    if not isinstance(said, dict):
        return "no reason"
    codes = [str(one.get("code")) for one in said.get("errors", []) if isinstance(one, dict) and one.get("code")]
    context = [one.get("context", {}) for one in (said, *said.get("errors", [])) if isinstance(one, dict)]
    names = [str(name) for one in context for name in one.get("propertyName", [])]
    return " ".join(dict.fromkeys([str(said.get("category") or "no reason"), *codes, *names]))


def _legible(rows: Sequence[Any], by: str) -> tuple[list[dict[str, Any]], int]:
    """The rows that say what they are and when they changed, and how many do not."""
    sound = []
    for row in rows:
        try:
            said = row["properties"]
            _instant(said[by])
            if said.get("createdate"):
                _instant(said["createdate"])
            sound.append({"id": row["id"], "properties": said})
        except UNREADABLE:
            continue
    return sound, len(rows) - len(sound)


def _instant(text: str) -> datetime:
    """An ISO instant, or milliseconds since 1970."""
    if text.isdigit():
        return from_micros(int(text) * 1000)
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _millis(at: datetime) -> int:
    return to_micros(at) // 1000
