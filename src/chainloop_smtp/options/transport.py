"""Inputs -> Transport: how the mail travels."""

from chainloop_smtp.model import Auth, Tls, Transport
from chainloop_smtp.options.values import Values


def transport(values: Values) -> Transport:
    """TLS, login and patience."""
    return Transport(
        tls=values.word("tls", Tls),
        tls_ca_file=values.text("tls-ca-file"),
        auth=values.word("auth", Auth),
        timeout=values.seconds("timeout"),
        deadline=values.seconds("deadline"),
    )
