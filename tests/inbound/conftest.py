"""A world of the engine, and a command line, as in the suites beside this one."""

from __future__ import annotations

from tests.cli.conftest import desk
from tests.engine.conftest import make

__all__ = ["desk", "make"]
