"""Delivery reports of sending services: one file a service, all brought to one shape (`shape.Report`)."""

from __future__ import annotations

from nurture.inbound.hooks import (
    brevo,
    mailersend,
    mailgun,
    mailjet,
    mandrill,
    postal,
    postmark,
    resend,
    scaleway,
    sendgrid,
    ses,
    sparkpost,
    twilio,
    unisender,
)
from nurture.inbound.hooks.shape import Posted, Report, Unproven, Unsigned, Vendor

_ALL = (
    brevo, mailersend, mailgun, mailjet, mandrill, postal, postmark, resend, scaleway, sendgrid, ses, sparkpost,
    twilio, unisender,
)  # fmt: skip
VENDORS: dict[str, Vendor] = {module.VENDOR.name: module.VENDOR for module in _ALL}

__all__ = ["VENDORS", "Posted", "Report", "Unproven", "Unsigned", "Vendor"]
