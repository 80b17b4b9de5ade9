"""Inputs -> Composition: what the user says of the mail's form."""

from chainloop_smtp.model.settings import Composition, EnvValues, Thread
from chainloop_smtp.options import headers
from chainloop_smtp.options.enclosures import enclosures
from chainloop_smtp.options.values import Values


def composition(values: Values) -> Composition:
    """What the mail shows, and how."""
    return Composition(
        reply_to=values.mailboxes("reply-to"),
        env_values=values.word("env-values", EnvValues),
        thread=values.word("thread", Thread),
        headers=headers.headers(values),
        enclosures=enclosures(values),
        subject=values.text("subject"),
        template_dir=values.text("template-dir"),
    )
