"""Accounts: which company a lead belongs to, what kind of address it writes from, and the account's score and owner."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import make_url
from sqlmodel import col

from nurture.engine import accounts, doors
from nurture.engine.domains import kind_of
from nurture.engine.running import Run
from nurture.errors import NotFound, Refused
from nurture.intake.write import put_event
from nurture.reading.accounts import account, give
from nurture.records import Enrolment, Lead, MailDomain, Work
from tests.engine.conftest import Make
from tests.engine.world import HOUR, PROGRAM, program, sequence
from tests.engine.world import world as world_of

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
KINDS: dict[str, str] = {
    "gmail.com": "free", "yahoo.co.uk": "free", "outlook.de": "free", "live.nl": "free", "yandex.ru": "free",
    "163.com": "free", "mail.ru": "free", "web.de": "free", "naver.com": "free", "proton.me": "free",
    "live.app": "company", "gmail.acme.com": "company", "acme.example": "company", "acme.co.uk": "company",
    "education.com": "company", "ac.com": "company", "edu.acme.com": "company",
    "mailinator.com": "disposable", "box.mailinator.com": "disposable",
    "mit.edu": "academic", "cs.ox.ac.uk": "academic", "unimelb.edu.au": "academic", "u-tokyo.ac.jp": "academic",
    "uni-heidelberg.de": "academic", "tu-berlin.de": "academic", "kit.edu": "academic",
}  # fmt: skip


@pytest.mark.parametrize(("domain", "kind"), KINDS.items(), ids=KINDS)
def test_kinds_of_domains(domain: str, kind: str) -> None:
    assert kind_of(domain) == kind


def segments(**rules: str) -> dict[str, str]:
    """A sequence for each of `rules`, which is its segment."""
    return {
        name: sequence("  - {id: rest, wait: 90 days}\n  - {id: over, exit: done}", segment=rule, when=rule)
        for name, rule in rules.items()
    }


RULES = {
    # a rule: who matches it
    "{domain: rivaldesk.example}": {"ana", "bo"},
    "{domain: [RIVALDESK.example, gmail.com]}": {"ana", "bo", "cy"},
    "{domain: {not: rivaldesk.example}}": {"cy", "dan", "eve"},
    "{domain: {known: false}}": {"fay"},
    "{domain_kind: free}": {"cy"},
    "{domain_kind: [academic, disposable]}": {"dan", "eve"},
    "{domain_kind: {known: false}}": {"fay"},
    "{account: rivaldesk.example}": {"ana"},
    "{account: {starts_with: acme}}": {"cy", "fay"},
    "{account: {known: false}}": {"dan", "eve"},
}


def test_conditions_on_domain_and_account(make: Make) -> None:
    """A domain means what is under it as well; its kind is looked up once; who has no address has none."""
    world = make(program(None, **segments(**{f"s{number}": rule for number, rule in enumerate(RULES)})))
    people = {
        "ana": "ana@rivaldesk.example", "bo": "bo@mail.rivaldesk.example", "cy": "cy@gmail.com",
        "dan": "dan@campus.edu", "eve": "eve@mailinator.com", "fay": None,
    }  # fmt: skip
    companies = {"cy": "ACME  Ltd", "fay": "Acme Ltd"}
    for who, email in people.items():
        world.lead(who, email=email, company=companies.get(who, ""))
    world.tick()

    inside = [{world.names()[row.lead_id] for row in world.rows(Enrolment, col(Enrolment.sequence) == f"s{number}")}
              for number in range(len(RULES))]  # fmt: skip
    assert dict(zip(RULES, inside, strict=True)) == RULES
    assert {row.domain: row.kind for row in world.rows(MailDomain)} == {
        "rivaldesk.example": "company", "mail.rivaldesk.example": "company", "gmail.com": "free",
        "campus.edu": "academic", "mailinator.com": "disposable",
    }  # fmt: skip
    world.sql("UPDATE mail_domain SET kind = 'company' WHERE domain = 'campus.edu'")  # by an older list
    world.publish(program({"scoring.yaml": "half_life: 9 days"}, **segments(s0="{domain_kind: academic}")))
    assert {row.kind for row in world.rows(MailDomain, col(MailDomain.domain) == "campus.edu")} == {"academic"}
    assert world.who("dan").account is None


SCORING = """
engagement:
  - {rule: did much, when: {did: much}, points: 60}
  - {rule: did some, when: {did: some}, points: 25}
  - {rule: did little, when: {did: little}, points: 10}
