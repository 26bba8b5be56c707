"""The Prefect server as Prefect ships it, mended where it stumbles over SQLAlchemy 2.1."""

from __future__ import annotations

import runpy
import sys
from collections.abc import MutableMapping
from typing import Any

from prefect.server.database import orm_models
from sqlalchemy.ext.hybrid import hybrid_property


def start() -> None:
    """Become `prefect server start`, in this process."""
    mend()
    sys.argv = ["prefect", "server", "start"]
    runpy.run_module("prefect", run_name="__main__")


def mend() -> None:
    """Let Prefect 3.8's scheduler insert runs, which SQLAlchemy 2.1 refuses: then no schedule ever fires.

    The rows carry a hybrid property (`state`) that 2.0 passed over in bulk inserts and for which 2.1 demands
    a `bulk_dml` function. One that does nothing gives the old manners back.
    """
    for mapper in orm_models.Base.registry.mappers:
        for described in mapper.all_orm_descriptors:
            if isinstance(described, hybrid_property) and getattr(described, "bulk_dml_setter", 1) is None:
                described.bulk_dml_setter = passed_over


def passed_over(cls: Any, mapping: MutableMapping[str, Any], value: Any) -> None:
    """Leave the row as it is."""
