"""Files of leads and events, and single facts from the web, into the database."""

from nurture.intake.columns import KnownFields
from nurture.intake.events import import_events
from nurture.intake.leads import import_leads
from nurture.intake.mapping import Mapping, read_mapping
from nurture.intake.report import ImportReport, Refusal
from nurture.intake.write import put_event, put_lead

__all__ = [
    "ImportReport",
    "KnownFields",
    "Mapping",
    "Refusal",
    "import_events",
    "import_leads",
    "put_event",
    "put_lead",
    "read_mapping",
]
