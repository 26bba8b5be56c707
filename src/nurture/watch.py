"""Whether anybody has written to the database since one last looked, without reading a table."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError


class Watch:
    """Looks on a connection of its own, kept open. Several threads may ask."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._looking = threading.Lock()
        self._file: sqlite3.Connection | None = None
        self._server: Connection | None = None

    def look(self) -> object:
        """The same answer twice: nobody has committed anything in between. Where it cannot be asked, always another.

        SQLite's data_version (3 microseconds); PostgreSQL's snapshot, which the end of each transaction that wrote
        changes: it names the last id that has ended and those before it that have not (pg_current_snapshot).
        """
        with self._looking:
            try:
                return self._version() if self._engine.dialect.name == "sqlite" else self._snapshot()
            except (sqlite3.Error, SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error):
                self._let_go()
                return object()

    def _version(self) -> object:
        if self._file is None:  # mode=rw: it makes no file
            file = f"{Path(str(self._engine.url.database)).absolute().as_uri()}?mode=rw"
            self._file = sqlite3.connect(file, uri=True, check_same_thread=False)
        return self._file, self._file.execute("PRAGMA data_version").fetchone()

    def _snapshot(self) -> object:
        if self._server is None:
            self._server = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        link: Any = self._server.connection.driver_connection  # a look through SQLAlchemy costs as much again
        return self._server, link.execute("SELECT pg_current_snapshot()::text").fetchone()

    def _let_go(self) -> None:
        file, server, self._file, self._server = self._file, self._server, None, None
        if file is not None:
            file.close()
        if server is not None:
            server.invalidate()
            server.close()

    def close(self) -> None:
        """Close its connection; the next look opens another."""
        with self._looking:
            self._let_go()
