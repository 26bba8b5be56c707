"""Where a database is, so that a copy is told from the original; what the database's clock shows."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, select, text

from nurture import clock
from nurture.db import Database
from nurture.dialects import database_clock

#: How far this host's clock may be from the database's.
CLOCKS_APART = timedelta(seconds=5)
#: Cluster, database and timeline; a database that was dumped, copied, promoted or wound back differs in one.
_POSTGRES_PLACE = """
SELECT concat_ws(':', (SELECT system_identifier FROM pg_control_system()),
    (SELECT oid FROM pg_database WHERE datname = current_database()),
    CASE WHEN pg_is_in_recovery() THEN 'replica' ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END)"""
_POSTGRES_RIGHTS = """
SELECT has_function_privilege('pg_control_system()', 'execute')
    AND has_function_privilege('pg_walfile_name(pg_lsn)', 'execute')"""
_POSTGRES_PLAIN = """
SELECT concat_ws(':', inet_server_addr(), inet_server_port(), oid)
FROM pg_database WHERE datname = current_database()"""


def database_place(link: Connection, db: Database) -> str:
    """Which file, or which database on which server's timeline; needs no rights."""
    if not db.is_sqlite:
        rights = link.execute(text(_POSTGRES_RIGHTS)).scalar_one()
        return f"postgresql:{link.execute(text(_POSTGRES_PLACE if rights else _POSTGRES_PLAIN)).scalar_one()}"
    if db.url.database in (None, "", ":memory:"):
        return "memory"
    file = Path(str(db.url.database)).resolve()
    return f"{file}:{file.stat().st_ino}"


def clocks_apart(link: Connection) -> timedelta:
    """This host's clock minus the database's."""
    before = clock.wall()
    theirs: datetime = link.execute(select(database_clock())).scalar_one()
    return before + (clock.wall() - before) / 2 - theirs


def spoken(apart: timedelta) -> str:
    """`7 s ahead of`, `7 s behind`."""
    seconds = apart.total_seconds()
    return f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'}"
