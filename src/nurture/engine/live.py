"""What is published, read from the database and kept per process by version id."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, select
from sqlmodel import col

from nurture.errors import NotPublished
from nurture.language.compiler import Scope
from nurture.program.load import House, Loaded, Segment, load_house, load_segment
from nurture.records import Enrolment, ProgramVersion, SequenceVersion


@dataclass
class Library:
    """Versions by id. They are immutable, so what was read once stays true."""

    houses: dict[int, House] = field(default_factory=dict)
    segments: dict[int, Segment] = field(default_factory=dict)

    def live(self, link: Connection) -> Live:
        """The published program as it stands now. Raises NotPublished when nothing is."""
        newest = select(col(ProgramVersion.id)).order_by(col(ProgramVersion.number).desc()).limit(1)
        house_id = link.execute(newest).scalar()
        if house_id is None:
            raise NotPublished("nothing is published yet; run 'nurture publish'")
        current = select(col(SequenceVersion.id)).where(col(SequenceVersion.closed_at).is_(None))
        segments = {}
        for version in link.execute(current.order_by(col(SequenceVersion.sequence))).scalars():
            segment = self.segment(link, int(version or 0))
            segments[segment.slug] = segment
        return Live(self.house(link, house_id), segments, self)

    def house(self, link: Connection, version: int) -> House:
        """The program version of this id."""
        if version not in self.houses:
            row = link.execute(select(col(ProgramVersion.files)).where(col(ProgramVersion.id) == version)).scalar_one()
            loaded = Loaded()
            load_house(row, loaded)
            house = loaded.require().house
            assert house is not None
            self.houses[version] = House(
                house.program, house.lifecycle, house.scoring, house.offers, house.files, version
            )
        return self.houses[version]

    def segment(self, link: Connection, version: int) -> Segment:
        """The sequence version of this id."""
        if version not in self.segments:
            columns = (col(SequenceVersion.sequence), col(SequenceVersion.number), col(SequenceVersion.files))
            slug, number, files = link.execute(select(*columns).where(col(SequenceVersion.id) == version)).one()
            loaded = Loaded()
            load_segment(slug, files, loaded)
            segment = loaded.require().segments[slug]
            self.segments[version] = Segment(slug, segment.spec, segment.files, version, number)
        return self.segments[version]


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
        query = select(col(Enrolment.version_id)).where(col(Enrolment.ended_at).is_(None)).distinct()
        if slug is not None:
            query = query.where(col(Enrolment.sequence) == slug)
        ids = set(link.execute(query).scalars())
        ids |= {segment.id for name, segment in self.segments.items() if slug in (None, name)}
        return sorted((self.library.segment(link, version) for version in ids), key=lambda s: (s.slug, -s.number))

    def scope(self, now: datetime, segment: Segment | None = None) -> Scope:
        """What a condition may refer to, outside of an enrolment."""
        if segment is None:
            return Scope(now, self.house.fields)
        return Scope(now, self.house.fields, segment.slug, segment.spec.segment)
