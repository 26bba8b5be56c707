"""`nurture demo`: three weeks of everything, from nothing, in a few minutes."""

from nurture.demo.director import run

__all__ = ["run"]
