"""A process that lives for months forgets the versions that are over."""

from __future__ import annotations

from contextlib import closing

from tests.engine.world import DAY, MONDAY, PROGRAM, World, program, sequence

STEPS = "  - {id: hello, email: hello.j2}\n  - {id: over, exit: done}"


def edition(number: int) -> dict[str, str]:
    """The program after so many edits of house and sequence."""
    house = {"program.yaml": f"{PROGRAM}# edition {number}\n"}
    return program(house, calm=f"{sequence(STEPS)}\n# edition {number}\n")


def test_an_edit_leaves_nothing_behind(sqlite_url: str) -> None:
    """Whoever is inside keeps their version known; once they are out, it goes with its statements."""
    kept = []
    with closing(World(sqlite_url, edition(0), MONDAY)) as world:
        library = world.machine.library
        for number in range(1, 4):
            world.lead(f"lead{number}")
            world.event(f"lead{number}", "signed_up")
            world.at(number * DAY).tick()
            world.publish(edition(number))
            world.tick()
            kept.append((len(library.houses), len(library.segments)))
        plans = len({name[0] for name in library.plans})
    assert kept == [(1, 1)] * 3
    assert plans == 1, "statements of one program version"
