"""The message that a lead would get: made by the engine itself, in a database in memory that ends with the preview.

Nothing is written to the real database, and no touch exists there. Links that would carry a lead's token are sealed
with a key that is thrown away: they look as they will, open nothing, and unsubscribe nobody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parseaddr
from html.parser import HTMLParser
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlmodel import SQLModel, col

from nurture import clock, tokens
from nurture.channels.base import Parcel
from nurture.engine.live import Live
from nurture.engine.parcels import LEAD_COLUMNS, Maker, lead_data
from nurture.engine.planning import plan_touches
from nurture.engine.running import Run
from nurture.errors import NotFound, Refused
from nurture.folding import canonical_email
from nurture.intake.write import put_lead
from nurture.jsonsql import listed
from nurture.language.problems import suggest
from nurture.mail.compose import compose
from nurture.mail.dkim import Signer
from nurture.mail.render import Rendered
from nurture.program.load import House, Segment
from nurture.reading.basis import barred
from nurture.records import Enrolment, Lead, Touch
from nurture.rehearse.copying import raw_of
from nurture.rehearse.stage import set_stage
from nurture.steps import Email, Offer, Sending, Sms, Step

#: What is known of a lead in rows of its own, and matters to what it is sent.
_OF_A_LEAD = ("lead", "lead_tag", "lead_list", "consent", "score_sum", "enrolment", "touch")
_SOMEBODY = "somebody@example.com"
_CLAIM = "preview"
_FIELD = re.compile(r"""\blead(?:\.(\w+)|\[\s*["'](\w+)["']\s*\])""")
_FLAGS = {"true": True, "yes": True, "false": False, "no": False}
_EXAMPLES = {"number": "12", "date": "2026-03-02", "flag": "true or false"}


@dataclass(frozen=True)
class Whom:
    """For whom: a lead's own rows by table, or made-up values by field. `notes`: what is true of the lead besides."""

    rows: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preview:
    """A message as it would arrive. `raw`: its bytes; empty `html`: a text message."""

    segment: str
    step: str
    sender: str
    to: str
    subject: str
    preheader: str
    text: str
    html: str
    raw: bytes
    #: The file that was rendered, which names the language.
    variant: str = ""
    reply_to: str = ""
    #: The piece that an offer step chose.
    offer: str = ""
    arm: str = ""
    #: Fields that the message speaks of and the lead does not have.
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def told(self) -> str:
        """For a terminal: a block of headers, then the text."""
        lines = [("From", self.sender), ("Reply-To", self.reply_to), ("To", self.to), ("Subject", self.subject)]
        lines += [("Preheader", self.preheader), ("File", self.variant), ("Offer", self.offer), ("Variant", self.arm)]
        lines += [("Missing", ", ".join(self.missing))]
        lines += [("Note", note) for note in self.notes]
        head = "\n".join(f"{name + ':':<10} {value}" for name, value in lines if value)
        return f"{head}\n{'-' * 72}\n{self.text.rstrip()}"


def known_lead(link: Connection, lead: int, now: datetime) -> Whom:
    """What the real database says of a lead; it is only read."""
    rows = {}
    for name in _OF_A_LEAD:
        table = SQLModel.metadata.tables[name]
        key = table.c.id if name == "lead" else table.c.lead_id
        rows[name] = [dict(row._mapping) for row in link.execute(select(table).where(key == lead))]
    rows["consent"] = [row for row in rows["consent"] if row["purpose"] != "tracking"]  # links stay as written
    (own,) = rows["lead"]
    for row in rows["enrolment"]:
        row["ended_at"] = row["ended_at"] or now
    notes = tuple(f"this lead is never written to: {why}" for why in barred(link, lead, own["email"] or ""))
    return Whom(rows, notes=notes)


def preview(
    files: Mapping[str, str], segment: str, step: str, whom: Whom, now: datetime, *, public_url: str,
    language: str | None = None, arm: str | None = None,
) -> Preview:  # fmt: skip
    """The message of a step as `whom` would get it at `now`, from the files of the house and this segment.

    Raises ProgramError for files that cannot be read, NotFound for no such step, variant or field, Refused when the
    step has nothing for this lead, MessageFault for a template that fails.
    """
    stage = set_stage(now)
    try:
        raw = raw_of(stage.machine.db)
        raw.execute("PRAGMA foreign_keys=OFF")  # the lead's rows speak of versions that are not here
        raw.execute("DROP TRIGGER touch_begins")
        stage.publish(files)
        live = stage.machine.live()
        chosen = live.segment(segment)
        kind = _sending(chosen, step, arm)

        def work(link: Connection) -> Preview:
            lead = _put(link, whom, live.house, now)
            if language is not None:
                link.execute(update(Lead).where(col(Lead.id) == lead).values(language=language))
            return _made(link, live, chosen, kind, lead, arm, now, public_url, whom.notes)

        return stage.machine.db.transact(work)
    finally:
        stage.close()


def _sending(segment: Segment, step: str, arm: str | None) -> Sending:
    """The step, if a lead reads what it sends."""
    readable = [one.id for one in segment.spec.steps if isinstance(one, Email | Offer | Sms)]
    if not segment.spec.has(step):
        raise NotFound(f"'{segment.slug}' has no step '{step}'; {suggest(step, readable)}")
    kind: Step = segment.spec.step(step)
    if not isinstance(kind, Email | Offer | Sms):
        raise Refused(
            f"step '{step}' is a {kind.kind_word}: it sends nothing that a lead reads; {suggest('', readable)}"
        )
    arms = list(getattr(kind, "variants", None) or ())
    if arm is not None and arm not in arms:
        raise NotFound(f"step '{step}' has no variant '{arm}'; {suggest(arm, arms) if arms else 'leave --variant out'}")
    return kind


def _put(link: Connection, whom: Whom, house: House, now: datetime) -> int:
    """The lead as a row here; its id."""
    if whom.rows:
        for name, rows in whom.rows.items():
            if rows:
                link.execute(insert(SQLModel.metadata.tables[name]), list(rows))
        return int(whom.rows["lead"][0]["id"])
    values = {name: _typed(name, text, house) for name, text in whom.values.items()}
    tags = str(values.pop("tags", "")).split(",") if "tags" in values else []
    lead, _ = put_lead(link, {"email": _SOMEBODY, **values}, now=now, source="preview", tags=tags, consent="contract")
    return lead


def _typed(name: str, text: str, house: House) -> Any:
    """A made-up value as its field wants it. Raises NotFound, Refused."""
    if name == "email":
        try:
            return canonical_email(text)
        except ValueError as problem:
            raise Refused(f"--like email: '{text}' {problem}") from None
    known = {**house.fields, **dict.fromkeys(("stage", "status", "owner", "tags"), "text")}
    if name not in known:
        raise NotFound(f"--like {name}: there is no such field; {suggest(name, known)}")
    kind = known[name]
    try:
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "date":
            return date.fromisoformat(text).isoformat()
        return _FLAGS[text.lower()] if kind == "flag" else text
    except (ValueError, KeyError):
        raise Refused(f"--like {name}: '{text}' is no {kind}; write {_EXAMPLES[kind]}") from None


def _made(
    link: Connection, live: Live, segment: Segment, step: Sending, lead: int, arm: str | None, now: datetime,
    public_url: str, notes: tuple[str, ...],
) -> Preview:  # fmt: skip
    """The engine's own way: a touch is planned for the lead, claimed, and made."""
    inside = link.execute(
        insert(Enrolment).values(
            lead_id=lead, sequence=segment.slug, version_id=segment.id, rotation=1_000_000, step=step.id, occurrence=1,
            entered_at=now, due_at=now, started_at=now,
        )
    ).inserted_primary_key  # fmt: skip
    plan_touches(Run(link, live, now, _CLAIM, listed(inside or ())), segment, step)
    mine = (col(Touch.run_id) == _CLAIM, col(Touch.step) == step.id, col(Touch.lead_id) == lead)
    touch = link.execute(select(col(Touch.id), col(Touch.content), col(Touch.arm)).where(*mine)).first()
    if touch is None:
        raise Refused(
            f"step '{step.id}' has nothing for this lead: no piece of the library fits its topic, stage and language "
            "that it has not had; the lead would wait here until one is added"
        )
    arm = arm or touch.arm
    link.execute(
        update(Touch)
        .where(col(Touch.id) == touch.id)
        .values(state="claimed", lease_owner=_CLAIM, arm=arm, tracked=False)
    )
    maker = Maker(live, tokens.keys(clock.unguessable() + clock.unguessable()), public_url)  # nobody keeps these
    done = maker.make(link, segment, step, _CLAIM, now)
    if touch.id in done.faults:
        raise done.faults[touch.id]
    if touch.id not in done.parcels:
        lacking = "phone with its country code" if isinstance(step, Sms) else "e-mail address"
        raise Refused(f"this lead has no {lacking}; try another, or --like")
    variant = done.variants.get(touch.id, "")
    row = link.execute(select(*LEAD_COLUMNS).where(col(Lead.id) == lead)).one()
    missing = _missing(maker, segment, step, variant, lead_data(row, live.house))
    piece = live.house.piece(touch.content) if isinstance(step, Offer) else None
    offer = f"{piece['key']}: {piece['title']}" if piece else ""
    read = _text if isinstance(step, Sms) else _letter
    return replace(
        read(done.parcels[touch.id]), segment=segment.slug, step=step.id, variant=variant, offer=offer, arm=arm or "",
        missing=missing, notes=notes,
    )  # fmt: skip


def _text(parcel: Parcel) -> Preview:
    return Preview("", "", "", parcel.to, "", "", parcel.payload.decode("utf-8", "replace"), "", parcel.payload)


def _letter(parcel: Parcel) -> Preview:
    message = message_from_bytes(parcel.payload, policy=policy.default)
    html = _part(message, "html")
    sender, to, subject, reply = (str(message[name] or "") for name in ("From", "To", "Subject", "Reply-To"))
    text = _part(message, "plain")
    return Preview("", "", sender, to, subject, _preheader(html), text, html, parcel.payload, reply_to=reply)


def _missing(maker: Maker, segment: Segment, step: Sending, variant: str, lead: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields that the message's own files name and this lead lacks, in their order."""
    files = {**maker.live.house.files, **segment.files}
    names = [variant] if isinstance(step, Sms) else maker.renderer(segment).templates.made_of(variant)
    spoken = dict.fromkeys(a or b for name in names for a, b in _FIELD.findall(files.get(name, "")))
    return tuple(name for name in spoken if name in lead and lead[name] in (None, ""))


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""


class _Hidden(HTMLParser):
    """The text of the first element that is not displayed."""

    def __init__(self) -> None:
        super().__init__()
        self.depth, self.said, self.done = 0, "", False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        style = (dict(attrs).get("style") or "").replace(" ", "")
        if self.depth and tag not in ("br", "img", "meta", "link", "hr", "input"):
            self.depth += 1
        elif not self.done and tag not in ("style", "script") and "display:none" in style:
            self.depth = 1

    def handle_endtag(self, _tag: str) -> None:
        if self.depth:
            self.depth -= 1
            self.done = self.done or not self.depth

    def handle_data(self, data: str) -> None:
        if self.depth:
            self.said += data


def _preheader(html: str) -> str:
    hidden = _Hidden()
    hidden.feed(html)
    return " ".join(hidden.said.replace("\u034f", "").replace("\u200c", "").split())


def for_myself(shown: Preview, to: str, now: datetime, signer: Signer | None = None) -> bytes:
    """The message as mail to oneself: marked in the subject, its own Message-ID, no header by which to unsubscribe."""
    name, address = parseaddr(shown.sender)
    return compose(
        Rendered(f"[preview] {shown.subject}", shown.html, shown.text),
        from_name=name,
        from_address=address,
        to=to,
        reply_to=parseaddr(shown.reply_to)[1] or None,
        message_id=f"<preview-{clock.unguessable()[:24].lower()}@{address.rpartition('@')[2]}>",
        date=now,
        signer=signer,
    )
