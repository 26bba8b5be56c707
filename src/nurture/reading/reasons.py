"""Why a message waits, or did not go out: each word that the engine writes down, in a sentence."""

from __future__ import annotations

#: Reason of a touch to the sentence that explains it.
REASONS = {
    # waits
    "window": "the sequence's send window is closed on the lead's clock",
    "quiet": "it falls into the quiet hours of program.yaml on the lead's clock",
    "cap": "the lead has had as many messages as caps: in program.yaml allow",
    "pause": "the lead asked in the preference centre for no messages until then",
    "pace": "the lead asked in the preference centre for fewer messages than that",
    "confirmation": "the mailbox has yet to say the second yes that the form's letter asks for",
    "priority": "another sequence with a higher priority writes to this lead first",
    "paused": "an operator paused it; 'nurture resume' lets it go",
    "stopped": "an operator stopped it; 'nurture start' lets it go",
    "canary": "this version's first large send is being tried on a few; see 'nurture holds'",
    "growth": "far more than usual would go out today, and a person is asked; see 'nurture holds'",
    "most_per_day": "the sequence has sent its most_per_day; see 'nurture holds'",
    "not_rendered": "it could not be rendered in time, and is tried again",
    "clone": "this database is a copy; 'nurture adopt' makes it send",
    # does not go out
    "no_consent": "there is no valid basis to write to this lead by this channel",
    "topic": "the lead does not want to hear of this topic, as it said in the preference centre",
    "no_address": "the lead has no e-mail address",
    "no_phone": "the lead has no phone number in the international form, +40…",
    "already_received": "the lead has had this already, and the step does not say repeat: true",
    "holdout": "the lead is one of the global holdout, to whom nothing is advertised",
    "customer": "the lead is a customer, and nobody advertises to customers",
    "objected": "the lead objects to it; 'nurture explain' says since when",
    "late": "it is later than max_late after the first instant at which it might have gone",
    # went, but not from here
    "moved_in": "the lead had it before it came here ('nurture import positions')",
    # was called off
    "merged": "two leads turned out to be one person, and the other's passage goes on ('nurture merge')",
    "ended": "the lead had left the sequence",
    "edited": "its step was taken out of the sequence while it waited",
    "objective": "the lead had reached the objective",
    "left": "the leave rule held",
    "unsubscribed": "the lead had unsubscribed",
    "disqualified": "the lead had been disqualified",
    "discarded": "a person called the send off",
    "unenrolled": "a person took the lead out",
    "forgotten": "the person was forgotten ('nurture forget')",
}  # fmt: skip


def why(state: str, reason: str | None) -> str:
    """A sentence for a touch in `state`; empty where the reason is somebody else's words (a relay's answer)."""
    if state == "suppressed" and reason == "suppressed":
        return "the lead, its address or its domain is on the suppression list"
    if state == "suppressed" and reason == "cap":
        return "the lead had had as many messages as caps: allow, and this sequence skips then (over_cap: skip)"
    return REASONS.get(reason or "", "")
