"""Compiled conditions pick exactly the leads that a plain reader of the YAML picks, on both databases."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlmodel import col

from nurture.engine.running import Run
from nurture.intake import write
from nurture.intake.write import NewEvent
from nurture.language.compiler import compile_condition
from nurture.language.conditions import parse_condition
from nurture.language.source import read_yaml
from nurture.records import Enrolment, Lead, Touch
from tests.engine.world import HOUR, PROGRAM, World, new_database, program, sequence
from tests.language.oracle import Deed, Person, holds, plain

NOW = datetime(2026, 3, 20, 12, 0, tzinfo=UTC)
KINDS = {"industry": "text", "role": "text", "employees": "number", "paid": "flag", "since": "date"}
#: Letters that fold, in pairs that are one word; letters that SQL might take for its own.
TEXTS = [
    "SaaS",
    "saas",
    "İstanbul",
    "i̇stanbul",
    "Istanbul",
    "ISTANBUL",
    "Straße",
    "STRASSE",
    "strasse",
    "علي",
    "علی",
    "كتاب",
    "کتاب",
    "Ångström",
    "A\u030angstro\u0308m",
    "café",
    "CAFÉ",
    "ﬁne",
    "fine",
    "50%",
    "50x",
    "a_b",
    "axb",
    "a\\b",
    "a*b",
    "'; DROP TABLE lead; --",
    '"quoted"',
    "a  b",
    "a b",
    "%",
    "_",
    "\\",
    "null",
    "true",
    "0",
    "Ω",
    "Ω",
]
PATHS = [
    "/pricing",
    "/pricing/teams",
    "/Pricing",
    "/pri_cing",
    "/prixcing",
    "/100%",
    "/100x",
    "a\\b",
    "a*b",
    "it's",
    '"',
    "",
    "\n",
]
DATES = ["2025-12-31", "2026-03-01", "2026-03-20"]
NUMBERS = [0, 1, 49, 50, 50.5, -3, 1e6]
GRADES = ["F", "D-", "D", "C", "C+", "B", "A+"]
LISTS = ["newsletter-2026", "Gäste", "İzmir", "كتاب"]
LEVELS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "awareness": [
        ("knows_us", {"did": "page_viewed", "at_least": 2, "within": "2 days"}),
        ("heard", {"any": [{"did": "page_viewed"}, {"listed": "gäste"}]}),
        ("new", {"industry": {"known": True}}),
    ],
    "buying_stage": [
        ("decision", {"any": [{"did": "paid_bill"}, {"score": {"at_least": 14}}]}),
        ("consideration", {"not": {"did_not": "page_viewed", "within": "1 week"}}),
    ],
}
EVENTS = ["page_viewed", "paid_bill", "email_sent"]
SPANS = ["90 minutes", "48 hours", "2 days", "1 week"]


class Crowd(dict[int, Person]):
    """Leads by id; too many to be printed with a failure."""

    def __repr__(self) -> str:
        return f"{len(self)} leads"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def crowd(request: pytest.FixtureRequest) -> Iterator[tuple[World, Crowd]]:
    """Two hundred leads of every kind, in one database of each kind, and what is known of each."""
    url = new_database(request)
    calm = "  - {id: hello, email: hello.j2}\n  - {id: rest, wait: 90 days}\n  - {id: over, exit: done}"
    files = {
        "program.yaml": PROGRAM,
        "scoring.yaml": "engagement: [{rule: a, when: {did: page_viewed}, points: 7}]\n"
        "fit: [{rule: b, when: {industry: saas}, thirds: 4}, {rule: c, when: {paid: true}, thirds: -4}]\n"
        + yaml.safe_dump(
            {
                "awareness": [{"level": level, "when": when} for level, when in LEVELS["awareness"]],
                "buying_stage": [{"stage": level, "when": when} for level, when in LEVELS["buying_stage"]],
            },
            allow_unicode=True,
        ),
    }
    world = World(
        url,
        program(files, one=sequence(calm, when="{tags: hot}"), two=sequence(calm, when="{paid: true}")),
        NOW - 30 * 24 * HOUR,
    )
    people = populate(world)
    yield world, people
    world.close()


def populate(world: World) -> Crowd:
    chance = random.Random(3)

    def maybe(values: list[Any]) -> Any:
        return chance.choice([None, *values])

    people = Crowd()
    for number in range(200):
        values = {
            "industry": maybe(TEXTS),
            "role": maybe(TEXTS),
            "employees": maybe(NUMBERS),
            "paid": maybe([True, False]),
            "since": maybe(DATES),
            "company": maybe(TEXTS),
            "country": maybe(["RO", "AE"]),
            "title": maybe(TEXTS),
        }
        known = {key: value for key, value in values.items() if value is not None}
        tags = chance.sample(["Hot", "ÜBER", "über", "کتاب", "كتاب"], chance.choice([0, 1, 2]))
        lists = chance.sample(LISTS, chance.choice([0, 0, 1, 2]))
        lead = world.lead(f"lead{number}", tags=tags, lists=lists, consent=chance.choice([None, "contract"]), **known)
        deeds = [
            Deed(
                chance.choice(EVENTS),
                NOW - timedelta(minutes=chance.choice([1, 30, 89, 90, 91, 2879, 2880, 2881, 10080, 20000])),
                NOW + timedelta(seconds=chance.choice([-5, 0, 0, 0, 1])),
                {
                    key: value
                    for key, value in {
                        "path": maybe(PATHS),
                        "seats": maybe([3, 2.5, "3"]),
                        "vip": maybe([True, False]),
                    }.items()
                    if value is not None
                },
                chance.choice(["person", "person", "system", "machine"]),
            )
            for _ in range(chance.choice([0, 1, 2, 5]))
        ]
        events = [
            NewEvent(
                lead,
                deed.name,
                deed.occurred,
                deed.occurred,
                deed.ripe,
                dict(deed.data),
                "test",
                f"{number}-{n}",
                deed.actor,
            )
            for n, deed in enumerate(deeds)
        ]
        put(world, events)
        people[lead] = Person(known, {}, {**KINDS}, {plain(tag) for tag in tags}, deeds)
        people[lead].lists, people[lead].levels = {plain(name) for name in lists}, LEVELS
    world.at(NOW - HOUR).tick().at(NOW)
    for person, lead in zip(people.values(), world.rows(Lead), strict=True):
        story = world.story(world.names()[lead.id])
        person.values["email"] = lead.email
        person.state = {
            "stage": lead.stage,
            "status": lead.status,
            "source": lead.source,
            "owner": lead.owner,
            "score": story.score,
            "fit": lead.fit,
        }
    for touch in world.rows(Touch, col(Touch.state) == "sent"):
        people[touch.lead_id].received |= {touch.content}
        people[touch.lead_id].deeds.append(Deed("email_sent", NOW - HOUR, NOW - HOUR, {"step": "hello"}, "system"))
    for passage in world.rows(Enrolment, col(Enrolment.ended_at).is_(None)):
        people[passage.lead_id].inside |= {passage.sequence}
    return people


def put(world: World, events: list[NewEvent]) -> None:
    world.do(lambda link: write.put_events(link, events))


def picked(world: World, condition: dict[str, Any]) -> set[int]:
    """The leads that the compiled condition picks, from its YAML."""
    source = read_yaml("rule.yaml", yaml.safe_dump({"when": condition}, allow_unicode=True))
    tree = parse_condition(source.value["when"])
    with world.machine.db.read() as link:
        live = world.machine.library.live(link)
        query = select(col(Lead.id)).where(compile_condition(tree, live.scope()))
        return set(Run(link, live, NOW)(query).scalars())


def texts() -> st.SearchStrategy[dict[str, Any]]:
    word = st.sampled_from(TEXTS)
    part = word.flatmap(lambda text: st.integers(0, len(text)).map(lambda cut: text[cut:])).filter(bool)
    return st.one_of(
        word,
        st.lists(word, min_size=1, max_size=3),
        word.map(lambda w: {"not": w}),
        st.lists(word, min_size=1).map(lambda w: {"not": w}),
        part.map(lambda w: {"contains": w}),
        part.map(lambda w: {"starts_with": w}),
        st.booleans().map(lambda b: {"known": b}),
    )


def ordered(values: list[Any], *, known: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    value = st.sampled_from(values)
    bounds = st.dictionaries(st.sampled_from(["at_least", "at_most", "above", "under"]), value, min_size=1, max_size=2)
    return st.one_of(
        value,
        st.lists(value, min_size=1, max_size=3),
        value.map(lambda v: {"not": v}),
        bounds,
        *([st.booleans().map(lambda b: {"known": b})] if known else []),
    )


def leaves() -> st.SearchStrategy[dict[str, Any]]:
    patterns = st.one_of(
        st.sampled_from(PATHS),
        st.sampled_from(["*", "/pric*", "*cing*", "/pri_*", "/100%*", "a\\*", "*'*", "a*b", "\\*", "%*", "*\n"]),
    )
    where = st.fixed_dictionaries(
        {},
        optional={
            "path": patterns,
            "seats": st.sampled_from([3, "3", 2.5, "2*"]),
            "vip": st.sampled_from([True, False, "tr*"]),
            "step": st.sampled_from(["hello", "*"]),
            "nothing": st.just("*"),
        },
    )
    more = st.fixed_dictionaries(
        {},
        optional={
            "where": where,
            "at_least": st.integers(1, 3),
            "within": st.sampled_from(SPANS),
            "since": st.sampled_from(SPANS),
        },
    )
    did = st.tuples(st.sampled_from(["did", "did_not"]), st.sampled_from(EVENTS), more).map(
        lambda t: {t[0]: t[1], **t[2]}
    )
    date = st.sampled_from(DATES)
    dates = st.one_of(
        date,
        date.map(lambda d: {"before": d}),
        date.map(lambda d: {"after": d}),
        st.booleans().map(lambda b: {"known": b}),
    )
    flags = st.one_of(st.booleans(), st.booleans().map(lambda b: {"not": b}), st.booleans().map(lambda b: {"known": b}))

    def about(name: str, tests: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
        return tests.map(lambda test: {name: test})

    return st.one_of(
        did,
        did,
        about("industry", texts()),
        about("company", texts()),
        about("email", st.sampled_from([{"contains": "1@LEAD"}, "lead1@lead.example"])),
        about("employees", ordered(NUMBERS)),
        about("paid", flags),
        about("since", dates),
        about("fit", ordered(GRADES)),
        about("score", ordered([0, 6, 7, 7.5, 8, 14, 21, 100], known=False)),
        about("country", st.sampled_from(["ro", "RO", ["AE", "RO"]])),
        about("tags", st.sampled_from(["hot", "Über", ["cold", "كتاب"]])),
        about("stage", st.sampled_from(["lead", "mql", ["lead", "sal"], {"not": "lead"}])),
        about("status", st.sampled_from(["new", {"known": True}, "NEW"])),
        about("owner", st.sampled_from([{"known": False}, "x@example.com"])),
        about("source", st.sampled_from(["test", {"known": True}])),
        about("listed", st.sampled_from(["NEWSLETTER-2026", "gäste", ["izmir", "İZMİR"], "کتاب", "nobody"])),
        about("awareness", levels("awareness")),
        about("buying_stage", levels("buying_stage")),
        about("received", st.sampled_from(["one/hello.j2", "two/hello.j2", "nothing"])),
        about("in_sequence", st.sampled_from(["one", "two"])),
    )


def levels(name: str) -> st.SearchStrategy[Any]:
    level = st.sampled_from([level for level, _ in LEVELS[name]])
    bounds = st.sampled_from(["is", "not", "at_least", "at_most", "above", "under"])
    return st.one_of(
        level,
        st.lists(level, min_size=1, max_size=2),
        st.lists(level, min_size=1, max_size=2).map(lambda several: {"not": several}),
        st.dictionaries(bounds, level, min_size=1, max_size=2),
        st.booleans().map(lambda known: {"known": known}),
    )


def conditions() -> st.SearchStrategy[dict[str, Any]]:
    def both(parts: tuple[dict[str, Any], ...]) -> dict[str, Any]:
        return {key: value for part in parts for key, value in part.items()}

    return st.recursive(
        leaves(),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
            inner.map(lambda part: {"not": part}),
            st.tuples(about_one("employees", NUMBERS), about_one("industry", TEXTS)).map(both),
        ),
        max_leaves=5,
    )


def about_one(name: str, values: list[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from(values).map(lambda value: {name: value})


@given(condition=conditions())
@settings(max_examples=100)
@example(condition={"fit": {"known": True}})
@example(condition={"not": {"fit": {"known": False}}})
@example(condition={"did": "page_viewed", "where": {"vip": True}})
@example(condition={"did": "page_viewed", "where": {"seats": 3}})
def test_sql_agrees_with_the_plain_reading(crowd: tuple[World, Crowd], condition: dict[str, Any]) -> None:
    """Compiled SQL picks exactly those that a person reading the YAML would pick."""
    world, people = crowd

    assert picked(world, condition) == {lead for lead, person in people.items() if holds(condition, person, NOW)}


@pytest.mark.parametrize("field", ["industry", "employees", "paid", "since"])
def test_every_operator_decides_something(crowd: tuple[World, Crowd], field: str) -> None:
    """The crowd is mixed enough: each test of a field holds for some and not for others, and never for the unknown."""
    world, people = crowd
    every: dict[str, list[Any]] = {
        "industry": ["saas", ["saas", "50%"], {"not": "saas"}, {"contains": "a"}, {"starts_with": "s"}],
        "employees": [50, [49, 50], {"not": 50}, {"at_least": 50}, {"at_most": 50}, {"above": 49}, {"under": 50}],
        "paid": [True, False, {"not": True}],
        "since": ["2026-03-01", {"before": "2026-03-01"}, {"after": "2026-03-01"}],
    }
    unknown = {lead for lead, person in people.items() if person.values.get(field) is None}

    for test in every[field]:
        found = picked(world, {field: test})
        assert found, test
        assert found < set(people) - unknown, test
        assert unknown <= picked(world, {"not": {field: test}})


STRANGE = ["a.b", "$", "[0]", "a'b", 'a"b', "a b", "%s", ":x", "ключ", "\\", "a\\"]


@pytest.mark.parametrize("key", STRANGE)
def test_any_word_may_be_the_name_of_a_datum(crowd: tuple[World, Crowd], key: str) -> None:
    """An event's data are whatever a form or an export called them; no name is taken for SQL or for a path."""
    world, people = crowd
    lead = next(iter(people))
    put(world, [NewEvent(lead, "strange", NOW, NOW, NOW, {key: "yes"}, "test", f"strange-{key}")])

    assert picked(world, {"did": "strange", "where": {key: "yes"}}) == {lead}
    assert picked(world, {"did": "strange", "where": {key: "n*"}}) == set()


