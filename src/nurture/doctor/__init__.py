"""Is the installation sound: database, clock, secret, folder, public address, relay, DNS, Prefect, mailbox."""

from __future__ import annotations

from collections.abc import Mapping

from nurture.db import Database
from nurture.doctor import house, names, relay, services, signed
from nurture.doctor.base import Check
from nurture.engine.live import Library
from nurture.errors import DatabaseFault, NotPublished
from nurture.program.load import House
from nurture.settings import Settings

__all__ = ["Check", "examine"]


def examine(settings: Settings, environment: Mapping[str, str]) -> list[Check]:
    """Everything, looked at once; nothing is sent. `environment`: where Prefect's settings stand."""
    db = Database(settings.url())
    try:
        checks = house.database(db)
        program = published(db) if checks[0].verdict == "ok" else None
        sound = all(check.verdict == "ok" for check in checks)
        checks += house.belongings(db, settings, sound)
        checks += house.notices(db, sound and program is not None)
        checks += signed.definitions(db, program if sound else None)
        checks += [house.secret(settings), house.folder(settings), house.public(settings)]
        checks += house.forgetting(settings)
        checks += relay.examine(db if sound else None, settings)
        checks += names.examine(settings, program)
        checks += [services.prefect(environment), services.mailbox(settings)]
        checks += services.crm(db if sound else None, program)
    finally:
        db.dispose()
    return checks


def published(db: Database) -> House | None:
    """The program that is live; None: nothing is, or the tables cannot be read."""
    try:
        db.require_schema()
        with db.read() as link:
            return Library().live(link).house
    except (NotPublished, DatabaseFault):
        return None
