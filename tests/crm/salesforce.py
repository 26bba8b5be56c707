"""A server that keeps Salesforce's rules, each with the page of developer.salesforce.com/docs that says it.

The pages are those of the REST API Developer Guide (…/atlas.en-us.api_rest.meta/api_rest/) unless another is named.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.crm.peer import Call, Peer

KEY = "Nurture_Id__c"
_SOQL = re.compile(
    r"SELECT (?P<columns>.+?) FROM (?P<of>\w+)(?: WHERE (?P<where>.+?))?(?: ORDER BY [\w, ]+)?(?: LIMIT \d+)?"
)
_FIELDS = {
    "Lead": {
        "Id", KEY, "Email", "FirstName", "LastName", "Company", "Title", "Phone", "Status", "OwnerId", "IsConverted",
        "ConvertedOpportunityId", "SystemModstamp", "Nurture_Score__c",
    },
    "User": {"Id", "Email", "IsActive"},
    "Opportunity": {"Id", "StageName", "IsClosed", "IsWon", "Amount", "CreatedDate", "SystemModstamp", "Loss_Reason__c"},
}  # fmt: skip


class Salesforce(Peer):
    """Leads, opportunities, users. `page`: rows of one answer; `used`: calls of the day, of `allowed`."""

    def reset(self) -> None:
        super().reset()
        self.now = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
        self.page, self.used, self.allowed = 2_000, 0, 100_000
        self.token = "00D-session-1"
        self.leads: dict[str, dict[str, Any]] = {}
        self.opportunities: dict[str, dict[str, Any]] = {}
        self.users = [
            {"Id": "005A", "Email": "mihai@acme.example", "IsActive": True},
            {"Id": "005B", "Email": "stranger@acme.example", "IsActive": True},
        ]
        #: Ids of leads that another transaction holds; addresses that a duplicate rule bars.
        self.locked: set[str] = set()
        self.barred: set[str] = set()
        self._rest: dict[str, list[dict[str, Any]]] = {}

    # what salespeople do over there

    def lead(self, **fields: Any) -> str:
        """A new lead; its id."""
        number = f"00Q{len(self.leads) + 1:04d}"
        self.leads[number] = dict.fromkeys(_FIELDS["Lead"]) | {"Id": number, "IsConverted": False, "Status": "Open"}
        self.change(number, **fields)
        return number

    def change(self, number: str, **fields: Any) -> None:
        """A salesperson changes a lead, a moment later."""
        self._write(self.leads[number], fields)

    def opportunity(self, number: str, **fields: Any) -> None:
        """An opportunity, new or changed."""
        fresh = dict.fromkeys(_FIELDS["Opportunity"]) | {"Id": number, "IsClosed": False, "IsWon": False}
        fresh["CreatedDate"] = _stamp(self.now + timedelta(seconds=1))
        self._write(self.opportunities.setdefault(number, fresh), fields)

    def convert(self, number: str, opportunity: str) -> None:
        """…/atlas.en-us.api.meta/api/sforce_api_calls_convertlead.htm: a lead becomes an opportunity, and read-only."""
        self.opportunity(opportunity, StageName="Prospecting")
        self.change(number, IsConverted=True, ConvertedOpportunityId=opportunity)

    def of(self, email: str) -> dict[str, Any]:
        """The lead with this address."""
        (found,) = [one for one in self.leads.values() if one["Email"] == email]
        return found

    def _write(self, row: dict[str, Any], fields: dict[str, Any]) -> None:
        self.now += timedelta(seconds=1)
        row |= fields | {"SystemModstamp": _stamp(self.now)}

    # the rules

    def rules(self, call: Call) -> tuple[int, Any, dict[str, str]]:
        """errorcodes.htm: 401 for a session that has run out, 403 REQUEST_LIMIT_EXCEEDED beyond the day's calls;
        headers_api_usage.htm: every other answer says how many are used."""
        where = urlsplit(call.path)
        if where.path == "/services/oauth2/token":
            return self._token(call)
        if call.headers.get("authorization") != f"Bearer {self.token}":
            return 401, [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}], {}
        self.used += 1
        if self.used > self.allowed:
            return 403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}], {}
        limits = {"Sforce-Limit-Info": f"api-usage={self.used}/{self.allowed}"}
        path = where.path.removeprefix("/services/data/v62.0")
        if call.method == "GET" and path == "/query":
            return *self._query(parse_qs(where.query)["q"][0]), limits
        if call.method == "GET" and path.startswith("/query/"):
            return *self._more(path.removeprefix("/query/")), limits
        if call.method == "PATCH" and path.startswith("/composite/sobjects"):
            return *self._collection(call.body, path.removeprefix("/composite/sobjects")), limits
        return 404, [{"errorCode": "NOT_FOUND"}], limits

    def _token(self, call: Call) -> tuple[int, Any, dict[str, str]]:
        """help.salesforce.com, "OAuth 2.0 Client Credentials Flow": a POST to …/services/oauth2/token."""
        form = {name: values[0] for name, values in parse_qs(call.body).items()}
        if form != {"grant_type": "client_credentials", "client_id": "id", "client_secret": "secret"}:
            return 400, {"error": "invalid_client"}, {}
        return 200, {"access_token": self.token, "instance_url": self.url, "token_type": "Bearer"}, {}

    def _collection(self, body: dict[str, Any], path: str) -> tuple[int, Any]:
        """resources_composite_sobjects_collections_upsert.htm: up to 200, outcomes in the order of the records, each with
        its type, no record id where an external id is the key. …_update.htm: the record id."""
        records, upsert = body["records"], path == f"/Lead/{KEY}"
        wrong = len(records) > 200 or any("type" not in one.get("attributes", {}) for one in records)
        if wrong or (upsert and any("id" in one or "Id" in one for one in records)) or path not in ("", f"/Lead/{KEY}"):
            return 400, [{"errorCode": "INVALID_FIELD"}]
        assert body["allOrNone"] is False
        return 200, [self._save(one, upsert) for one in records]

    def _save(self, record: dict[str, Any], upsert: bool) -> dict[str, Any]:
        said = {name: value for name, value in record.items() if name not in ("attributes", "id")}
        if odd := sorted(said.keys() - _FIELDS["Lead"]):
            return _refused("INVALID_FIELD", *odd)
        if upsert:
            there = [number for number, row in self.leads.items() if row[KEY] == said[KEY]]
            if len(there) > 1:  # errorcodes.htm: 300, an external id that exists in more than one record
                return _refused("DUPLICATE_EXTERNAL_ID", KEY)
        else:
            there = [record["id"]] if record["id"] in self.leads else []
            if not there:
                return _refused("ENTITY_IS_DELETED")
        if not there:
            # …/object_reference/sforce_api_objects_lead.htm: LastName and Company are required
            if lacking := [name for name in ("LastName", "Company") if not said.get(name)]:
                return _refused("REQUIRED_FIELD_MISSING", *lacking)
            if said.get("Email") in self.barred:  # …/api/sforce_api_objects_duplicateerror.htm
                return _refused("DUPLICATES_DETECTED")
            return {"id": self.lead(**said), "success": True, "errors": [], "created": True}
        if there[0] in self.locked:  # a row that another transaction holds for ten seconds
            return _refused("UNABLE_TO_LOCK_ROW")
        if self.leads[there[0]]["IsConverted"]:
            return _refused("CANNOT_UPDATE_CONVERTED_LEAD")
        self.change(there[0], **said)
        return {"id": there[0], "success": True, "errors": [], "created": False}

    def _query(self, soql: str) -> tuple[int, Any]:
        """resources_query.htm: a batch of rows, `done`, and where the rest is."""
        read = _SOQL.fullmatch(soql)
        if read is None:
            return 400, [{"errorCode": "MALFORMED_QUERY"}]
        columns = read["columns"].split(", ")
        if set(columns) - _FIELDS[read["of"]]:
            return 400, [{"errorCode": "INVALID_FIELD"}]
        tables = {"Lead": self.leads.values(), "Opportunity": self.opportunities.values(), "User": self.users}
        rows = [row for row in tables[read["of"]] if _holds(read["where"] or "", row)]
        rows = sorted(rows, key=lambda row: (row.get("SystemModstamp", ""), row["Id"]))
        return self._batch([{name: row[name] for name in columns} for row in rows])

    def _batch(self, rows: list[dict[str, Any]]) -> tuple[int, Any]:
        said: dict[str, Any] = {"totalSize": len(rows), "done": len(rows) <= self.page, "records": rows[: self.page]}
        if not said["done"]:
            locator = f"01g{len(self._rest):04d}-{self.page}"
            self._rest[locator] = rows[self.page :]
            said["nextRecordsUrl"] = f"/services/data/v62.0/query/{locator}"
        return 200, said

    def _more(self, locator: str) -> tuple[int, Any]:
        """resources_query_more_results.htm: the next batch, while the locator lives."""
        if locator not in self._rest:
            return 400, [{"errorCode": "INVALID_QUERY_LOCATOR"}]
        return self._batch(self._rest.pop(locator))

    def forget_locators(self) -> None:
        """They run out after two days, or when there are too many."""
        self._rest.clear()


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def _refused(code: str, *fields: str) -> dict[str, Any]:
    return {"id": None, "success": False, "errors": [{"statusCode": code, "message": "…", "fields": list(fields)}]}


def _holds(where: str, row: dict[str, Any]) -> bool:
    """The few conditions of SOQL that we write."""
    for part in filter(None, re.split(r" AND ", where)):
        name, operator, said = part.split(" ", 2)
        value = row[name]
        if operator == ">=":
            met = datetime.fromisoformat(str(value)) >= datetime.fromisoformat(said)
        elif operator == "IN":
            met = value in [re.sub(r"\\(.)", r"\1", one) for one in re.findall(r"'((?:[^'\\]|\\.)*)'", said)]
        else:
            met = value is (said == "true")
        if not met:
            return False
    return True