def test_a_field_that_changed_its_type_is_unknown_where_it_does_not_fit(crowd: tuple[World, Crowd]) -> None:
    """What was stored as text before the program called it a number compares with nothing, and breaks nothing."""
    world, people = crowd
    leads = list(people)[:4]
    kept = {row.id: row.fields for row in world.rows(Lead)}
    for lead, value in zip(leads, ['"many"', '"60"', "true", "[1]"], strict=True):
        document = "{" + ", ".join(f'"{name}": {value}' for name in ("employees", "paid", "since")) + "}"
        world.sql(
            "UPDATE lead SET fields = :fields WHERE id = :lead"
            if world.machine.db.is_sqlite
            else "UPDATE lead SET fields = CAST(:fields AS jsonb) WHERE id = :lead",
            fields=document,
            lead=lead,
        )
    try:
        assert not picked(world, {"any": [{"employees": {"at_least": 0}}, {"employees": {"under": 0}}]}) & set(leads)
        assert picked(world, {"any": [{"paid": True}, {"paid": False}]}) & set(leads) == {leads[2]}
    finally:
        for lead in leads:
            world.sql(
                "UPDATE lead SET fields = :fields WHERE id = :lead"
                if world.machine.db.is_sqlite
                else "UPDATE lead SET fields = CAST(:fields AS jsonb) WHERE id = :lead",
                fields=json.dumps(kept[lead]),
                lead=lead,
            )
