"""One engine per process, and the two ways to use it: `read()` and `transact()`.

SQLite: WAL, `synchronous=FULL` (NORMAL may lose a commit at power loss), every write transaction `BEGIN IMMEDIATE`,
and a gate: a door (web, one lead) goes before bulk writers (ticks, imports). PostgreSQL: READ COMMITTED and row locks.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, literal, select, text, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.pool import StaticPool
from sqlmodel import col

from nurture import clock
from nurture.dialects import LooksUpFew, database_clock, upsert
from nurture.errors import DatabaseFault, DatabaseGone, SchemaMismatch, SettingsError
from nurture.locking import lock, unlock
from nurture.records import Lease
from nurture.records.types import instant, micros
from nurture.watch import Watch

log = logging.getLogger("nurture.db")
T = TypeVar("T")

#: Rows that one bulk transaction moves at most; `engine/pacing.py` says when fewer.
BULK_ROWS = 5_000
_TRIES = 5
#: Seconds for which a bulk writer waits for a moment without doors before it asks them to wait.
_COURTESY = 0.5
#: What SQLite says where a file cannot be opened or written.
_UNWRITABLE = ("unable to open", "readonly", "read-only", "disk is full", "I/O error")
#: Compiled statements that an engine remembers: a program of many segments has some hundreds.
_STATEMENTS = 5_000
#: PostgreSQL: a commit that is reported is on the disk, whatever a role's default says; and a page elsewhere costs
#: little more than the next, as it is with disks of today, or small tables are read whole for each row of a batch.
_SESSION = "-c idle_in_transaction_session_timeout=60000 -c synchronous_commit=on -c random_page_cost=1.1"
#: A server whose host is gone is given up in half a minute (libpq: seconds, seconds, times, milliseconds).
_ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
#: serialization_failure, deadlock_detected (PostgreSQL manual, appendix A); foreign_key_violation: the lead was merged
#: into another meanwhile; unique_violation: an address or id that was free when it was looked up is another lead's.
_AGAIN = {"40001", "40P01", "23503", "23505"}


class Database:
    """The tables, opened. `url` as SQLAlchemy takes it; `sqlite://` is a database in memory."""

    def __init__(self, url: str) -> None:
        try:
            self.url = make_url(url)
        except ArgumentError:
            raise SettingsError(
                "the database's URL cannot be read; write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
            ) from None
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._memory = of_one_process(self.url)
        self._gate = None if not self.is_sqlite or self._memory else Path(f"{self.url.database}.gate")
        self._one_at_a_time = threading.RLock()
        self.engine = self._open()
        self._watch = Watch(self.engine)

    def _open(self) -> Engine:
        if not self.is_sqlite:
            engine = create_engine(
                self.url, hide_parameters=True, query_cache_size=_STATEMENTS, pool_pre_ping=True,
                pool_size=10, max_overflow=20,
                connect_args={"options": _SESSION, "connect_timeout": 10, **_ALIVE},
            )  # fmt: skip
            engine.dialect.statement_compiler = LooksUpFew
            return engine
        engine = create_engine(
            self.url, hide_parameters=True, query_cache_size=_STATEMENTS,
            connect_args={"check_same_thread": False, "timeout": 10},
            **({"poolclass": StaticPool} if self._memory else {}),
        )  # fmt: skip
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    @property
    def name(self) -> str:
        """The database without its password, for messages."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that only reads; one consistent view on SQLite."""
        with self._alone(), self._faults(), self.engine.connect() as link:
            yield link.execution_options(nurture_reads=True)

    def written(self) -> object:
        """The same answer twice: nobody has committed anything in between; a database in memory never says so."""
        return object() if self._memory else self._watch.look()

    def transact(self, work: Callable[[Connection], T], *, door: bool = False) -> T:
        """Run `work` in one write transaction and commit; again, at most five times, after a deadlock or a race.

        `door`: a single lead's change; bulk writers let it go first. `work` must touch nothing but the database.
        """
        for attempt in range(1, _TRIES + 1):
            try:
                with self._alone(), self._turn(door) as begun, self._faults(), self.engine.begin() as link:
                    begun()
                    return work(link)
            except DBAPIError as problem:
                if getattr(problem.orig, "sqlstate", None) not in _AGAIN or attempt == _TRIES:
                    raise
                log.info("transaction repeated attempt=%d", attempt)
                clock.pause(0.02 * 2**attempt * clock.jitter(0.5))
        raise AssertionError("unreachable")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """An in-memory database has one connection: threads take turns."""
        if not self._memory:
            yield
            return
        with self._one_at_a_time:
            yield

    @contextmanager
    def _turn(self, door: bool) -> Iterator[Callable[[], None]]:
        """The writer gate: doors hold it shared while they wait and write; a bulk writer begins when none does.

        A bulk writer that has let doors go first for a while closes the porch before the gate: it is not starved.
        A courtesy, for ten seconds at most: what may be written is decided by the database's own lock.
        """
        if self._gate is None:
            yield lambda: None
            return
        with self._gate.open("a") as gate, self._gate.with_suffix(".porch").open("a") as porch:
            if door:
                lock(porch, shared=True)
                lock(gate, shared=True)
                unlock(porch)
                yield lambda: None
                return
            if not lock(gate, seconds=_COURTESY):
                lock(porch)
                lock(gate)

            def begun() -> None:
                unlock(gate)
                unlock(porch)

            yield begun

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as problem:
            said = str(problem.orig).strip().splitlines()[0]
            if "locked" in said:
                raise DatabaseFault(
                    f"{self.name}: another program has held the database locked for 10 seconds; nothing was changed; "
                    "end it, or wait and run the command again"
                ) from problem
            if any(sign in said for sign in _UNWRITABLE):
                raise DatabaseFault(
                    f"{self.name}: {said}; nothing was changed; check the folder's rights and space"
                ) from problem
            if problem.connection_invalidated or "connect" in said.lower():
                raise DatabaseGone(
                    f"{self.name}: the database does not answer ({said}); nothing was changed; "
                    "start it, or check NURTURE_DATABASE_URL, and run the command again"
                ) from problem
            raise

    def require_schema(self) -> None:
        """Raise SchemaMismatch unless the tables are of this program's version; an empty database is set up."""
        with self.read() as link:
            found = MigrationContext.configure(link).get_current_revision()
        head = ScriptDirectory.from_config(_alembic(None)).get_current_head()
        if found == head:
            return
        if found is None:
            migrate(self)
            return
        known = {script.revision for script in ScriptDirectory.from_config(_alembic(None)).walk_revisions()}
        if found in known:
            raise SchemaMismatch(
                f"{self.name}: the tables are of version {found}, this program needs {head}; run 'nurture migrate'"
            )
        raise SchemaMismatch(
            f"{self.name}: the tables are of version {found}, newer than this program ({head}); "
            "install the newer nurture, or point NURTURE_DATABASE_URL elsewhere"
        )

    def flush(self) -> None:
        """SQLite: bring the write-ahead log into the file and empty it, as far as no reader needs it."""
        if self.is_sqlite and not self._memory:
            with closing(self.engine.raw_connection()) as link:
                link.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def dispose(self) -> None:
        """Close all connections."""
        self._watch.close()
        self.engine.dispose()


