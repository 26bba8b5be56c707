"""The people of the sample: who they are and where they work. The same seed gives the same people."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from nurture.clock import Chance
from nurture.demo.names import PLACES, TITLES, TRADES, Name, Place

#: What the gulf-distributors sequence is for.
GULF = ("AE", "SA", "EG", "KW")
TRADERS = ("distribution", "wholesale", "logistics", "ecommerce")
EVALUATORS = ("saas", "fintech", "ecommerce")
RIVAL = "Rivaldesk"

_AT_HOME = {
    "saas": 26,
    "fintech": 13,
    "ecommerce": 16,
    "logistics": 12,
    "wholesale": 8,
    "agriculture": 10,
    "retail": 15,
}
_IN_THE_GULF = {
    "distribution": 24, "wholesale": 20, "logistics": 14, "ecommerce": 12, "saas": 10, "fintech": 5,
    "retail": 15,
}  # fmt: skip
_ROLES = {
    "operations": 28, "support": 22, "it": 17, "founder": 11, "engineer": 12, "student": 5,
    "professor": 2, "analyst": 3,
}  # fmt: skip
_USES = {"ticketing": 30, "workflow": 20, "after-sales": 18, "": 32}
_SOURCES = {"organic": 30, "ads": 22, "webinar": 12, "referral": 14, "partner": 10, "event": 12}
_BASES = {"consent": 74, "legitimate_interest": 9, "contract": 7, "no": 4, "": 6}
#: dormant: silent for 90 days and more; fading: will be within the three weeks; quiet: nothing known.
_HABITS = {"active": 42, "dormant": 11, "fading": 5, "quiet": 42}
_SIZES = (3, 12, 25, 40, 60, 85, 120, 180, 240, 400, 750, 1800)


@dataclass(frozen=True)
class Company:
    name: str
    domain: str
    industry: str
    employees: int


@dataclass(frozen=True)
class Person:
    """A row of the sample; `habit` is not written down, it shows in the events."""

    email: str
    first_name: str
    last_name: str
    company: str
    title: str
    phone: str
    country: str
    language: str
    timezone: str
    industry: str
    role: str
    employees: int
    use_case: str
    lead_source: str
    last_purchase: str
    tags: str
    consent: str
    tracking_consent: str
    habit: str

    @property
    def is_evaluator(self) -> bool:
        return self.industry in EVALUATORS and self.country not in GULF

    @property
    def is_trader(self) -> bool:
        return self.industry in TRADERS and self.country in GULF


def people(count: int, today: date, chance: Chance) -> list[Person]:
    """`count` people with different addresses, shuffled."""
    found: dict[str, Person] = {}
    whole = sum(place.share for place in PLACES)
    for place in PLACES:
        wanted = max(1, round(count * place.share / whole))
        companies = _companies(place, max(4, wanted // 4), chance)
        mine: dict[str, Person] = {}
        while len(mine) < wanted:
            person = _person(place, companies, today, chance)
            mine.setdefault(person.email, person)
        found |= mine
    for place in PLACES[1:4]:
        person = _person(place, [Company(RIVAL, "rivaldesk.example", "saas", 140)], today, chance)
        found[person.email] = person
    everybody = list(found.values())
    chance.shuffle(everybody)
    return everybody


def strangers(count: int, today: date, chance: Chance) -> list[Person]:
    """People who are not in the base and come by themselves."""
    return people(count, today, chance)[:count]


def latin(text: str) -> str:
    """Letters and digits as an address has them."""
    bare = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", bare.casefold()).strip("-")


def drawn(weights: dict[str, int], chance: Chance) -> str:
    """One of the words, as often as its weight says."""
    return chance.choices(list(weights), list(weights.values()))[0]


def _companies(place: Place, count: int, chance: Chance) -> list[Company]:
    found: dict[str, Company] = {}
    for _ in range(count * 4):
        industry = drawn(_IN_THE_GULF if place.arabic else _AT_HOME, chance)
        stem = chance.choice(place.companies)
        second = chance.choice(place.companies) if chance.random() < 0.35 else None
        name, spelt = _company_name(stem, second, industry, place.arabic, chance)
        domain = f"{latin(spelt)}.example"
        found.setdefault(domain, Company(name, domain, industry, chance.choice(_SIZES) + chance.randrange(9)))
        if len(found) == count:
            break
    return list(found.values())


def _company_name(stem: Name, second: Name | None, industry: str, arabic: bool, chance: Chance) -> tuple[str, str]:
    english, native = TRADES[industry]
    other = f" {second[1].title()}" if second and second != stem else ""
    if arabic and chance.random() < 0.6:
        trade = chance.choice(native)
        beside = f" و{second[0]}" if second and second != stem else ""
        return f"{stem[0]}{beside} {trade[0]}", f"{stem[1]}{other} {trade[1]}"
    trade_word = chance.choice(english)
    first = stem[1].title() if arabic else stem[0]
    return f"{first}{other} {trade_word}", f"{first}{other} {trade_word}"


def _person(place: Place, companies: Sequence[Company], today: date, chance: Chance) -> Person:
    first, last = chance.choice(place.first), chance.choice(place.last)
    arabic = place.arabic and chance.random() < 0.64
    company, role = chance.choice(companies), drawn(_ROLES, chance)
    domain = company.domain
    if role in ("student", "professor"):
        domain = f"{'student.' if role == 'student' else ''}university-{place.code.casefold()}.example"
    local = f"{latin(first[1])}.{latin(last[1])}" if chance.random() < 0.7 else f"{latin(first[1])[:1]}{latin(last[1])}"
    native = first if arabic else (first[1].title(), first[1]) if place.arabic else first
    family = last[0] if arabic else last[1].title() if place.arabic else last[0]
    bought = today - timedelta(days=chance.randrange(200, 900)) if chance.random() < 0.07 else None
    known = chance.random()
    return Person(
        email=f"{local}@{domain}",
        first_name=native[0],
        last_name=family,
        company=company.name if domain == company.domain else "",
        title=chance.choice(TITLES[role][arabic]),
        phone=f"{place.prefix}{chance.randrange(1_000_000, 9_999_999)}" if chance.random() < 0.6 else "",
        country=place.code,
        language="ar" if arabic else "en",
        timezone="" if known < 0.05 else place.zone,
        industry=company.industry,
        role=role,
        employees=company.employees,
        use_case=drawn(_USES, chance),
        lead_source=drawn(_SOURCES, chance),
        last_purchase=bought.isoformat() if bought else "",
        tags="newsletter" if chance.random() < 0.15 else "",
        consent=drawn(_BASES, chance),
        tracking_consent="yes" if chance.random() < 0.84 else "no",
        habit=drawn(_HABITS, chance),
    )
