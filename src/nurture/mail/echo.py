"""What a sending service is given with each message to say again in its reports, so that they are matched.

Some services put a Message-ID of their own in place of ours, or leave it out of what they tell. Each of these sends
back what it finds in a header of its own, and takes that header out of the message. The value is the token of the
message's bounce address: 42 letters and digits that name one touch and can be made by nobody else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

#: Under which name the token is given where a service wants names.
NAME = "nurture"


def _named(*path: str) -> Callable[[str], str]:
    """The token as JSON under this path."""

    def written(token: str) -> str:
        value: object = {NAME: token}
        for name in reversed(path):
            value = {name: value}
        return json.dumps(value)

    return written


#: Service to its header and the header's value. Postal, SES and Scaleway tell our own Message-ID and need none.
ECHOES: dict[str, tuple[str, Callable[[str], str]]] = {
    "sendgrid": ("X-SMTPAPI", _named("unique_args")),
    "postmark": (f"X-PM-Metadata-{NAME}", str),
    "mailgun": ("X-Mailgun-Variables", _named()),
    "sparkpost": ("X-MSYS-API", _named("metadata")),
    "mandrill": ("X-MC-Metadata", _named()),
    "mailjet": ("X-MJ-CustomID", str),
    "brevo": ("X-Mailin-custom", _named()),
    "mailersend": ("X-MailerSend-Tags", str),
    "resend": ("X-Nurture", str),
    "unisender": ("X-UNISENDER-GO", _named("metadata")),
}


def echoes(services: Iterable[str], token: str) -> list[tuple[str, str]]:
    """Name and value of the headers for these services."""
    found = [ECHOES[service] for service in services if service in ECHOES]
    return [(name, written(token)) for name, written in found]
