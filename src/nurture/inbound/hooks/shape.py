"""What every service's report is brought to, and what their files share: a request as it came, instants, words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal
from urllib.parse import parse_qsl

from nurture.inbound.returned import Kind as MailKind
from nurture.inbound.severity import Severity, severity, status_in

#: Kinds of mail that came back keep their words; the others are reports on the way.
Kind = Literal[MailKind, "sent", "delivered", "deferred", "opened", "clicked", "rejected"]
#: How far a signed instant may be from ours.
CLOSE = timedelta(seconds=300)
#: Levels of JSON within JSON.
DEEPEST = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Numbers above are milliseconds: as seconds they would lie beyond the year 5000.
_MILLISECONDS = 100_000_000_000


class Unsigned(Exception):
    """Nothing proves who sent it, or when."""


class Unproven(Exception):
    """What would prove it cannot be had at present."""


@dataclass(frozen=True)
class Posted:
    """A request. `headers`: by small name. `url`: as the service was told to call it, query and all."""

    body: bytes
    headers: Mapping[str, str]
    url: str
    now: datetime
    #: Fetches an https address that belongs to the service. Raises Unproven.
    fetch: Callable[[str], bytes]

    @cached_property
    def json(self) -> Any:
        """The body as JSON. Raises ValueError for what is none, or is nested more than twenty deep."""
        return parsed(self.body)

    @cached_property
    def form(self) -> list[tuple[str, str]]:
        """The fields of an urlencoded body. Raises ValueError."""
        return parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=bool(self.body), max_num_fields=200)

    def header(self, name: str) -> str:
        """Raises Unsigned for one that is missing."""
        if not (value := self.headers.get(name, "")):
            raise Unsigned(f"no {name}")
        return value

    def recent(self, at: datetime | None, within: timedelta = CLOSE) -> None:
        """Raises Unsigned unless `at` is about now."""
        if at is None or abs(self.now - at) > within:
            raise Unsigned("its instant is not near ours")


@dataclass(frozen=True)
class Report:
    """One thing that a service says of one message. What should be text and is none counts as not said."""

    kind: Kind
    #: The service's own name for this report: the same one twice is the same report; empty: it has none.
    event_id: str
    #: None: it does not say when.
    at: datetime | None = None
    #: Whom it was sent to: shown to nobody and matched by nothing.
    recipient: str | None = None
    #: What may name the message: Message-IDs of ours, tokens or addresses with one.
    message_ids: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    severity: Severity | None = None
    status: str | None = None
    #: Why, in the words of whoever said so: one printable line of at most 200 characters, without addresses.
    detail: str | None = None
    #: Why the service takes it for a machine's doing.
    machine: str | None = None
    agent: str | None = None
    link: str | None = None

    def __post_init__(self) -> None:
        for name in ("recipient", "status", "detail", "machine", "agent", "link"):
            object.__setattr__(self, name, _kept(getattr(self, name)))
        for name in ("message_ids", "tokens"):
            object.__setattr__(self, name, tuple(kept for said in getattr(self, name) if (kept := _kept(said))))
        object.__setattr__(self, "event_id", _kept(self.event_id) or "")


@dataclass(frozen=True)
class Vendor:
    """A service. `check` raises Unsigned or Unproven, `events` ValueError; `report`: None for what is ignored.

    A `report` that stumbles (KeyError, TypeError, ValueError, AttributeError) is of an event that is unclear.
    """

    name: str
    check: Callable[[Posted, str], None]
    events: Callable[[Posted], Sequence[Any]]
    report: Callable[[Any], Report | None]
    #: The id of the request itself, the same at each of its attempts, where it has one: such a request is one event.
    request_id: Callable[[Posted], str | None] = lambda _: None
    #: Kinds of touches that it speaks of.
    touches: tuple[str, ...] = ("email", "offer")
    #: What is answered, with its type.
    answer: tuple[bytes, str] = field(default=(b'{"ok":true}', "application/json"))


def parsed(text: bytes | str) -> Any:
    """JSON, at most twenty levels deep. Raises ValueError."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _within(outer)]
        if not level:
            return value
    raise ValueError("is nested too deeply")


def _within(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def listed(value: Any) -> list[Any]:
    """A batch, or one event as a batch of one. Raises ValueError for anything else."""
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise ValueError("is neither an event nor a list of them")
    return value


def own_id(event: Any) -> str:
    """An id for an event that has none: the same words are the same event."""
    return hashlib.sha256(json.dumps(event, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def instant(value: Any) -> datetime | None:
    """Seconds or milliseconds since 1970, or ISO 8601; without a zone it is UTC. None for what is neither."""
    try:
        if isinstance(value, bool) or value is None:
            return None
        if isinstance(value, int | float) or str(value).replace(".", "", 1).isdecimal():
            seconds = float(value)
            return _EPOCH + timedelta(seconds=seconds / 1000 if seconds > _MILLISECONDS else seconds)
        said = datetime.fromisoformat(str(value).strip())
        return said if said.tzinfo is not None else said.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def words(value: Any) -> str:
    """Text or a number as text; nothing of anything else."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _kept(value: Any) -> str | None:
    """Text that a database can hold, without NUL and lone surrogates; None for what is neither text nor number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).replace("\0", "").encode(errors="ignore").decode()


def message_ids(*values: Any) -> tuple[str, ...]:
    """Message-IDs in angle brackets, whichever way they were written."""
    return tuple(f"<{said.strip().strip('<>')}>" for value in values if (said := words(value)).strip())


def tokens(*values: Any) -> tuple[str, ...]:
    """What may hold a token of ours."""
    return tuple(said for value in values if (said := words(value)))


def bounce(said: Severity | None, given: Any, text: Any) -> dict[str, Any]:
    """Severity, status and detail of a failure that the service calls `said`, with its status and the server's words.

    What the words say of us or of a full mailbox spares the lead, whatever the service makes of it; a service's "hard"
    counts where the status says nothing of its own, its "soft" always.
    """
    text = words(text)
    status = status_in(words(given), text)
    empty = status is None or status[1:] in (".0.0", ".5.0") or status[2:].startswith("5.")
    if said == "hard" and empty and not (status or "5").startswith("4"):
        found: Severity = severity("5.1.1", text)
    elif said == "sender":
        found = "sender"
    else:
        found = severity(status, text)
        found = "soft" if said == "soft" and found == "hard" else found
    return {"severity": found, "status": status, "detail": text}
