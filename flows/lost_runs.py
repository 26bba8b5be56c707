"""The automation that frees a segment whose run died without a word: its process and its worker at once."""

from __future__ import annotations

from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

ENDS = ("Completed", "Failed", "Cancelled", "Crashed", "Cancelling", "Paused", "Suspended", "AwaitingRetry")
# Three heartbeats long (PREFECT_FLOWS_HEARTBEAT_FREQUENCY is 30 in prefect.yaml and in server.env).
LOST_RUN = AutomationCore(
    name="nurture: lost run",
    description="A run that is silent for 90 s has died: mark it Crashed, so that its segment goes on.",
    trigger=EventTrigger(
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{end}" for end in ENDS)},
        match={"prefect.resource.id": ["prefect.flow-run.*"]},
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=90),
    ),
    actions=[
        ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message="No sign of life for 90 s.", force=False)
    ],
)


def watch(client: SyncPrefectClient) -> None:
    """Create the automation, or replace the one of its name."""
    for old in client.read_automations_by_name(LOST_RUN.name):
        client.delete_automation(old.id)
    client.create_automation(LOST_RUN)
