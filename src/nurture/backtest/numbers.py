"""Whether numpy is there: an extra, wanted by nothing else here."""

from __future__ import annotations

import os
from importlib.util import find_spec

from nurture.errors import NurtureError


class NumpyMissing(NurtureError):
    """The extra is not installed."""


def need_numpy() -> None:
    """Raise NumpyMissing, with the way out, where numpy is not installed; to be called before it is imported.

    Its sums of products are left to one thread: ours are small, and threads that wait for each other take longer.
    """
    if find_spec("numpy") is None:
        raise NumpyMissing(
            "looking back needs numpy, which is not installed; run: pip install 'nurture[backtest]' "
            "(or pip install numpy), then the command again"
        )
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
