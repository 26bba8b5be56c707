"""Webhooks: another system is told that a lead came to a step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from nurture.channels.base import Parcel, Receipt, receipt
from nurture.channels.calls import SignedCalls
from nurture.channels.outbound import Answer

#: The type of the event, as Standard Webhooks has it: what happened, from the general to the particular.
TYPE = "lead.step"
_GONE = 410


def notification(
    at: datetime, sequence: str, step: str, lead: Mapping[str, Any], data: Mapping[str, Any]
) -> bytes:  # fmt: skip
    """The payload: `at` is when the step fell due, `lead` what the endpoint may know, `data` what the step adds."""
    event = {
        "type": TYPE,
        "timestamp": at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "data": {"sequence": sequence, "step": step, "lead": dict(lead), "data": dict(data)},
    }
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False, default=str).encode()


def signed_as(name: str) -> str:
    """What the key of a webhook's endpoint is derived from; an audience of the same name has another key."""
    return f"webhook:{name}"


class WebhookChannel(SignedCalls):
    """`endpoints`: webhook name to URL.

    After 410 Gone an endpoint is not called again by this process: what it would be told waits for an operator, and is
    given up when it is late.
    """

    name = "webhook"
    noun = "webhook"

    def judge(self, parcel: Parcel, answer: Answer) -> Receipt:
        if answer.status != _GONE:
            return super().judge(parcel, answer)
        self.gone[parcel.to] = (
            f"{_GONE}: webhook '{parcel.to}' wants no more calls; give it another url in program.yaml"
        )
        return receipt(parcel, "not_started", self.gone[parcel.to])