"""
OF_ACCOUNTS = program({"scoring.yaml": SCORING}, **segments(warm="{account_score: {at_least: 70}}"))


def test_the_accounts_score_is_one_number_for_conditions_and_reports(make: Make) -> None:
    """The best lead's, and 5 for each other of at least 20; whoever did nothing is looked at when a colleague acts."""
    world = make(OF_ACCOUNTS)
    for who in ("ana", "bo", "cy", "dan"):
        world.lead(who, email=f"{who}@acme.example")
    world.lead("eve", email="eve@other.example")
    world.tick()
    for who, event in (("ana", "much"), ("bo", "some"), ("cy", "little"), ("eve", "much")):
        world.event(who, event)
    world.tick()

    found = account(world.machine, "bo@acme.example", world.now)
    assert (found["key"], found["score"]) == ("acme.example", 65)
    assert [(line["who"], line["counts"]) for line in found["sum"]] == [
        ("ana@acme.example", 60),
        ("bo@acme.example", 5),
    ]
    assert world.rows(Enrolment) == []

    world.at(HOUR).event("cy", "some", settle=True)
    assert {world.names()[row.lead_id] for row in world.rows(Work, col(Work.due_at) <= world.now)} == {"cy"}
    world.tick()
    assert account(world.machine, "ACME.example", world.now)["score"] == 70
    assert {world.names()[row.lead_id] for row in world.rows(Enrolment)} == {"ana", "bo", "cy", "dan"}
    assert [row.due_at for row in world.rows(Work) if row.due_at <= world.now] == []


def test_one_owner_of_an_account(make: Make) -> None:
    """Given by hand or taken with a hand-off; who has it keeps it since then; nobody outside of the team gets it."""
    world = make(program())
    world.lead("ana", email="ana@acme.example")
    world.lead("bo", email="bo@gmail.com")
    world.tick()

    def take(owner: str, cause: str) -> None:
        world.do(lambda link: accounts.take(
            Run(link, world.machine.library.live(link), world.now), "acme.example", owner, cause
        ))  # fmt: skip

    take("mihai@acme.example", "hand-off 1")
    world.at(HOUR)
    take("mihai@acme.example", "hand-off 2")
    found = account(world.machine, "acme.example", world.now)
    assert (found["owner"], found["cause"]) == ("mihai@acme.example", "hand-off 1")
    asked = world.do(lambda link: accounts.owner_of(
        Run(link, world.machine.library.live(link), world.now), ["acme.example", "b"]
    ))  # fmt: skip
    assert asked == {"acme.example": "mihai@acme.example"}
    for named, owner, refusal in (
        ("acme.example", "nobody@acme.example", "is not of the sales team"),
        ("bo@gmail.com", "mihai@acme.example", "belongs to no account"),
        ("acne.example", "mihai@acme.example", "no account is known as 'acne.example'"),
    ):
        with pytest.raises((Refused, NotFound), match=refusal):
            world.do(lambda link: give(link, world.machine.library.live(link), named, owner, "ana", world.now))  # noqa: B023


