"""What the templates are handed: one record for each kind of thing that a mail shows."""

from typing import NamedTuple

from chainloop_smtp.message.rows import Fact
from chainloop_smtp.message.wording import Tone


class Attention(NamedTuple):
    """A violated policy.

    Attributes:
        is_gate: A violation of it stops the pipeline, whatever the strategy.
        standing: What a violation of it does: ``Gate`` and ``Enforced`` stop, ``Advisory`` tells.
        material: Its name; empty: the attestation as a whole.
        description: Its first line.
        findings: For each violation shown, its lines.
        more: What is left out, and where it is; empty when nothing.
    """

    name: str
    is_gate: bool
    material: str
    description: str
    findings: tuple[tuple[str, ...], ...]
    more: str
    standing: str
    tone: Tone
    glyph: str


class Evaluated(NamedTuple):
    """One evaluation and its result.

    Attributes:
        material: Its name, or ``attestation``.
        reasons: Why it was skipped.
    """

    name: str
    material: str
    tone: Tone
    glyph: str
    word: str
    reasons: tuple[str, ...]


class Shown(NamedTuple):
    """A material and what is wrong with it.

    Attributes:
        value: With its tag, where it has one.
        mark: ``missing``, ``not added``, ``violation``, ``gate violated``; empty: nothing.
        more: What is left out of the annotations, and where it is; empty when nothing.
    """

    name: str
    type: str
    value: str
    digest: str
    is_output: bool
    mark: str
    tone: Tone
    glyph: str
    annotations: tuple[Fact, ...]
    more: str


class Section(NamedTuple):
    """A table of facts with its title.

    Attributes:
        more: What is left out, and where it is; empty when nothing.
    """

    title: str
    rows: tuple[Fact, ...]
    more: str = ""

    @property
    def is_wide(self) -> bool:
        """Holds a key that needs more than the usual room."""
        words = (word for row in self.rows for word in row.key.split())
        return any(len(word) > 12 or "_" in word for word in words)


class Changed(NamedTuple):
    """What differs from an earlier run.

    Attributes:
        title: Since when.
        note: One line where nothing changed; empty otherwise.
        summary: Three lines; empty where nothing changed.
        details: Each change.
    """

    title: str
    note: str
    summary: tuple[Fact, ...]
    details: Section
