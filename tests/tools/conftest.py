"""The desk of the command line's tests, here too."""

from tests.cli.conftest import Desk, desk

__all__ = ["Desk", "desk"]
