"""Worlds, as tests of the engine make them."""

from tests.engine.conftest import make

__all__ = ["make"]
