"""Nurture: sequences of e-mails, offers and audiences per segment, scored and handed over to sales."""

__version__ = "0.1.0"
