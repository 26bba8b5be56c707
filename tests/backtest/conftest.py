"""Before numpy is imported: one thread for its sums of products, as the command has it."""

from __future__ import annotations

from nurture.backtest.numbers import need_numpy

need_numpy()
