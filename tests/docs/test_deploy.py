"""docs/deploy/: every command, variable and name in it is a real one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from nurture.cli.app import build
from nurture.settings import Settings

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
VARIABLES = {f"NURTURE_{name.upper()}" for name in Settings.model_fields}
PARTS = ("public", "private", "outbox", "prefect", "worker")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))


def is_command(words: list[str]) -> bool:
    """Whether `nurture` would take these words."""
    command, _, ignored = build().parse_args(words[1:], exit_on_error=False, print_error=False)
    return words[0].endswith("nurture") and command.__module__.startswith("nurture.") and not ignored


def test_what_is_no_command_would_be_found() -> None:
    assert is_command(["nurture", "serve", "--only", "public"])
    with pytest.raises(Exception, match="Invalid value"):
        is_command(["nurture", "serve", "--only", "kitchen"])


@pytest.mark.parametrize("name", [name for name in COMPOSE["services"] if name != "postgres"])
def test_a_service_of_compose(name: str) -> None:
    """It runs a part, by settings, secrets, volumes and networks that exist, after services that exist."""
    service = COMPOSE["services"][name]

    assert is_command(service["command"])
    own = {variable for variable in service["environment"] if variable.startswith("NURTURE_")}
    assert own <= VARIABLES
    assert service["read_only"] is True
    assert {f"NURTURE_{secret.removeprefix('nurture_').upper()}" for secret in service["secrets"]} <= VARIABLES
    assert set(service["secrets"]) <= COMPOSE["secrets"].keys()
    assert set(service["networks"]) <= COMPOSE["networks"].keys()
    named = {volume.split(":")[0] for volume in service["volumes"]} - {"./program"}
    assert named <= COMPOSE["volumes"].keys()
    assert set(service.get("depends_on", {})) <= COMPOSE["services"].keys()
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_compose_as_a_whole() -> None:
    """All parts run, once each; a service that is waited for says whether it is healthy; secrets are never variables."""
    services = COMPOSE["services"]
    parts = [part for name, service in services.items() if name != "postgres" for part in service["command"][3::2]]

    assert sorted(parts) == sorted(PARTS)
    awaited = {name for service in services.values() for name in service.get("depends_on", {})}
    assert all("healthcheck" in services[name] for name in awaited)
    assert not any(word in str(COMPOSE["services"]) for word in ("_PASSWORD:", "SMTP_URL'", "_TOKEN'", "_AUTH'"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_of_systemd(unit: Path) -> None:
    """It runs a real command with real settings, and kills nobody before `serve` has ended its own."""
    lines = [line.split("=", 1) for line in unit.read_text("utf-8").splitlines() if "=" in line and line[0] != "#"]
    told = {key: [value for name, value in lines if name == key] for key, _ in lines}

    (started,) = told["ExecStart"]
    for part in PARTS if "%i" in started else ("",):
        assert is_command(shlex.split(started.replace("%i", part)))
    set_here = {pair.split("=")[0] for value in told["Environment"] for pair in shlex.split(value)}
    assert set_here <= VARIABLES
    assert {f"{value.split(':')[0].upper()}" for value in told["LoadCredential"]} <= VARIABLES
    assert told["KillMode"] == ["mixed"]
    assert int(told["TimeoutStopSec"][0]) >= 15


@pytest.mark.parametrize("name", ["Caddyfile", "nginx.conf"])
def test_a_proxy(name: str) -> None:
    """It passes on to the public port alone, and a visitor's own X-Forwarded-For to nobody."""
    said = re.sub(r"#.*", "", (DEPLOY / name).read_text("utf-8"))

    assert set(re.findall(r"127\.0\.0\.1:\d+", said)) == {Settings.model_fields["public_listen"].default}
    assert re.search(r"X-Forwarded-For (\{remote_host\}|\$remote_addr)", said)
    assert "proxy_add_x_forwarded_for" not in said


def test_the_page_names_what_there_is() -> None:
    """Each file is linked, each secret is made, each variable is real."""
    page = (DEPLOY.parent / "serving.md").read_text("utf-8")

    assert set(re.findall(r"\]\(deploy/([^)]+)\)", page)) >= {path.name for path in DEPLOY.iterdir()} - {"Dockerfile"}
    assert all(secret in page for secret in COMPOSE["secrets"])
    assert set(re.findall(r"NURTURE_[A-Z_]+[A-Z]", page)) <= VARIABLES
