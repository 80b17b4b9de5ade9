"""The user's own templates, as text."""

from dataclasses import field

from chainloop_smtp.model.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateFile:
    """One template.

    Attributes:
        name: Of the file, without its folder; it ends in ``.j2``.
        text: Its source; LF line ends.
    """

    name: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Templates:
    """What takes the place of our own templates; empty: nothing.

    Attributes:
        subject: Source of the subject's template.
        folder: In the user's own words; empty when there is none.
        files: Sorted by name.
        others: Names in the folder that are no template's.
    """

    subject: str = ""
    folder: str = ""
    files: tuple[TemplateFile, ...] = ()
    others: tuple[str, ...] = ()
