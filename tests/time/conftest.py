"""Worlds, as tests of the engine make them, and a command line of one's own."""

from tests.cli.conftest import desk
from tests.engine.conftest import make

__all__ = ["desk", "make"]
