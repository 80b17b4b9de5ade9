"""Chainloop SMTP: mails the evidence of a Chainloop run."""

__version__ = "0.1.0"
