"""Worlds, as tests of the engine have them."""

from tests.engine.conftest import make

__all__ = ["make"]
