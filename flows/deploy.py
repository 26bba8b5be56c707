"""Deployments from the live segments, and the work pool that carries them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zlib
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.exceptions import ObjectAlreadyExists
from prefect.settings import get_current_settings
from prefect.workers.process import ProcessWorker

from flows import lost_runs
from flows.artifacts import key
from flows.shown import Shown
from nurture.opening import open_machine

ROOT = Path(__file__).resolve().parent.parent
CADENCE = 15  # minutes between two ticks of a segment that prefect.yaml does not name


def deploy() -> dict[str, list[str]]:
    """Bring the server in line with the live segments; says what it made and what it paused."""
    with closing(open_machine()) as machine:
        plan = with_segments(yaml.safe_load((ROOT / "prefect.yaml").read_text()), machine.segments())
    with get_client(sync_client=True) as client:
        make_pool(client, plan["deployments"][0]["work_pool"]["name"])
        apply(plan)
        lost_runs.watch(client)
        names = [entry["name"] for entry in plan["deployments"]]
        return {"deployed": names, "paused": pause_others(client, names)}


def with_segments(plan: dict[str, Any], live: list[str]) -> dict[str, Any]:
    """The file's own deployments as far as their segments are live, and one for each other live segment."""
    kept = [entry for entry in plan["deployments"] if "segment" not in entry["tags"] or entry["name"] in live]
    named = {entry["name"] for entry in kept}
    added = [segment_entry(plan["definitions"]["segment"], slug) for slug in live if slug not in named]
    return {**plan, "deployments": [linked(entry) for entry in kept + added]}


def segment_entry(pattern: dict[str, Any], slug: str) -> dict[str, Any]:
    """A segment's deployment; its minute comes from its name, so that ticks do not start all at once."""
    minute = zlib.crc32(slug.encode()) % CADENCE
    schedule = {"slug": slug, "cron": f"{minute}-59/{CADENCE} * * * *", "timezone": "UTC"}
    return {**pattern, "name": slug, "parameters": {"segment": slug}, "schedules": [schedule]}


def linked(entry: dict[str, Any]) -> dict[str, Any]:
    """A description leads to the pages, since the menu has no entry for artifacts."""
    own = {"The sequence now": f"sequence-{entry['name']}", "Cohorts": f"cohorts-{entry['name']}"}
    first = own if "segment" in entry["tags"] else {"Hand-offs": "handoffs"}
    pages = {**first, "Uncertain": "uncertain", "Funnel": "funnel"}
    links = [f"- [{title}](/v2/artifacts/key/{key(name)})" for title, name in pages.items()]
    return {**entry, "description": "\n".join([entry["description"], "", *links])}


def apply(plan: dict[str, Any]) -> None:
    """Deploy with Prefect's own command, which knows all of prefect.yaml's words."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prefect.yaml"
        file.write_text(yaml.safe_dump(plan))
        prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
        command = [*prefect, "deploy", "--all", "--prefect-file", str(file)]
        server = {"PREFECT_API_URL": str(get_current_settings().api.url)}
        done = subprocess.run(command, cwd=ROOT, env=os.environ | server, capture_output=True, text=True)
    if done.returncode:
        raise Shown(f"prefect deploy failed: {(done.stdout + done.stderr).strip()[-2000:]}")


def make_pool(client: SyncPrefectClient, name: str) -> None:
    """A pool of type process, unless there is one of this name."""
    template = ProcessWorker.get_default_base_job_template()
    with suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))


def pause_others(client: SyncPrefectClient, names: list[str]) -> list[str]:
    """Segments that are no longer live keep their history but start no runs."""
    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=["nurture", "segment"]))
    gone = [one for one in client.read_deployments(deployment_filter=ours) if one.name not in names]
    for one in gone:
        client.update_deployment(one.id, DeploymentUpdate(paused=True))
    return [one.name for one in gone]
