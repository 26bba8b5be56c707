"""The command line: it speaks marketer, and every error is a sentence with the way out."""

from nurture.cli.app import main

__all__ = ["main"]
