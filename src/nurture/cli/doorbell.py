"""The doorbell: a hand-off that a web door has opened is said to Prefect's API, whose routing flow then shows it.

Nothing depends on it: the notice has left before, and what is not rung for is found by the next sweep.
"""

from __future__ import annotations

import base64
import json
import logging
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import col

from nurture import clock
from nurture.records import Handoff

if TYPE_CHECKING:
    from nurture.engine.machine import Machine

log = logging.getLogger("nurture.cli")
#: What prefect.yaml's routing deployment is started by.
EVENT, RESOURCE = "nurture.lead.demo_requested", "nurture.door"
_SECONDS = 2.0


@dataclass
class Doorbell:
    """Rings when there is an open hand-off newer than the last; the first look rings for those from before."""

    #: Those of Prefect: its API's address, and what it asks for.
    environment: Mapping[str, str]
    _last: int = 0

    def look(self, machine: Machine) -> None:
        """Ring if there is something new; one that cannot be rung is tried again at the next look."""
        newest = select(func.max(col(Handoff.id))).where(col(Handoff.state) == "open")
        with machine.db.read() as link:
            number = link.execute(newest).scalar() or 0
        if number <= self._last:
            return
        try:
            self._ring(machine)
        except (OSError, HTTPException, ValueError) as problem:
            log.warning("the doorbell was not heard: %s", problem)
            return
        self._last = number

    def _ring(self, machine: Machine) -> None:
        said = {
            "event": EVENT, "id": str(UUID(clock.unguessable(), version=4)), "occurred": machine.now().isoformat(),
            "resource": {"prefect.resource.id": RESOURCE},
        }  # fmt: skip
        headers = {"Content-Type": "application/json"}
        if auth := self.environment.get("PREFECT_API_AUTH_STRING"):
            headers["Authorization"] = f"Basic {base64.b64encode(auth.encode()).decode()}"
        url = f"{self.environment['PREFECT_API_URL']}/events"
        request = urllib.request.Request(url, json.dumps([said]).encode(), headers)
        urllib.request.urlopen(request, timeout=_SECONDS).close()
