"""Event names that are one slip away from another: nobody declares an event, so nothing else tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from nurture.language.source import Path, Source
from nurture.program.check_stories import is_check

#: Events that the house itself records.
OF_THE_HOUSE = frozenset(
    {
        "email_sent", "email_clicked", "email_opened", "email_replied", "email_bounced", "email_complained",
        "email_delivered", "email_rejected", "sms_delivered", "sms_bounced",
        "unsubscribed", "preferences_changed",
        "offer_viewed", "handoff_accepted", "handoff_rejected", "handoff_met", "handoff_sql", "handoff_opportunity",
        "handoff_expired", "handoff_reassigned",
        "deal_won", "deal_lost", "handoff_recycled", "offer_sent", "sms_sent", "webhook_sent",
        "audience_changed", "task_done", "question_answered", "consent_confirmed", "objected", "objection_taken_back",
    }
)  # fmt: skip
#: Shorter names are too often near each other by chance.
_SHORTEST = 6


def misspelled(sources: Mapping[str, Source]) -> None:
    """Note, in the sources, every event name within one slip of one that is better known in this program."""
    asked = [(source, path, str(source.at(path))) for source in sources.values() for path in _asked(source)]
    uses = Counter(name for source, _, name in asked if not is_check(source.file))
    forms = sources["program.yaml"].at(("forms",)) if "program.yaml" in sources else None
    listed = forms.values() if isinstance(forms, dict) else []
    sure = {str(form.get("event")) for form in listed if isinstance(form, dict)} | OF_THE_HOUSE
    order = list(dict.fromkeys([*sorted(sure), *uses]))

    def weight(name: str) -> tuple[bool, int, int]:
        return name in sure, uses[name], -order.index(name) if name in order else -len(order)

    for source, path, name in asked:
        better = [other for other in order if weight(other) > weight(name) and one_slip(name, other)]
        if better:
            near = max(better, key=weight)
            what = f"nothing else in this program speaks of an event '{name}'"
            source.complain(path, what, f"did you mean '{near}'?")


def _asked(source: Source) -> Iterator[Path]:
    """Where conditions, and the events of checks, name an event."""
    for path in source.places:
        told = is_check(source.file) and path[:1] == ("events",) and path[2:] == ("event",)
        if (told or path[-1:] in (("did",), ("did_not",))) and isinstance(source.at(path), str):
            yield path


def one_slip(one: str, other: str) -> bool:
    """Whether one letter was added, left out, changed, or changed places with its neighbour; digits are no slips."""
    if one == other or abs(len(one) - len(other)) > 1 or min(len(one), len(other)) < _SHORTEST:
        return False
    start = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    a, b = one[start:], other[start:]
    if any(text[:1].isdigit() for text in (a, b)):
        return False
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])


__all__ = ["misspelled", "one_slip"]
