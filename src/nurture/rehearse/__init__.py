"""Rehearsal: the very engine that runs in production, with a virtual clock and channels that only record."""

from nurture.rehearse.run import CheckRun, run_checks

__all__ = ["CheckRun", "run_checks"]
