"""Which column holds what: by the mapping file, else by what exports usually call it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from nurture.errors import FileFault
from nurture.intake.mapping import ConsentColumn, Mapping
from nurture.intake.person import BUILT_IN
from nurture.intake.reader import PROBLEM
from nurture.intake.shapes import squeeze
from nurture.program.consents import Consents

Kind = Literal["text", "number", "flag", "date"]

#: Field to the squeezed names of columns that hold it, likeliest first; a field's own name comes before them.
LEAD_NAMES: dict[str, tuple[str, ...]] = {
    "email": (
        "emailaddress",
        "mail",
        "workemail",
        "primaryemail",
        "businessemail",
        "emailid",
        "emailaddr",
        "lead",
    ),
    "first_name": ("givenname", "forename"),
    "last_name": ("surname", "familyname"),
    "company": ("companyname", "organization", "organisation", "accountname", "account", "employer"),
    "title": ("jobtitle", "position"),
    "phone": ("phonenumber", "telephone", "businessphone", "workphone", "mobile", "mobilephone"),
    "country": ("countryregion", "countrycode", "companycountry"),
    "language": ("lang", "locale", "preferredlanguage", "hslanguage"),
    "timezone": ("tz", "hstimezone", "zone"),
    "status": ("leadstatus", "hsleadstatus"),
    "stage": ("lifecyclestage",),
    "owner": ("owneremail", "leadowner", "salesowner"),
    "tags": ("tag", "labels"),
    "id": ("leadid", "prospectid", "contactid", "recordid", "hsobjectid", "externalid", "sourceid", "vid"),
    "consent": ("marketingconsent", "emailconsent", "mailconsent", "emailoptin", "optin"),
    "tracking_consent": ("consenttracking",),
    "sms_consent": ("smsoptin", "consentsms", "textconsent"),
    "consent_at": ("consentdate", "consenttime", "consentedat", "optindate", "optintime", "optinat"),
    "consent_source": ("optinsource",),
    "consent_text": ("consentversion", "consentwording"),
    "consent_expires": ("consentexpiry", "consentexpiresat", "consentuntil"),
}
EVENT_NAMES: dict[str, tuple[str, ...]] = {
    "email": (*LEAD_NAMES["email"], "recipient", "contactemail", "leademail"),
    "lead_id": ("contactid", "leadid", "prospectid"),
    "event": ("eventname", "eventtype", "activity", "activitytype", "type", "name"),
    "at": (
        "occurredat",
        "timestamp",
        "eventtime",
        "activitydate",
        "datetime",
        "date",
        "time",
        "created",
        "createdat",
    ),
    "id": ("eventid", "activityid", "uuid"),
}
_PREFIX = re.compile(r"^(properties|property)(?=.)")


class KnownFields(Protocol):
    """What intake asks of a program: its custom fields, and what holds where a lead says nothing."""

    @property
    def fields(self) -> dict[str, Kind]: ...
    @property
    def zone(self) -> str: ...
    @property
    def country(self) -> str | None: ...
    @property
    def language(self) -> str: ...
    @property
    def consents(self) -> Consents: ...


@dataclass
class Plan:
    """Field to column, for one set of columns."""

    columns: dict[str, str] = field(default_factory=dict)
    consent: ConsentColumn | None = None
    tracking: ConsentColumn | None = None
    sms: ConsentColumn | None = None
    unused: list[str] = field(default_factory=list)


def plan_leads(path: Path, names: Sequence[str], mapping: Mapping, custom: dict[str, Kind], source: str | None) -> Plan:
    """Where the fields of leads are; raises FileFault for a mapping that names what is not there."""
    for ours in mapping.fields:
        if ours not in custom and ours not in LEAD_NAMES:
            known = ", ".join([*sorted(custom), *LEAD_NAMES])
            raise FileFault(
                f"{path}: the mapping file fills '{ours}', which program.yaml does not declare; known are {known}"
            )
    own = [name for name in custom if name not in BUILT_IN]
    said = {**mapping.fields, **({"id": mapping.id} if mapping.id else {})}
    plan = _matched(names, said, LEAD_NAMES, own, mapping)
    plan.consent = mapping.consent or _column(plan.columns.pop("consent", None))
    plan.tracking = mapping.tracking or _column(plan.columns.pop("tracking_consent", None))
    plan.sms = mapping.sms or _column(plan.columns.pop("sms_consent", None))
    if source is None and "id" in plan.columns:
        if "email" not in plan.columns:
            raise FileFault(
                f"{path}: its leads are known by '{plan.columns['id']}' alone; "
                "say whose ids these are with --source NAME"
            )
        del plan.columns["id"]
    used = {*plan.columns.values(), *(part.column for part in (plan.consent, plan.tracking, plan.sms) if part)}
    plan.unused = _unused(names, used, mapping)
    return plan


def plan_events(names: Sequence[str], mapping: Mapping) -> Plan:
    """Where the parts of events are: lead, name, instant, id."""
    said = {"at": mapping.at, "id": mapping.id}
    if mapping.lead:
        said["email" if mapping.lead[0] == "email" else "lead_id"] = mapping.lead[1]
    if mapping.event and mapping.event.column:
        said["event"] = mapping.event.column
    usual = {k: v for k, v in EVENT_NAMES.items() if not (mapping.lead and k in ("email", "lead_id"))}
    if mapping.event:
        del usual["event"]
    plan = _matched(names, {k: v for k, v in said.items() if v}, usual, [], mapping)
    used = {*plan.columns.values(), *(mapping.data or {}).values()}
    plan.unused = _unused(names, used, mapping)
    return plan


def plan_by(names: Sequence[str], mapping: Mapping, usual: dict[str, tuple[str, ...]]) -> Plan:
    """Where the parts named in `usual` are: as the mapping's `fields`, `id` and `at` say, or as exports call them."""
    said = mapping.fields | {ours: column for ours in ("id", "at") if (column := getattr(mapping, ours))}
    plan = _matched(names, said, usual, [], mapping)
    plan.unused = _unused(names, set(plan.columns.values()), mapping)
    return plan


