"""What tests need not do again: statements and letters that come out alike are compiled for the first that asks.

`reusing()` is in force for a whole process; nothing that a database or a test holds is shared by it.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, create_engine

if TYPE_CHECKING:
    from nurture.db import Database

#: Programs whose statements are kept for the next test with the same one.
PROGRAMS_KEPT = 24


@contextmanager
def reusing() -> Iterator[None]:
    """All of it."""
    with ExitStack() as stack:
        for one in (statements_compiled_once, statements_built_once, letters_compiled_once, tables_made_once):
            stack.enter_context(one())
        yield


@contextmanager
def statements_compiled_once() -> Iterator[None]:
    """Engines of one kind share their compiled statements: compiling them anew for each test took a fifth of all."""
    import nurture.db

    first: dict[str, Engine] = {}

    def create(*args: Any, **options: Any) -> Engine:
        engine = create_engine(*args, **options)
        kept = first.get(engine.dialect.name)
        if kept is None or kept.dialect.server_version_info is None:  # it has not met its database
            first[engine.dialect.name] = engine
        else:
            engine.dialect, engine._compiled_cache = kept.dialect, kept._compiled_cache
        return engine

    with pytest.MonkeyPatch.context() as here:
        here.setattr(nurture.db, "create_engine", create)
        yield


@contextmanager
def statements_built_once() -> Iterator[None]:
    """Machines with the same published bytes under the same ids share their statements: they depend on nothing else."""
    from nurture.engine.live import Library
    from nurture.engine.running import Run
    from nurture.program.load import content_hash

    alike: OrderedDict[Any, dict[tuple[Any, ...], Any]] = OrderedDict()
    digest = lru_cache(maxsize=256)(lambda files: content_hash(dict(files)))

    def bytes_of(library: Library) -> Any:
        """Which bytes stand under which id."""
        known = library.houses.values(), library.segments.values()
        return tuple(
            tuple(sorted((one.id, digest(tuple(one.files.items()))) for one in versions)) for versions in known
        )

    def plan(run: Run, name: tuple[Any, ...], build: Callable[[], Any]) -> Any:
        plans = run.live.library.plans
        key = (run.live.house.id, *name)
        if key not in plans:
            shared = alike.setdefault(bytes_of(run.live.library), {})
            alike.move_to_end(bytes_of(run.live.library))
            if len(alike) > PROGRAMS_KEPT:
                alike.popitem(last=False)
            plans[key] = shared[key] if key in shared else shared.setdefault(key, build())
        return plans[key]

    with pytest.MonkeyPatch.context() as here:
        here.setattr(Run, "plan", plan)
        yield


@contextmanager
def letters_compiled_once() -> Iterator[None]:
    """The same letters are compiled once, however many programs of the tests hold them."""
    from nurture.mail.templates import Templates
    from nurture.program.load import content_hash

    alike: OrderedDict[tuple[str, bool], Templates] = OrderedDict()
    begin = Templates.__init__

    def init(templates: Templates, files: Mapping[str, str], *, escaped: bool = True) -> None:
        begin(templates, files, escaped=escaped)
        which = content_hash(templates.files), escaped
        first = alike.setdefault(which, templates)
        alike.move_to_end(which)
        if len(alike) > PROGRAMS_KEPT:
            alike.popitem(last=False)
        templates.sandbox, templates._compiled, templates._lock = first.sandbox, first._compiled, first._lock

    with pytest.MonkeyPatch.context() as here:
        here.setattr(Templates, "__init__", init)
        yield


@contextmanager
def tables_made_once() -> Iterator[None]:
    """A new database in memory gets a copy of the first one's tables: the migrations take nearly a tenth of a second."""
    import nurture.db
    from nurture.rehearse import stage

    migrated = sqlite3.connect(":memory:", check_same_thread=False)
    run = nurture.db.migrate

    def tables(link: sqlite3.Connection) -> int:
        return int(link.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])

    def migrate(database: Database | str) -> None:
        if isinstance(database, str) or not database._memory:
            run(database)
            return
        with database._alone(), database.engine.connect() as link:
            own: Any = link.connection.driver_connection
            if tables(own):
                run(database)
                return
            if tables(migrated):
                migrated.backup(own)
                return
            run(database)
            own.backup(migrated)

    with pytest.MonkeyPatch.context() as here:
        here.setattr(nurture.db, "migrate", migrate)
        here.setattr(stage, "migrate", migrate)
        yield
    migrated.close()
