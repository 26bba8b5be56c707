"""Tasks: what a `task` step asks of a salesperson for each lead, and the notice that tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, literal, select
from sqlmodel import col

from nurture.dialects import new_rows, upsert
from nurture.durations import Duration
from nurture.engine.live import Live
from nurture.engine.parcels import LEAD_COLUMNS, brand_of, lead_data
from nurture.engine.reader import Reader
from nurture.engine.routing import Routing, asked
from nurture.engine.running import Run
from nurture.jsonsql import among
from nurture.mail.faults import MessageFault
from nurture.mail.plain import PlainRenderer
from nurture.mail.render import Rendered, Renderer
from nurture.mail.templates import Templates
from nurture.program.check_ways import TASK_NOTICE
from nurture.program.load import House, Segment
from nurture.program.sales import Salesperson
from nurture.records import Enrolment, Lead, Outbox, Task
from nurture.records.types import CARRIED, NOW_AT
from nurture.steps import Task as TaskStep
from nurture.tokens import Keys

#: Leads of one transaction: a text is rendered for each, while other writers wait.
COHORT = 500
NOTICE = "task_notice"
#: What the salesperson receives; the program's own file of this name goes before the one that is built in.
TEMPLATE = TASK_NOTICE
BUILT_IN = """<!doctype html>
<html lang="{{ say.lang }}" dir="{{ say.dir }}"><head><meta charset="utf-8">
<title>{% block subject %}{{ say.task }}: {{ who | truncate(70, true, "…") }}{% if lead.company %}{{ say.comma }}{{ lead.company | truncate(50, true, "…") }}{% endif %}{% endblock %}</title></head>
<body dir="{{ say.dir }}" style="font-family:sans-serif;font-size:15px;line-height:1.5;color:#22302f;">
<p style="font-size:18px;"><bdi>{{ task.text }}</bdi></p>
{% if task.due %}<p>{{ task.title }}</p>{% endif %}
<p><bdi>{{ who }}</bdi>{% if lead.company %}{{ say.comma }}<bdi>{{ lead.company }}</bdi>{% endif %}<br>
{% if lead.email %}<a href="mailto:{{ lead.email | urlencode | replace("%40", "@") }}">{{ lead.email }}</a><br>{% endif %}
{% if lead.phone %}<a href="tel:{{ lead.phone }}"><bdi dir="ltr">{{ lead.phone }}</bdi></a>{% endif %}</p>
<p>{{ task.yours }}</p>
<p style="color:#5f6b69;">{{ task.asked_by }} <code dir="ltr">nurture done {{ task.id }}</code></p>
</body></html>
"""  # noqa: E501

_COLUMNS = [
    col(Enrolment.id).label("enrolment"), col(Enrolment.lead_id).label("lead"), col(Enrolment.occurrence),
    *LEAD_COLUMNS,
]  # fmt: skip


@dataclass(frozen=True)
class Notice:
    """What goes to whom; answers go to the lead."""

    to: str
    rendered: Rendered
    reply_to: str | None
    #: Who it comes from by name; None: the program's own name.
    from_name: str | None = None


def ask(run: Run, segment: Segment, step: TaskStep) -> int:
    """A task, and a notice of it, for each of the carried cohort that has none for this passage; how many."""
    rows = run(run.plan(("asked", segment.id, step.id), lambda: _unasked(run.live.house, step.id))).all()
    if not rows:
        return 0
    house, routing = run.live.house, Routing(run, rows)
    renderer = run.plan(
        ("task text", segment.id, step.id), lambda: PlainRenderer(texts(segment, step), brand_of(house))
    )
    tasks = []
    for row in rows:
        person, owner = _whom(routing, house, step.task.whom, row)
        tasks.append(
            {
                "lead_id": row.lead, "enrolment_id": row.enrolment, "sequence": segment.slug, "version_id": segment.id,
                "step": step.id, "occurrence": row.occurrence, "owner": owner,
                "text": _text(renderer, segment, step, row, house), "created_at": run.now,
                "due_at": None if step.due is None else _until(step.due, person, house, run.now),
            }
        )  # fmt: skip
    routing.keep("task")
    run.link.execute(upsert(run.link)(Task).on_conflict_do_nothing(), tasks)
    run(run.plan(("task notices", segment.id, step.id), lambda: _notices(step.id)))
    return len(tasks)


def texts(segment: Segment, step: TaskStep) -> dict[str, str]:
    """The step's own text as a template file."""
    return {_file(segment.slug, step.id): step.task.text}


def _file(slug: str, step: str) -> str:
    return f"{slug}/{step} of sequence.yaml.j2"


