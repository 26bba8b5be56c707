"""Whose lead it is: who owns it, who fits it best, who is there, and the sentence that says why."""

from __future__ import annotations

import threading
from typing import Any

from sqlmodel import col

from nurture.engine import doors
from nurture.records import Account, Handoff
from tests.engine.conftest import Make
from tests.engine.world import World, program, second_machine, sequence
from tests.engine.world import world as new_world

CALM = sequence("  - {id: rest, wait: 90 days}\n  - {id: over, exit: done}")
LIFECYCLE = "milestones: {demo: {when: {did: demo}, handoff: true}}\nsla: {accept_within: 8 business hours}\n"
#: It is Monday, 10:00 in Bucharest, where most of them work from nine to five.
TEAM = """
name: Acme
sender: {name: Ana, address: ana@acme.example}
address: Acme SRL, Strada Lungă 1, Brașov
zone: Europe/Bucharest
fields: {industry: text, employees: number}
sales:
  - {name: Fin, email: fin@acme.example, takes: {industry: fintech}, countries: [RO]}
  - {name: Fay, email: fay@acme.example, takes: {industry: fintech}}
  - {name: Ron, email: ron@acme.example, countries: [RO]}
  - {name: Roy, email: roy@acme.example, countries: [RO], away: [{first: 2026-03-01, last: 2026-03-06}, {first: 2026-03-07, last: 2026-03-10}]}
  - {name: Dot, email: dot@acme.example, countries: [DE], capacity: 1}
  - {name: Eva, email: eva@acme.example, countries: [DE], capacity: 1}
  - {name: Lou, email: lou@acme.example, countries: [US], zone: America/Los_Angeles}
  - {name: Jon, email: jon@acme.example, countries: [US], zone: Europe/London, hours: "08:00-16:00"}
  - {name: Amy, email: amy@acme.example, countries: [AE], away: [{first: 2026-02-20, last: 2026-04-01}]}
  - {name: Flo, email: flo@acme.example, language: fr}
  - {name: Any, email: any@acme.example}
  - {name: Day, email: day@acme.example, countries: [JP], away: [{first: 2026-03-02, last: 2026-03-02}]}
"""
CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    # in this order: the lead: whose it becomes, and why
    "its owner has it": ({"owner": "jon@acme.example", "country": "RO"}, "jon", "owns the lead"),
    "its owner is back in time": ({"owner": "day@acme.example"}, "day", "owns the lead"),
    "its owner is away for longer": (
        {"owner": "roy@acme.example", "country": "RO"}, "ron",
        "takes RO; Roy, who owns the lead, is away until 10 Mar",
    ),
    "its owner has left": (
        {"owner": "old@acme.example", "language": "fr"}, "flo",
        "speaks fr; old@acme.example, who owned the lead, has left the team",
    ),
    "what and where": ({"industry": "fintech", "country": "RO"}, "fin", "takes such leads in RO"),
    "what before where": ({"industry": "fintech", "country": "US"}, "fay", "takes such leads"),
    "not what they take": ({"industry": "trade", "country": "RO"}, "ron", "takes RO; Roy is away until 10 Mar"),
    "where before language": ({"country": "RO", "language": "fr"}, "ron", "takes RO; Roy is away until 10 Mar"),
    "who is at work now": ({"country": "US"}, "jon", "takes US, at work now"),
    "the first of two": ({"country": "DE"}, "dot", "takes DE, next in turn"),
    "who has room": ({"country": "DE"}, "eva", "takes DE; Dot has 1 open"),
    "less particular, but with room": ({"country": "DE", "language": "fr"}, "flo", "speaks fr; Dot has 1 open; Eva has 1 open"),
    "less particular, but there": (
        {"country": "AE", "email": "amir@gulf.example"}, "flo", "takes any lead, next in turn; Amy is away until 1 Apr",
    ),
    "a company's next lead": ({"country": "RO", "email": "aya@gulf.example"}, "flo", "owns the account gulf.example"),
}  # fmt: skip


def test_who_gets_a_lead_and_why(make: Make) -> None:
    """Owner, account, what somebody takes, territory, language; among these who is there, has room and is at work."""
    world = make(program({"program.yaml": TEAM, "lifecycle.yaml": LIFECYCLE}, drip=CALM))
    for number, (name, (values, *_)) in enumerate(CASES.items()):
        world.lead(name, **{"email": f"me@company{number}.example"} | values)
        world.event(name, "demo", settle=True)

    found = {name: world.handoffs(name)[0] for name in CASES}
    assert {name: (row.owner.partition("@")[0], row.routed_by) for name, row in found.items()} == {
        name: (owner, why) for name, (_, owner, why) in CASES.items()
    }


def test_one_company_in_one_batch_has_one_owner_until_that_one_leaves(sqlite_url: str) -> None:
    """Ten leads of a company at once; then its owner is away, which changes nothing for good, and then is gone."""
    team = "sales:\n" + "".join(f"  - {{name: {n}, email: {n}@acme.example}}\n" for n in ("ann", "bob", "cid"))
    house = TEAM.partition("sales:")[0]
    world = World(sqlite_url, program({"program.yaml": house + team, "lifecycle.yaml": LIFECYCLE}, drip=CALM))
    for n in range(10):
        world.lead(f"l{n}", email=f"{n}@one.example")
    world.event_of(world.ids, "demo")
    world.machine.settle(world.now)
    owners = {row.owner for row in world.rows(Handoff)}
    (first,) = owners

    def ask(name: str, team: str) -> tuple[str, str]:
        """The owner of the account's next lead, and of the account."""
        world.publish(program({"program.yaml": house + team, "lifecycle.yaml": LIFECYCLE}, drip=CALM))
        world.lead(name, email=f"{name}@one.example")
        world.event(name, "demo", settle=True)
        (account,) = world.rows(Account, col(Account.key) == "one.example")
        return world.handoffs(name)[0].owner, str(account.owner)

    away = team.replace(f"{first}}}", f"{first}, away: [{{first: 2026-03-01, last: 2026-05-01}}]}}")
    standing_in, kept = ask("while away", away.replace("\n\n", "\n"))
    gone = "\n".join(line for line in team.splitlines() if first not in line) + "\n"
    taken_over, now_its = ask("since gone", gone)

    assert kept == first != standing_in
    assert taken_over == now_its != first
    world.close()


def test_two_at_once_are_dealt_one_after_another(postgres_url: str) -> None:
    """The very first two leads, of two processes: while the one is being dealt the other waits, and goes elsewhere."""
    team = "sales:\n" + "".join(f"  - {{name: {n}, email: {n}@acme.example}}\n" for n in ("ann", "bob"))
    house = {"program.yaml": TEAM.partition("sales:")[0] + team, "lifecycle.yaml": LIFECYCLE}
    with new_world(postgres_url, program(house, drip=CALM)) as it:
        it.lead("lea", email="lea@one.example")
        it.lead("leo", email="leo@two.example")
        it.machine.settle(it.now)
        for name in it.ids:
            it.event(name, "demo")
        other = second_machine(it)
        second = threading.Thread(target=lambda: other.do(lambda link: settle(other, link, "leo")))

        def settle(world: World, link: Any, name: str) -> None:
            doors.settle_one(link, world.machine.library.live(link), it.ids[name], it.now)

        def first(link: Any) -> None:
            settle(it, link, "lea")
            second.start()
            second.join(0.3)

        it.do(first)
        second.join()
        other.close()
        owners = {row.owner for row in it.rows(Handoff)}

    assert owners == {"ann@acme.example", "bob@acme.example"}