def _matched(
    names: Sequence[str],
    said: dict[str, str],
    usual: dict[str, tuple[str, ...]],
    own: Sequence[str],
    mapping: Mapping,
) -> Plan:
    """Columns by the mapping, then by a field's own name, then by usual names; none twice."""
    plan = Plan(columns={ours: column for ours, column in said.items() if column in names})
    taken = {
        *said.values(),
        *mapping.ignore,
        *(part.column for part in (mapping.consent, mapping.tracking, mapping.sms) if part),
    }
    free = {_PREFIX.sub("", squeeze(name)): name for name in reversed(names) if name not in taken}
    free.pop(PROBLEM, None)
    for round_ in (0, 1):
        for ours in [*own, *usual]:
            if ours in plan.columns or ours in said:
                continue
            wanted = (squeeze(ours),) if round_ == 0 else usual.get(ours, ())
            found = next((word for word in wanted if word in free), None)
            if found is not None:
                plan.columns[ours] = free.pop(found)
    return plan


def _column(name: str | None) -> ConsentColumn | None:
    return None if name is None else ConsentColumn(name)


def _unused(names: Sequence[str], used: set[str], mapping: Mapping) -> list[str]:
    return [n for n in names if n and n not in used and n not in mapping.ignore and squeeze(n) != PROBLEM]


def check_named(path: Path, header: Sequence[str] | None, mapping: Mapping) -> None:
    """Raise FileFault if the mapping file names a column that the header does not have."""
    missing = [name for name in mapping.columns if header is not None and name not in header]
    if missing:
        raise FileFault(
            f"{path}: has no column '{missing[0]}', which the mapping file names; its columns are {shown(header or [])}"
        )


def shown(names: Sequence[str]) -> str:
    """A list of columns short enough to read."""
    head = ", ".join(f"'{name[:40]}'" for name in names[:12])
    return f"{head} and {len(names) - 12} more" if len(names) > 12 else head
