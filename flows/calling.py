"""Calls other workers to help with a tick that has much to send."""

from __future__ import annotations

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import WorkerStatus
from prefect.exceptions import ObjectNotFound

#: Messages for which one more worker is wanted: starting a run costs about as much as sending so many.
EACH = 5_000


class Call:
    """Called with a step's progress; asks for help once: when the first batch is recorded, if much is left."""

    def __init__(self, segment: str, run_id: str) -> None:
        self.segment, self.run_id, self.over = segment, run_id, False

    def __call__(self, done: int, total: int) -> None:
        if self.over or not done:  # nobody is invited yet
            return
        self.over = True
        try:
            ask(self.segment, (total - done) // EACH, self.run_id)
        except Exception as problem:  # whatever ails the server: the tick goes on alone
            get_run_logger().warning("no help was called: %s", type(problem).__name__)


def ask(segment: str, wanted: int, run_id: str) -> int:
    """Start so many runs, but no more than the pool has other workers; once for a tick. How many; 0: no deployment."""
    if wanted < 1:
        return 0
    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name("nurture-helping/helping")
        except ObjectNotFound:
            return 0
        pool = deployment.work_pool_name
        known = client.read_workers_for_work_pool(pool) if pool is not None else []
        others = sum(worker.status == WorkerStatus.ONLINE for worker in known) - 1
        for place in range(count := max(min(wanted, others), 0)):
            client.create_flow_run_from_deployment(
                deployment.id, parameters={"segment": segment}, idempotency_key=f"{run_id}-{place}",
                tags=["nurture-helping", f"segment:{segment}"],
            )  # fmt: skip
    return count
