"""An office beside each vendor; the database is SQLite unless a test asks for both.

The servers, and what is published for them, are made once: a program costs more to publish than a round to make.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nurture.engine.live import Library
from tests.cli.conftest import desk
from tests.crm.hubspot import TOKEN, HubSpot
from tests.crm.office import OAUTH, Office
from tests.crm.peer import Peer, serving
from tests.crm.salesforce import Salesforce

__all__ = ["desk"]
HUBSPOT = """\
  kind: hubspot
  owns: {nurture: [first_name, last_name, company, stage, score], crm: [owner, phone, status]}
  fields: {nurture_score: score}
  answers: {working: accepted, bad_fit: {rejected: not_persona}, too_early: {rejected: premature}}
  deals: {stages: {contractsent: sql}, lost_reason: closed_lost_reason, reasons: {Too expensive: price}}
"""
SALESFORCE = """\
  kind: salesforce
  owns: {nurture: [first_name, last_name, company, score], crm: [owner, phone, status]}
  fields: {Nurture_Score__c: score}
  answers: {Working - Contacted: accepted, Unqualified: {rejected: not_persona}}
  deals: {stages: {Qualification: sql}, lost_reason: Loss_Reason__c, reasons: {Budget: price}}
"""


@dataclass(frozen=True)
class House:
    """A vendor's server, the file with what is published for it, and the statements that were built for that."""

    peer: Peer
    path: Path
    library: Library


def published(peer: Any, crm: str, migrated: Path, folder: Path) -> House:
    """Publish what a program says of this CRM."""
    path = folder / "published.db"
    shutil.copyfile(migrated, path)
    office = Office(f"sqlite:///{path}", peer, crm)
    office.world.close()
    return House(peer, path, office.world.machine.library)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no CRM that does not answer, and no round that took too long."""
    monkeypatch.setattr("nurture.crm.sync.TICK", 3600.0)
    for place in ("api", "webhook"):
        monkeypatch.setattr(f"nurture.crm.{place}.TIMEOUT", 600.0)


@pytest.fixture(scope="session")
def hubspot_house(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with serving(HubSpot()) as peer:
        yield published(peer, HUBSPOT, migrated_sqlite, tmp_path_factory.mktemp("hubspot"))


@pytest.fixture(scope="session")
def salesforce_house(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with serving(Salesforce()) as peer:
        yield published(peer, SALESFORCE, migrated_sqlite, tmp_path_factory.mktemp("salesforce"))


@pytest.fixture
def hubspot(hubspot_house: House) -> HubSpot:
    """The server, empty."""
    assert isinstance(hubspot_house.peer, HubSpot)
    hubspot_house.peer.reset()
    return hubspot_house.peer


@pytest.fixture
def salesforce(salesforce_house: House) -> Salesforce:
    """The server, empty."""
    assert isinstance(salesforce_house.peer, Salesforce)
    salesforce_house.peer.reset()
    return salesforce_house.peer


@pytest.fixture
def beside_hubspot(hubspot: HubSpot, hubspot_house: House, tmp_path: Path) -> Iterator[Office]:
    """With a token of a private app."""
    with copied(hubspot_house, tmp_path, token=TOKEN) as office:
        yield office


@pytest.fixture
def beside_salesforce(salesforce: Salesforce, salesforce_house: House, tmp_path: Path) -> Iterator[Office]:
    """With client credentials."""
    with copied(salesforce_house, tmp_path, **OAUTH) as office:
        yield office


@contextmanager
def copied(house: House, folder: Path, **secrets: str) -> Iterator[Office]:
    """An office of its own on what is published."""
    url = f"sqlite:///{shutil.copyfile(house.path, folder / 'nurture.db')}"
    office = Office(url, house.peer, None, **secrets)
    office.world.machine.library = house.library
    yield office
    office.world.close()


@pytest.fixture
def on_both(database_url: str, hubspot: HubSpot, hubspot_house: House) -> Iterator[Office]:
    """HubSpot, on either database."""
    office = Office(database_url, hubspot, HUBSPOT, token=TOKEN)
    office.world.machine.library = hubspot_house.library
    yield office
    office.world.close()
