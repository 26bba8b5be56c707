"""Two leads that turn out to be one person become one: both histories stay, and what was done can be told.

One transaction under the locks of both leads, in the order of the house. The score ledger is derived anew from the
joined events; everything else is moved, and where only one of two can stay the stricter or the further does.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, select, update
from sqlmodel import SQLModel, col

from nurture import clock
from nurture.engine import joining, scoring, settle
from nurture.engine.audit import note
from nurture.engine.live import Live
from nurture.engine.renaming import EMAIL, ID, MERGED, forget_names, remember
from nurture.engine.running import Run
from nurture.engine.stages import FURTHER, out_of_sequences
from nurture.errors import NotFound, Refused
from nurture.histories import note as note_history
from nurture.records import Handoff, Lead, LeadMerge, StageTransition, StatusChange, Work
from nurture.worklist import put_work
from nurture.zones import know_zones, lead_zone

#: Tables whose rows of either lead are the other's as well, row by row.
MOVED = (
    "event", "touch", "stage_transition", "status_change", "handoff_answer", "task", "visitor", "inbound",
    "confirmation", "lead_alias", "lead_merge", "crm_link",
)  # fmt: skip
#: Tables with one row a lead and a thing: what either has.
UNITED = ("lead_tag", "lead_list", "holding", "enrolment_queue", "refused_topic", "refusal")
#: Tables that follow from others, and are derived anew.
DERIVED = ("score_entry", "score_sum", "work")
#: Tables with a rule of their own in `joining`.
JOINED = ("enrolment", "handoff", "milestone", "consent", "audience_member", "preference", "objection")

#: Filled from the other lead where they are empty; a zone goes with what it was read from.
_FILLED = ("first_name", "last_name", "company", "title", "phone", "country", "language", "owner")


def merge(link: Connection, live: Live, keep: int, gone: int, *, now: datetime, by: str, cause: str) -> dict[str, Any]:
    """Take the lead `gone` into the lead `keep`: what was done, as numbers and names of sequences.

    Nothing is done, and `{}` returned, where that happened before. Raises Refused for a lead and itself, or a lead
    that was forgotten, and NotFound.
    """
    if keep == gone:
        raise Refused(f"both are lead {keep}; a lead is not merged with itself")
    if _taken_in(link, keep, gone):
        return {}
    there = set(link.execute(select(col(Lead.id)).where(col(Lead.id).in_((keep, gone)))).scalars())
    for lead in {keep, gone} - there:
        raise NotFound(f"there is no lead {lead}")
    put_work(link, [keep, gone], now)
    rows = _both(link, keep, gone)
    if _taken_in(link, keep, gone):  # somebody else did while we waited
        return {}
    kept, left = _known(rows, keep), _known(rows, gone)
    run = Run(link, live, now, f"merge:{clock.unguessable()}")
    settle.claim_lead(run, keep)
    know_zones(link, run(select(lead_zone(live.house.program.zone)).where(col(Lead.id).in_((keep, gone)))).scalars())
    done = _join(run, kept, left)
    row = {"lead_id": keep, "gone_id": gone, "at": now, "by": by, "cause": cause, "detail": done}
    link.execute(LeadMerge.__table__.insert().values(**row))  # type: ignore[attr-defined]
    note(link, MERGED, f"lead:{keep}", by, now, {"gone": gone})
    scoring.rescore_claimed(run)
    settle.settle(run)
    return done


def _taken_in(link: Connection, keep: int, gone: int) -> bool:
    mine = (col(LeadMerge.gone_id) == gone) & (col(LeadMerge.lead_id) == keep)
    return link.execute(select(col(LeadMerge.id)).where(mine)).first() is not None


def _both(link: Connection, keep: int, gone: int) -> dict[int, Any]:
    """The rows of both leads, under lock."""
    query = select(Lead.__table__).where(col(Lead.id).in_((keep, gone))).order_by(col(Lead.id))  # type: ignore[attr-defined]
    return {row["id"]: row for row in link.execute(query.with_for_update(key_share=True)).mappings()}


def _known(rows: dict[int, Any], lead: int) -> Any:
    if lead not in rows:
        raise NotFound(f"there is no lead {lead}")
    if rows[lead]["forgotten_at"] is not None:
        raise Refused(f"lead {lead} was forgotten; nothing was changed")
    return rows[lead]


def _join(run: Run, kept: Any, left: Any) -> dict[str, Any]:
    """Everything of `left` to `kept`, whose row goes on as the only one."""
    link, keep, gone = run.link, kept["id"], left["id"]
    done: dict[str, Any] = {"ended": joining.passages(run, keep, gone), "closed": joining.handoffs(run, keep, gone)}
    done["withdrawn"] = joining.consents(run, keep, gone)
    done["suppressed"] = joining.suppressions(
        link, keep, gone, [row["email"] for row in (kept, left) if row["email"] is not None]
    )
    done["milestones"] = joining.milestones(run, keep, gone)
    joining.audiences(run, keep, gone, left["email"])
    joining.preferences(link, keep, gone)
    joining.objections(link, keep, gone)
    joining.controls(link, keep, gone)
    moved = {table: joining.rename(link, table, keep, gone) for table in MOVED}
    done |= {"events": moved["event"], "touches": moved["touch"]}
    for table in UNITED:
        joining.unite(link, table, keep, gone)
    scoring.forget_scores(run, gone)
    link.execute(delete(Work).where(col(Work.lead_id) == gone))
    link.execute(delete(Lead).where(col(Lead.id) == gone))
    _become(run, kept, left)
    done["stage"] = _further(run, kept, left)
    joining.heed(run, keep)
    return done


def _become(run: Run, kept: Any, left: Any) -> None:
    """The kept lead's row: its own values, the other's where it has none; and what the other was called."""
    values: dict[str, Any] = {name: left[name] for name in _FILLED if not kept[name] and left[name]}
    if not kept["timezone"] and not kept["zone"]:
        values |= {"timezone": left["timezone"], "zone": left["zone"]}
    fields = {**left["fields"], **kept["fields"]}
    filled = [*values, *(name for name in fields if name not in kept["fields"])]
    names = []
    if kept["email"] is None:
        values["email"] = left["email"]
        filled.append("email")
    elif left["email"] is not None:
        names.append((EMAIL, "", left["email"], kept["id"]))
    if kept["source_id"] is None:
        values |= {"source": left["source"], "source_id": left["source_id"]}
    elif left["source_id"] is not None:
        names.append((ID, left["source"] or "", left["source_id"], kept["id"]))
    rests = [row["rests_until"] for row in (kept, left) if row["rests_until"] is not None]
    values |= {
        "fields": fields,
        "folded": {**kept["folded"], **{name: left["folded"][name] for name in filled if name in left["folded"]}},
        "rests_until": max(rests, default=None),
        "created_at": min(kept["created_at"], left["created_at"]),
        "changed_at": run.now,
    }
    run(update(Lead).where(col(Lead.id) == kept["id"]).values(**values))
    remember(run.link, names, run.now, MERGED)
    forget_names(run.link, [row for row in (kept["email"] or values.get("email"),) if row])


def _further(run: Run, kept: Any, left: Any) -> str:
    """The stage of whichever had come further, with the status that belongs to it; the history says so."""
    ahead = max((kept, left), key=lambda row: FURTHER.index(row["stage"]))
    if kept["stage"] == ahead["stage"]:
        ahead = kept
    mine = col(Lead.id) == kept["id"]
    if ahead is not kept:
        run(update(Lead).where(mine).values(stage=ahead["stage"], status=ahead["status"]))
    if ahead["stage"] == "disqualified":
        for statement in out_of_sequences(select(col(Lead.id)).where(mine)):
            run(statement)
    elif ahead["stage"] == "customer":  # what either asked of sales is what a customer asks
        asked = and_(col(Handoff.lead_id) == kept["id"], col(Handoff.state) == "open")
        run(update(Handoff).where(asked).values(stage_before="customer"))
    _ends_there(run, StageTransition, "stage", kept, left, ahead["stage"])
    _ends_there(run, StatusChange, "status", kept, left, ahead["status"])
    return str(ahead["stage"])


def _ends_there(run: Run, table: type[SQLModel], name: str, kept: Any, left: Any, now_is: str) -> None:
    """The joined history of stages, or of statuses, ends with what the lead is now: no move of the machine, one person
    has been there all along.
    """
    rows = table.__table__  # type: ignore[attr-defined]
    last = select(rows.c[f"to_{name}"]).where(rows.c.lead_id == kept["id"]).order_by(rows.c.at.desc(), rows.c.id.desc())
    if kept[name] == now_is and run(last.limit(1)).scalar() in (None, now_is):
        return
    version = run.live.house.id if name == "stage" else None
    cause = f"merged with lead {left['id']}"
    row = (kept["id"], kept[name], now_is)
    note_history(run.link, name, [row], run.now, cause=cause, author="rule", version=version)