@SQLITE
def test_colleagues_are_looked_at_when_the_number_is_another(make: Make) -> None:
    """What does not change the account's score concerns nobody else."""
    world = make(OF_ACCOUNTS)
    for who in ("ana", "bo", "cy"):
        world.lead(who, email=f"{who}@acme.example")
    world.machine.settle(world.now)
    looked = []
    for who, event in (("ana", "some"), ("bo", "little"), ("cy", "some")):
        world.at(world.now + HOUR).event(who, event)
        looked.append(world.machine.settle(world.now).looked_at)

    assert looked == [4, 2, 4]  # whoever did it twice, and with another number both colleagues
    assert {row.account_score for row in world.rows(Lead)} == {30}


@SQLITE
def test_the_first_rule_that_asks_finds_the_number(make: Make) -> None:
    """Who matches already when a sequence is published is remembered as such, and does not enter."""
    world = make(program({"scoring.yaml": SCORING}))
    for who in ("ana", "bo"):
        world.lead(who, email=f"{who}@acme.example")
    world.event("ana", "much")
    world.tick()
    world.publish(program({"scoring.yaml": SCORING}, **segments(warm="{account_score: {at_least: 50}}")))
    world.event("bo", "some")
    world.tick()

    assert {row.account_score for row in world.rows(Lead)} == {65}
    assert world.rows(Enrolment) == []


def test_no_door_waits_for_a_colleague(postgres_url: str) -> None:
    """Two doors at once, neither of which sees what the other's lead did: the next tick does."""
    with world_of(postgres_url, OF_ACCOUNTS) as world:
        world.sql(f"ALTER DATABASE {make_url(postgres_url).database} SET lock_timeout = '2s'")  # of connections to come
        for who in ("ana", "bo", "cy"):
            world.lead(who, email=f"{who}@acme.example")
        world.event_of(("ana", "cy"), "much")
        world.machine.settle(world.now)
        world.at(HOUR)

        def both(link: Any) -> None:
            for who, meanwhile in (("ana", lambda: world.event("bo", "some", settle=True)), ("cy", lambda: None)):
                put_event(link, world.ids[who], "some", world.now, world.now, world.now, {}, "test", f"{who} again")
                doors.settle_one(link, world.machine.library.live(link), world.ids[who], world.now)
                meanwhile()

        world.do(both)
        world.tick()
        assert {row.account_score for row in world.rows(Lead)} == {95}
        assert len(world.rows(Enrolment)) == 3


TEAM = PROGRAM.replace(
    "sales: [", "sales: [{name: Ann, email: ann@acme.example}, {name: Cid, email: cid@acme.example}, "
)


def test_an_account_is_whose_most_of_its_leads_are(make: Make) -> None:
    """As long as nobody was given it: leads that came with an owner count; who has left the team does not."""
    world = make(program({"program.yaml": TEAM}))
    for number, owner in enumerate(("cid", "gone", "gone", "gone", "cid", "ann", "")):
        email = f"{owner}@acme.example" if owner else None
        world.lead(f"lead {number}", email=f"{number}@big.example", owner=email)
    world.machine.settle(world.now)
    asked = world.do(
        lambda link: accounts.owner_of(Run(link, world.machine.library.live(link), world.now), ["big.example"])
    )

    assert asked == {"big.example": "cid@acme.example"}
    found = account(world.machine, "big.example", world.now)
    assert (found["owner"], found["cause"]) == ("cid@acme.example", "has most of its leads")


@SQLITE
def test_what_people_write_who_have_no_company(make: Make) -> None:
    """It is no account, whatever stands around it; names in any script are."""
    companies = {
        "N/A": None, "n.a.": None, "-": None, "---": None, "12345": None, "None": None, "(none)": None, "TEST": None,
        "Self-employed": None, "Freelancer": None, "Student ": None, "Nonesuch Ltd": "nonesuch ltd", "3M": "3m",
        "Газпром": "газпром", "شرکت": "شرکت",
    }  # fmt: skip
    world = make(program())
    for number, company in enumerate(companies):
        world.lead(company, email=f"{number}@gmail.com", company=company)
    world.machine.settle(world.now)

    assert {company: world.who(company).account for company in companies} == companies
