"""A server that keeps HubSpot's rules, each with the page of developers.hubspot.com/docs that says it.

What the pages leave open is said where it is decided; docs/crm.md lists it under "What no test can show".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.crm.peer import Call, Peer

TOKEN = "pat-eu1-a-token-of-a-private-app"
KEY = "nurture_id"
STAGES = [
    "subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer", "evangelist",
]  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class HubSpot(Peer):
    """Contacts, deals, owners. `now`: its clock; `multi`: whether it answers 207 where each input has a trace id."""

    def reset(self) -> None:
        super().reset()
        self.now = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
        self.multi = True
        #: Addresses that it does not like, for a reason of its own.
        self.odd: set[str] = set()
        self.tokens = {TOKEN}
        self.properties: dict[str, dict[str, Any]] = {
            name: {"name": name, "hasUniqueValue": name == KEY}
            for name in (
                KEY, "email", "firstname", "lastname", "company", "jobtitle", "phone", "lifecyclestage",
                "hubspot_owner_id", "hs_lead_status", "lastmodifieddate", "nurture_score",
            )
        }  # fmt: skip
        self.owners = [{"id": "71", "email": "mihai@acme.example"}, {"id": "72", "email": "stranger@acme.example"}]
        self.contacts: dict[str, dict[str, str]] = {}
        self.deals: dict[str, dict[str, str]] = {}
        self.of_deal: dict[str, list[str]] = {}

    # what salespeople do over there

    def contact(self, **properties: str) -> str:
        """A new contact; its id."""
        number = str(501 + len(self.contacts))
        self.contacts[number] = {}
        self.change(number, **properties)
        return number

    def change(self, contact: str, **properties: str) -> None:
        """A salesperson changes a contact, a moment later."""
        self._write(self.contacts[contact], properties, "lastmodifieddate")

    def deal(self, number: str, contact: str, **properties: str) -> None:
        """A deal of a contact, new or changed."""
        self.of_deal[number] = [contact]
        fresh = {"createdate": (self.now + timedelta(seconds=1)).isoformat()}
        self._write(self.deals.setdefault(number, fresh), properties, "hs_lastmodifieddate")

    def of(self, email: str) -> dict[str, str]:
        """The contact with this address."""
        (found,) = [one for one in self.contacts.values() if one.get("email") == email]
        return found

    def _write(self, row: dict[str, str], properties: dict[str, str], stamp: str) -> None:
        self.now += timedelta(seconds=1)
        row |= properties | {stamp: self.now.isoformat().replace("+00:00", "Z")}

    # the rules

    def rules(self, call: Call) -> tuple[int, Any, dict[str, str]]:
        """…/apps/developer-platform/build-apps/authentication/overview: a bearer token, or 401."""
        path = urlsplit(call.path).path
        if path == "/oauth/v1/token":
            return self._token(call)
        if call.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return 401, {"status": "error", "category": "INVALID_AUTHENTICATION"}, {}
        ways = {
            "/crm/v3/objects/contacts/batch/read": self._read,
            "/crm/v3/objects/contacts/batch/update": self._update,
            "/crm/v3/objects/contacts/batch/upsert": self._upsert,
            "/crm/v3/objects/contacts/search": lambda one: self._search(one, self.contacts, "lastmodifieddate"),
            "/crm/v3/objects/deals/search": lambda one: self._search(one, self.deals, "hs_lastmodifieddate"),
            "/crm/v4/associations/deals/contacts/batch/read": self._associations,
            "/crm/v3/properties/contacts/batch/read": self._properties,
            "/crm/v3/owners": self._owners,
        }
        if path not in ways:
            return 404, {"status": "error", "category": "OBJECT_NOT_FOUND"}, {}
        inputs = call.body.get("inputs", []) if isinstance(call.body, dict) else []
        if len(inputs) > 100:  # …/docs/guides/crm/using-object-apis#limits: 100 inputs per request
            return 400, {"status": "error", "category": "VALIDATION_ERROR"}, {}
        return *ways[path](call), {}

    def _token(self, call: Call) -> tuple[int, Any, dict[str, str]]:
        """…/docs/api-reference/auth-oauth-v1/guide: a refresh token gives an access token that runs out."""
        form = {name: values[0] for name, values in parse_qs(call.body).items()}
        wanted = {"grant_type": "refresh_token", "client_id": "id", "client_secret": "secret", "refresh_token": "again"}
        if form != wanted:
            return 400, {"status": "BAD_REFRESH_TOKEN"}, {}
        token = f"token-{len(self.tokens)}"
        self.tokens.add(token)
        return 200, {"access_token": token, "expires_in": 1800}, {}

    def _owners(self, call: Call) -> tuple[int, Any]:
        """…/docs/api-reference/crm-crm-owners-v3/guide: id assigns records, userId does not; pages by `after`."""
        asked = parse_qs(urlsplit(call.path).query)
        begin = int(asked.get("after", ["0"])[0])
        said: dict[str, Any] = {"results": self.owners[begin : begin + 1]}
        if begin + 1 < len(self.owners):
            said["paging"] = {"next": {"after": str(begin + 1)}}
        return 200, said

    def _properties(self, call: Call) -> tuple[int, Any]:
        """…/docs/api-reference/crm-properties-v3/guide: those that are there; the others are errors beside them."""
        names = [one["name"] for one in call.body["inputs"]]
        found = [self.properties[name] for name in names if name in self.properties]
        return (200 if len(found) == len(names) else 207), {"results": found}

    def _read(self, call: Call) -> tuple[int, Any]:
        """…/docs/guides/crm/using-object-apis#retrieve-records: by `idProperty`; who is not there is an error (207)."""
        by, wanted = call.body["idProperty"], [one["id"].casefold() for one in call.body["inputs"]]
        found = [
            {"id": number, "properties": {"email": row.get("email")}}
            for number, row in self.contacts.items()
            if row.get(by, "").casefold() in wanted
        ]
        lacking = [{"status": "error", "category": "OBJECT_NOT_FOUND"}] if len(found) < len(wanted) else []
        return (207 if lacking else 200), {"results": found, "errors": lacking}

    def _update(self, call: Call) -> tuple[int, Any]:
        """…/docs/guides/crm/using-object-apis#update-records: by record id."""
        return self._batch(call, lambda one: one["id"] if one["id"] in self.contacts else None)

    def _upsert(self, call: Call) -> tuple[int, Any]:
        """…#upsert-records: by a unique property; with `email` as idProperty a partial upsert is not supported."""
        if any(one.get("idProperty") != KEY for one in call.body["inputs"]):
            return 400, {"status": "error", "category": "VALIDATION_ERROR"}

        def whose(one: dict[str, Any]) -> str:
            there = [number for number, row in self.contacts.items() if row.get(KEY) == one["id"]]
            return there[0] if there else ""

        return self._batch(call, whose)

    def _batch(self, call: Call, whose: Any) -> tuple[int, Any]:
        """…#multi-status-errors: 207 with the errors by objectWriteTraceId, if each input has one; else the whole is
        refused. The page says it of batch/create; `multi` tries both for the others."""
        inputs = call.body["inputs"]
        results: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for one in inputs:
            number = whose(one)
            fault = self._fault(one, number)
            if number is None:  # …/docs/api-reference/error-handling: no such record
                trace = {"objectWriteTraceId": [one.get("objectWriteTraceId")]}
                fault = {"status": "error", "category": "OBJECT_NOT_FOUND", "context": trace, "as": 404}
            (errors if fault else results).append(fault or one)
        if errors and not (self.multi and all("objectWriteTraceId" in one for one in inputs)):
            return int(errors[0].pop("as")), errors[0]
        done = [self._put(one, whose(one)) for one in results]
        return (207 if errors else 200), {
            "status": "COMPLETE",
            "results": done,
            "errors": errors,
            "numErrors": len(errors),
        }

    def _fault(self, one: dict[str, Any], number: str | None) -> dict[str, Any] | None:
        """…#error-handling: an unknown property is named in the context of its error; an address belongs to one contact
        (…/docs/api-reference/crm-contacts-v3/guide: 409 Conflict)."""
        trace = {"objectWriteTraceId": [one.get("objectWriteTraceId")]}
        odd = [name for name in one["properties"] if name not in self.properties]
        if odd:
            errors = [{"code": "PROPERTY_DOESNT_EXIST", "context": {"propertyName": odd}}]
            return {"status": "error", "category": "VALIDATION_ERROR", "errors": errors, "context": trace, "as": 400}
        email = one["properties"].get("email")
        if email in self.odd:
            return {"status": "error", "category": "VALIDATION_ERROR", "message": email, "context": trace, "as": 400}
        if any(row.get("email") == email and other != number for other, row in self.contacts.items() if email):
            return {"status": "error", "category": "CONFLICT", "context": trace, "as": 409}
        return None

    def _put(self, one: dict[str, Any], number: str) -> dict[str, Any]:
        """…/docs/api-reference/crm-contacts-v3/guide#update-contacts: `lifecyclestage` goes forward alone. …/batch/upsert-contacts:
        `new` says whether the record was made."""
        fresh, number = not number, number or str(501 + len(self.contacts))
        row, said = self.contacts.setdefault(number, {}), dict(one["properties"])
        was, to = row.get("lifecyclestage"), said.get("lifecyclestage")
        if was in STAGES and to in STAGES and STAGES.index(to) < STAGES.index(was):
            del said["lifecyclestage"]
        if any(row.get(name) != value for name, value in said.items()):
            self._write(row, said, "lastmodifieddate")
        trace = {"objectWriteTraceId": one["objectWriteTraceId"]} if "objectWriteTraceId" in one else {}
        return {"id": number, "new": fresh, "properties": {KEY: row.get(KEY)}, **trace}

    def _search(self, call: Call, rows: dict[str, dict[str, str]], by: str) -> tuple[int, Any]:
        """…/docs/api-reference/search/guide: 200 a page, 10,000 in all (then 400), instants in milliseconds or ISO."""
        asked, begin = call.body, int(call.body.get("after", 0))
        ((one,),) = [group["filters"] for group in asked["filterGroups"]]
        if (
            asked["limit"] > 200
            or begin + asked["limit"] > 10_000
            or one["operator"] != "GTE"
            or one["propertyName"] != by
        ):
            return 400, {"status": "error", "category": "VALIDATION_ERROR"}
        found = sorted(
            ((_millis(row[by]), number, row) for number, row in rows.items() if _millis(row[by]) >= int(one["value"])),
            key=lambda row: row[:2],
        )
        wanted = {*asked["properties"], by}
        page = [
            {"id": number, "properties": {name: value for name, value in row.items() if name in wanted}}
            for _, number, row in found[begin : begin + asked["limit"]]
        ]
        said: dict[str, Any] = {"total": len(found), "results": page}
        if begin + len(page) < len(found):
            said["paging"] = {"next": {"after": str(begin + len(page))}}
        return 200, said

    def _associations(self, call: Call) -> tuple[int, Any]:
        """…/docs/api-reference/crm-associations-v4/guide: which contacts each deal has."""
        asked = [one["id"] for one in call.body["inputs"]]
        rows = [
            {"from": {"id": number}, "to": [{"toObjectId": int(contact)} for contact in self.of_deal[number]]}
            for number in asked
            if number in self.of_deal
        ]
        return 200, {"results": rows}


def _millis(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)
