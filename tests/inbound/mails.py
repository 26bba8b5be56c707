"""What other mail systems send back, written by hand after the standards."""

from __future__ import annotations

from typing import Any

US = "bounces@in.acme.example"
#: The Message-ID of a message that nobody here sent.
UNKNOWN = "<t.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@acme.example>"


def dsn(
    original: str = UNKNOWN,
    *,
    status: str = "5.1.1",
    said: str = "smtp; 550 5.1.1 <ana@lead.example>: no such user",
    action: str = "failed",
    to: str = US,
    headers: str = "",
    returned: str = "text/rfc822-headers",
    note: str = "",
) -> bytes:
    """A report on delivery (RFC 3464, in the multipart/report of RFC 6522) about the message `original`."""
    return f"""Return-Path: <>
Delivered-To: {to}
From: MAILER-DAEMON@mx.lead.example (Mail Delivery System)
To: {to}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
{headers}MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

This is the mail system at host mx.lead.example. {note}

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.lead.example

Final-Recipient: rfc822; ana@lead.example
Action: {action}
Status: {status}
Diagnostic-Code: {said}

--b
Content-Type: {returned}

From: ana@acme.example
To: ana@lead.example
Subject: Spam policy, full mailbox, blocked
Message-ID: {original}

--b--
""".encode()


def arf(original: str = UNKNOWN, *, kind: str = "abuse", to: str = US) -> bytes:
    """A complaint (RFC 5965)."""
    return f"""From: <abuse@provider.example>
To: {to}
Subject: FW: Hello
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is an email abuse report.

--b
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1

--b
Content-Type: message/rfc822

From: ana@acme.example
To: ana@lead.example
Message-ID: {original}

Hello
--b--
""".encode()


def letter(answers: str = "", *, to: str = "ana@acme.example", subject: str = "Re: Hello", headers: str = "") -> bytes:
    """An ordinary message from a lead; `answers`: the Message-ID in its In-Reply-To."""
    reply = f"In-Reply-To: {answers}\nReferences: <x@y.example> {answers}\n" if answers else ""
    return f"""Return-Path: <ana@lead.example>
From: Ana <ana@lead.example>
To: {to}
Subject: {subject}
Message-ID: <hers@lead.example>
{reply}{headers}MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Thank you, that is interesting.
""".encode()


def plain(words: str, **headers: Any) -> bytes:
    """A bounce in words alone; `headers` by name with `_` for `-`."""
    given = {"From": "MAILER-DAEMON@mx.lead.example", "Return-Path": "<>", "Subject": "failure notice", **headers}
    top = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in given.items() if value is not None)
    return f"{top}\n{words}\n".encode()


QMAIL = f"""Hi. This is the qmail-send program at mx.lead.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ana@lead.example>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

Return-Path: <{US}>
Message-ID: {UNKNOWN}
Subject: Our spam policy
"""
EXIM = f"""This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ana@lead.example
    host mx.lead.example [192.0.2.1]
    SMTP error from remote mail server after RCPT TO:<ana@lead.example>:
    552 5.2.2 Mailbox size limit exceeded, quota is used up

------ This is a copy of the message, including all the headers. ------

Message-ID: {UNKNOWN}
"""
EXCHANGE = """Delivery has failed to these recipients or groups:

ana@lead.example
The recipient's mailbox is full and can't accept messages now. Please try resending your message later.
"""
DELAY = """This message was created automatically by mail delivery software.
A message that you sent has not yet been delivered to one or more of its recipients after more than 24 hours.
No action is required on your part. Delivery attempts will continue for some time.
"""
