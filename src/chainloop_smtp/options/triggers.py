"""Inputs -> when a mail is sent."""

import re

from chainloop_smtp.errors import nearest_hint, quoted_word
from chainloop_smtp.model.entries import Trigger
from chainloop_smtp.options.values import Values


def triggers(values: Values) -> tuple[Trigger, ...]:
    """``send-on``: words separated by commas or blanks, each once."""
    found = []
    words = list(filter(None, re.split(r"[,\s]+", values.text("send-on"))))
    for word in words:
        if word in tuple(Trigger):
            found.append(Trigger(word))
        else:
            hint = nearest_hint(word, tuple(Trigger), f"Write any of: {', '.join(Trigger)}.")
            values.wrong("send-on", f"{quoted_word(word)} is not one of its words", hint)
    if not words:
        values.wrong("send-on", f"{quoted_word(values.text('send-on'))} holds no word")
    return tuple(dict.fromkeys(found))