def of_one_process(url: URL) -> bool:
    """Whether the database is in memory: nobody else sees it, or waits for it."""
    return url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")


def migrate(database: Database | str) -> None:
    """Bring the tables to this program's version, creating them if there are none."""
    owned = isinstance(database, str)
    db = Database(database) if isinstance(database, str) else database
    try:
        with db._alone(), db._faults(), db.engine.begin() as link:
            if not db.is_sqlite:
                link.execute(text("SELECT pg_advisory_xact_lock(7215331)"))
            command.upgrade(_alembic(link), "head")
    finally:
        if owned:
            db.dispose()


def _alembic(link: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = link
    return config


def _prepare_sqlite(dbapi: Any, _record: Any) -> None:
    dbapi.isolation_level = None  # we say BEGIN ourselves
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=10000",
        "cache_size=-16384",  # 16 MB: four times as much made nothing faster among 300,000 leads
        "case_sensitive_like=ON",
        "secure_delete=ON",  # what is forgotten is not left in free pages
    ):
        dbapi.execute(f"PRAGMA {pragma}")


def _begin_sqlite(link: Connection) -> None:
    reads = link.get_execution_options().get("nurture_reads")
    link.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def keep_lease(link: Connection, name: str, owner: str, seconds: float) -> bool:
    """Put `owner`'s lease off to `seconds` from now; False if it is not `owner`'s any more."""
    until = instant(micros(database_clock()) + int(seconds * 1_000_000))
    mine = (col(Lease.name) == name) & (col(Lease.owner) == owner)
    return link.execute(update(Lease).where(mine).values(until=until)).rowcount == 1


def take_lease(link: Connection, name: str, owner: str, seconds: float) -> int | None:
    """The new token if `name` was free, expired or already `owner`'s, for `seconds` from now; else None.

    Judged by the database's clock, so hosts need not agree on the time.
    """
    now = database_clock()
    until = instant(micros(now) + int(seconds * 1_000_000))
    statement = (
        upsert(link)(Lease)
        .from_select(
            ["name", "owner", "token", "until"],
            select(literal(name), literal(owner), literal(1), until).where(literal(True)),
        )
        .on_conflict_do_update(
            index_elements=["name"],
            set_={"owner": owner, "token": col(Lease.token) + 1, "until": until},
            where=(col(Lease.until) < now) | (col(Lease.owner) == owner),
        )
        .returning(col(Lease.token))
    )
    return link.execute(statement).scalar()
