"""Chainloop SMTP: mails the evidence of a Chainloop run."""

__version__ = "1.0.0"