def _of_step(step: str) -> Any:
    mine = (
        select(1)
        .where(
            col(Task.enrolment_id) == col(Enrolment.id),
            col(Task.step) == step,
            col(Task.occurrence) == col(Enrolment.occurrence),
        )
        .correlate(Enrolment)
    )
    return mine.exists()


def _unasked(house: House, step: str) -> Any:
    cohort = (among(col(Enrolment.id), CARRIED), col(Enrolment.step) == step, ~_of_step(step))
    query = select(*_COLUMNS, *asked(house)).join_from(Enrolment, Lead, col(Lead.id) == col(Enrolment.lead_id))
    return query.where(*cohort).order_by(col(Enrolment.id))


def _notices(step: str) -> Any:
    """A row of the outbox for each task of the cohort."""
    rows = (
        select(literal(NOTICE), col(Task.id), NOW_AT, NOW_AT, literal(0))
        .join_from(Task, Enrolment, col(Enrolment.id) == col(Task.enrolment_id))
        .where(
            among(col(Enrolment.id), CARRIED), col(Enrolment.step) == step, col(Task.step) == step,
            col(Task.occurrence) == col(Enrolment.occurrence),
        )
    )  # fmt: skip
    return new_rows(Outbox, ["kind", "row_id", "created_at", "next_at", "attempt"], rows)


def _whom(routing: Routing, house: House, asked: str, row: Any) -> tuple[Salesperson | None, str]:
    """Who is asked, and the address; a lead's owner may be none of the team."""
    team = {person.email: person for person in house.program.sales}
    if asked == "owner" and row.owner:
        return team.get(row.owner), row.owner
    person = team.get(asked) or routing.owner(row).person
    return person, person.email


def _text(renderer: PlainRenderer, segment: Segment, step: TaskStep, row: Any, house: House) -> str:
    """What is asked; a text that cannot be made for this lead is said so, and stops nobody."""
    language = house.program.language
    try:
        names = {"lead": lead_data(row, house), "today": None}
        return renderer.render(_file(segment.slug, step.id), language, language, names).text
    except MessageFault as fault:
        return f"{step.title} (its text cannot be made for this lead: {fault})"


def _until(span: Duration, person: Salesperson | None, house: House, now: datetime) -> datetime:
    """`span` after `now`: days on the clock of who is asked, hours as they pass."""
    if not span.days:
        return now + span.elapsed
    zone = ZoneInfo((person.zone if person else None) or house.program.zone)
    local = now.astimezone(zone).replace(tzinfo=None) + timedelta(days=span.days)
    return local.replace(tzinfo=zone).astimezone(UTC)


def notice(
    link: Connection, live: Live, task: int, keys: Keys, public_url: str, now: datetime, *, built_in: bool = False
) -> Notice:  # fmt: skip
    """The message that tells of a task; `built_in`: whatever the program's own file says. Raises TemplateFault."""
    house, run = live.house, Run(link, live, now)
    query = select(*Task.__table__.columns).where(col(Task.id) == task)  # type: ignore[attr-defined]
    row = link.execute(query).one()
    lead = link.execute(select(*LEAD_COLUMNS).where(col(Lead.id) == row.lead_id)).one()
    person = next((one for one in house.program.sales if one.email == row.owner), None)
    names = notice_names(row, lead_data(lead, house), person, house)
    renderer = run.plan(
        ("task notice", public_url, built_in),
        lambda: Renderer(templates({} if built_in else house.files), brand_of(house), keys, public_url),
    )
    language = (person.language if person else None) or house.program.language
    return Notice(row.owner, renderer.notice(names, language, TEMPLATE), lead.email)


def templates(files: Mapping[str, str]) -> Templates:
    """The house's templates, with the one that is built in where it has none."""
    return Templates({TEMPLATE: BUILT_IN, **files})


def notice_names(row: Any, lead: Mapping[str, Any], person: Salesperson | None, house: House) -> dict[str, Any]:
    """What `_shared/task.j2` may print, in the words and on the clock of who is asked."""
    reader = Reader.of(house, person)
    name, say = person.name if person else row.owner, reader.say
    due = reader.when(row.due_at) if row.due_at else None
    asked = reader.when(row.created_at)
    return {
        "task": {
            "id": row.id, "text": row.text, "sequence": row.sequence, "step": row.step, "due": due, "asked": asked,
            "title": reader.filled("task_by", due=due) if due else say["task"],
            "yours": reader.filled("task_yours", owner=name),
            "asked_by": reader.filled("task_asked", when=asked, brand=house.program.name),
        },
        "lead": dict(lead),
        "who": " ".join(filter(None, (lead["first_name"], lead["last_name"]))) or lead["email"] or say["a_lead"],
        "owner": {"name": name, "email": row.owner},
        "say": say,
    }  # fmt: skip
