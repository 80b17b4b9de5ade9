"""Options and the people of a run -> Options with everybody the mail goes to."""

from collections.abc import Mapping
from dataclasses import replace

from chainloop_smtp.model.settings import Attachment, Lookup, Mailbox, Options, unique

_UNATTENDED = frozenset(("noreply", "no-reply", "donotreply", "do-not-reply", "notifications"))
_NO_MAIL = ("users.noreply.github.com", "users.noreply.gitlab.com", "localhost")


def add_people(options: Options, people: Mapping[Lookup, tuple[Mailbox, ...]]) -> Options:
    """Add those who were looked up to the recipients.

    Nobody chose these addresses, so some are left out: those that no person reads, those outside
    ``allowed-domains``, and those that a mail server could route elsewhere.

    Args:
        people: By what they were looked up for.
    """
    more: dict[str, list[Mailbox]] = {"to": [], "cc": [], "bcc": []}
    for name, lookup in options.lookups:
        more[name] += [
            box
            for box in people.get(lookup, ())
            if is_person(box)
            and is_unambiguous(box)
            and (not options.allowed_domains or box.is_in(options.allowed_domains))
        ]
    registration, attachment = options.registration, options.attachment
    return replace(
        options,
        registration=replace(registration, to=unique((*registration.to, *more["to"]))),
        attachment=replace(attachment, cc=unique((*attachment.cc, *more["cc"]))),
        bcc=unique((*options.bcc, *more["bcc"])),
    )


def redirect(options: Options) -> tuple[Options, tuple[str, ...]]:
    """Send to ``redirect-to`` alone, and say whom it would have gone to; nobody: it stays."""
    if not options.redirect_to:
        return options, ()
    intended = [box.addr_spec for box in everybody(options)]
    return (
        replace(
            options,
            registration=replace(options.registration, to=options.redirect_to),
            attachment=Attachment(),
            bcc=(),
        ),
        tuple(intended),
    )


def everybody(options: Options) -> tuple[Mailbox, ...]:
    """All recipients, each once."""
    return unique((*options.registration.to, *options.attachment.cc, *options.bcc))


def is_unambiguous(box: Mailbox) -> bool:
    """Every mail server delivers to this domain; nothing in the local part routes elsewhere."""
    return not (box.is_rerouted or box.domain.startswith("["))


def is_person(box: Mailbox) -> bool:
    """Somebody may read what is sent there."""
    local, _, domain = box.addr_spec.lower().rpartition("@")
    is_bot = "[bot]" in local or box.name.lower().endswith("[bot]")
    return not is_bot and local.partition("+")[0] not in _UNATTENDED and domain not in _NO_MAIL
