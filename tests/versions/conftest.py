"""Tests of versions play in the engine's worlds."""

from tests.engine.conftest import make

__all__ = ["make"]
