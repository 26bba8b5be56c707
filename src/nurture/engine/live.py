"""What is published, read from the database and kept per process by version id."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, literal_column, or_, select
from sqlmodel import col

from nurture.dialects import RULES, hold_still
from nurture.errors import NotPublished
from nurture.language.compiler import Scope
from nurture.program.load import House, Loaded, Segment, load_house, load_segment
from nurture.records import Enrolment, ProgramVersion, SequenceVersion, Touch

_INSIDE = select(1).where(col(Enrolment.version_id) == col(SequenceVersion.id), col(Enrolment.ended_at).is_(None))
_RESENT = select(1).where(
    col(Touch.version_id) == col(SequenceVersion.id), col(Touch.resent_at).is_not(None), col(Touch.next_at).is_not(None)
)
_UNCERTAIN = select(1).where(
    col(Touch.version_id) == col(SequenceVersion.id),
    col(Touch.state) == literal_column("'uncertain'"),  # as ix_touch_uncertain says it
    col(Touch.resent_at).is_(None),
)
_CURRENT = (
    select(col(SequenceVersion.id))
    .where(col(SequenceVersion.closed_at).is_(None))
    .order_by(col(SequenceVersion.sequence))
)
#: Asked anew of each version (OFFSET 0): PostgreSQL would else read everybody who is inside any, once for them all.
_STILL = [part.offset(0).exists() for part in (_INSIDE, _RESENT, _UNCERTAIN)]
_LIVELY = (
    select(col(SequenceVersion.id))
    .where(or_(col(SequenceVersion.closed_at).is_(None), *_STILL))
    .order_by(col(SequenceVersion.sequence), col(SequenceVersion.number).desc())
)
_NEWEST = select(col(ProgramVersion.id)).order_by(col(ProgramVersion.number).desc()).limit(1)


@dataclass
class Library:
    """Versions by id. They are immutable, so what was read once stays true; those that are over are let go.

    Several threads may use it: what is let go of goes by another dictionary taking the place of the old one.
    """

    houses: dict[int, House] = field(default_factory=dict)
    segments: dict[int, Segment] = field(default_factory=dict)
    #: Statements by name, house version first; see `running.Run.plan`.
    plans: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    @contextmanager
    def provisional(self) -> Iterator[None]:
        """What is read within is forgotten if it raises: versions that are taken back leave their ids to others."""
        houses, segments = set(self.houses), set(self.segments)
        try:
            yield
        except BaseException:
            self.houses = {number: house for number, house in list(self.houses.items()) if number in houses}
            self.segments = {number: it for number, it in list(self.segments.items()) if number in segments}
            self.plans = {}
            raise

    def live(self, link: Connection) -> Live:
        """The published program now; until a writing transaction ends, it stays so. Raises NotPublished."""
        if not link.get_execution_options().get("nurture_reads"):
            hold_still(link, RULES)
        house_id = link.execute(_NEWEST).scalar()
        if house_id is None:
            raise NotPublished("nothing is published yet; run 'nurture publish'")
        current = [int(version or 0) for version in link.execute(_CURRENT).scalars()]
        if house_id not in self.houses or not self.segments.keys() >= set(current):
            self._let_go(link, house_id)  # something was published
        segments = {segment.slug: segment for segment in (self.segment(link, version) for version in current)}
        return Live(self.house(link, house_id), segments, self)

    def _let_go(self, link: Connection, house_id: int) -> None:
        """Forget what nobody is in any more, with its statements; whoever asks for it again has it read again."""
        lively = set(link.execute(_LIVELY).scalars())
        if self.houses.keys() <= {house_id} and self.segments.keys() <= lively:
            return
        self.houses = {number: house for number, house in list(self.houses.items()) if number == house_id}
        self.segments = {number: segment for number, segment in list(self.segments.items()) if number in lively}
        self.plans = {}

    def house(self, link: Connection, version: int) -> House:
        """The program version of this id."""
        if (known := self.houses.get(version)) is None:
            row = link.execute(select(col(ProgramVersion.files)).where(col(ProgramVersion.id) == version)).scalar_one()
            loaded = Loaded()
            load_house(row, loaded)
            house = loaded.require().house
            assert house is not None
            known = House(house.program, house.lifecycle, house.scoring, house.offers, house.files, version)
            self.houses[version] = known
        return known

    def segment(self, link: Connection, version: int) -> Segment:
        """The sequence version of this id."""
        if (known := self.segments.get(version)) is None:
            columns = (col(SequenceVersion.sequence), col(SequenceVersion.number), col(SequenceVersion.files))
            slug, number, files = link.execute(select(*columns).where(col(SequenceVersion.id) == version)).one()
            loaded = Loaded()
            load_segment(slug, files, loaded)
            segment = loaded.require().segments[slug]
            known = Segment(slug, segment.spec, segment.files, version, number)
            self.segments[version] = known
        return known


@dataclass(frozen=True)
class Live:
    """One consistent view of what is published: the house, and each segment's version for newcomers."""

    house: House
    segments: dict[str, Segment]
    library: Library

    def segment(self, slug: str) -> Segment:
        """The version of `slug` that newcomers enter. Raises NotPublished."""
        if slug not in self.segments:
            known = ", ".join(sorted(self.segments)) or "none"
            raise NotPublished(f"segment '{slug}' is not published (live: {known}); run 'nurture publish {slug}'")
        return self.segments[slug]

    def versions(self, link: Connection, slug: str | None = None) -> list[Segment]:
        """Every version that still has leads in it, and the live ones; newest first within a segment."""
        found = [self.library.segment(link, int(version or 0)) for version in link.execute(_LIVELY).scalars()]
        return [segment for segment in found if slug in (None, segment.slug)]

    def scope(self, segment: Segment | None = None) -> Scope:
        """What a condition may refer to, outside of an enrolment."""
        if segment is None:
            return self.house.scope
        return replace(self.house.scope, sequence=segment.slug, segment=segment.spec.segment)
