"""Prefect hears of hand-offs that a web door opened: once for each, again where it was not heard, never about whom."""

from __future__ import annotations

from pathlib import Path

import yaml

from nurture.cli.doorbell import Doorbell
from tests.engine.world import MONDAY, World, program, sequence
from tests.steps.servers import Calls, serving

FILES = program(
    {"lifecycle.yaml": "milestones: {demo_requested: {when: {did: demo_requested}, handoff: true}}"},
    mail=sequence("  - {id: rest, wait: 90 days}"),
)


def test_it_rings_for_what_is_new(sqlite_url: str) -> None:
    world = World(sqlite_url, FILES)
    with serving(lambda: Calls([201, 503])) as prefect:
        door = Doorbell({"PREFECT_API_URL": f"{prefect.url}/api", "PREFECT_API_AUTH_STRING": "ops:sesame"})
        rung = []
        for number in range(3):
            door.look(world.machine)
            door.look(world.machine)
            rung.append(len(prefect.calls))
            world.lead(f"lead{number}")
            world.event(f"lead{number}", "demo_requested", settle=True)
    Doorbell({"PREFECT_API_URL": "prefect/api"}).look(world.machine)  # an address that is none ends nothing
    world.close()

    assert rung == [0, 1, 3]  # the second was not heard at first
    path, headers, _ = prefect.calls[0]
    assert path == "/api/events"
    assert headers["authorization"] == "Basic b3BzOnNlc2FtZQ=="
    (said,) = prefect.said()[0]
    assert said["occurred"] == MONDAY.isoformat()
    assert set(said) == {"event", "id", "occurred", "resource"}
    assert len({batch[0]["id"] for batch in prefect.said()}) == 3

    deployments = yaml.safe_load((Path(__file__).parents[2] / "prefect.yaml").read_text())["deployments"]
    (routing,) = (one for one in deployments if one["name"] == "routing")
    (trigger,) = routing["triggers"]
    assert said["event"] in trigger["expect"]
    assert said["resource"]["prefect.resource.id"] in trigger["match"]["prefect.resource.id"]
