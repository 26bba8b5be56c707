"""Which version a signature counts from, read from the history of publications."""

from __future__ import annotations

from collections.abc import Callable

from nurture.engine.live import Library
from nurture.reading.signatures import STANDS, UNPUBLISHED, VOID, editions, latest, made_void, standings
from tests.engine.conftest import make  # noqa: F401
from tests.engine.world import DAY, World, program, sequence

SEQUENCE = sequence("  - {id: done, exit: completed}")


def lifecycle(*names: str, threshold: int = 50) -> str:
    signed = ", ".join(f"{{team: sales, name: {name}, date: 2026-02-16}}" for name in names)
    return f"agreed: [{signed}]\nmql: {{when: {{score: {{at_least: {threshold}}}}}}}\n"


def test_a_signature_counts_from_the_first_version_in_which_it_stands(make: Callable[..., World]) -> None:  # noqa: F811
    """Letters and comments make versions, not editions; a name under a changed text is void from its first day."""
    world = make()
    texts = [lifecycle("Ana"), "# again\n" + lifecycle("Ana"), lifecycle("Ana", "Ben", threshold=40), lifecycle("Ben")]
    found, houses = [], []
    for day, text in enumerate(texts):
        world.at(day * DAY).publish(program({"lifecycle.yaml": text, "_shared/x.j2": str(day)}, one=SEQUENCE))
        with world.machine.db.read() as link:
            published, newest = editions(link), latest(link)
            assert newest is not None
            house = Library().house(link, newest.id)
        found.append({one.signed.name: (one.state, one.version) for one in standings(house, published)})
        houses.append(house)
    assert found == [
        {"Ana": (STANDS, 1)},
        {"Ana": (STANDS, 1)},
        {"Ana": (VOID, 1), "Ben": (STANDS, 3)},
        {"Ben": (VOID, 3)},
    ]
    assert [one.number for one in published] == [1, 2, 3, 4]
    assert [one.name for one in made_void(houses[2], house, published)] == ["Ben"]
    assert {one.state for one in standings(house, [])} == {UNPUBLISHED}


def test_signed_again_on_the_same_day(make: Callable[..., World]) -> None:  # noqa: F811
    """What is published on the day of a signature is signed with it; a day later it is not."""
    world, found = make(), []
    for hours, threshold in ((0, 50), (3, 40), (24, 30)):
        text = lifecycle("Ana", threshold=threshold).replace("2026-02-16", "2026-03-02")
        files = program({"lifecycle.yaml": text}, one=SEQUENCE)
        world.at(hours * DAY / 24).publish(files)
        with world.machine.db.read() as link:
            published, newest = editions(link), latest(link)
            assert newest is not None
            house = Library().house(link, newest.id)
        found.append([(one.state, one.version) for one in standings(house, published)])
        drafts = [one.state for one in standings(house, published[:-1], world.now)]
        assert drafts == [UNPUBLISHED if hours < 24 else VOID]
    assert found == [[(STANDS, 1)], [(STANDS, 2)], [(VOID, 2)]]
