"""What can go wrong, as a tree; the message of each says where, what and the way out.

NurtureError
├── SettingsError        a NURTURE_* variable cannot be used
├── DatabaseFault        the database cannot be used as it is
│   ├── DatabaseGone     it does not answer
│   └── SchemaMismatch   its tables are older or newer than this program
├── ProgramError         the marketer's files have problems (language.source); carries all
├── NotPublished         nothing is live under this name
├── SegmentBusy          another run carries this segment
├── NotFound             no such lead, touch, hand-off …
├── Refused              the rules say no; nothing was changed
├── MailboxFault         the mailbox of what comes back cannot be read
├── CrmFault             the CRM cannot be asked, or refuses us
└── ImportError_         a file cannot be imported at all
"""

from __future__ import annotations


class NurtureError(Exception):
    """Anything a user can mend; printed as it is, without a traceback."""


class SettingsError(NurtureError):
    """A setting is missing or unusable."""


class DatabaseFault(NurtureError):
    """The database cannot be used as it is."""


class DatabaseGone(DatabaseFault):
    """The database does not answer; nothing was changed."""


class SchemaMismatch(DatabaseFault):
    """The tables are of another version than this program."""


class NotPublished(NurtureError):
    """Nothing is live under this name."""


class SegmentBusy(NurtureError):
    """Another run carries this segment; its lease has not ended."""


class NotFound(NurtureError):
    """No such row."""


class Refused(NurtureError):
    """The rules say no; nothing was changed."""


class MailboxFault(NurtureError):
    """The mailbox of what comes back cannot be read; what was taken in stays taken in."""


class FileFault(NurtureError):
    """A file cannot be read or imported at all; nothing of it was applied."""


class CrmFault(NurtureError):
    """The CRM cannot be asked now, or refuses us; what was told and heard so far stays."""
