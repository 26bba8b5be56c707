"""The engine's worlds."""

from tests.engine.conftest import make

__all__ = ["make"]
