"""What mail systems send back, written after the standards: a check's bounces and complaints come in as mail does."""

from __future__ import annotations

#: Status and words by severity (RFC 3463): no such mailbox; mailbox full.
_SAID = {
    "hard": ("5.1.1", "550 5.1.1 no such user here"),
    "soft": ("4.2.2", "452 4.2.2 the mailbox is full"),
}


def bounce(message_id: str, severity: str, number: int) -> bytes:
    """A report on delivery (RFC 3464) about the message `message_id`; `number` tells it from others."""
    status, said = _SAID[severity]
    return f"""From: MAILER-DAEMON@mx.rehearsal.example
To: bounces@rehearsal.example
Subject: Undelivered Mail Returned to Sender
Message-ID: <bounce-{number}@mx.rehearsal.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.rehearsal.example

Final-Recipient: rfc822; lead@rehearsal.example
Action: failed
Status: {status}
Diagnostic-Code: smtp; {said}

--b
Content-Type: text/rfc822-headers

Message-ID: {message_id}

--b--
""".encode()


def complaint(message_id: str, number: int) -> bytes:
    """A complaint (RFC 5965) about the message `message_id`."""
    return f"""From: <abuse@mx.rehearsal.example>
To: abuse@rehearsal.example
Subject: complaint
Message-ID: <complaint-{number}@mx.rehearsal.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: rehearsal/1.0
Version: 1

--b
Content-Type: message/rfc822

Message-ID: {message_id}

--b--
""".encode()
