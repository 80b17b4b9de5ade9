"""Facts -> header fields that mail programs filter, sort and thread by.

What evidence says is cut to a length and encoded, so it can neither end its field nor begin one.
"""

import hashlib
import re
from collections.abc import Iterator

from chainloop_smtp.message import identity, mime
from chainloop_smtp.model.attested import Attestation
from chainloop_smtp.model.facts import Job, Outcome, Verdict
from chainloop_smtp.model.settings import Header, Options

_LONGEST = 200  # characters of a value from the evidence
_LABEL = 40  # characters; 63 is what DNS allows, two of 40 leave room for a long domain
_LIST_ID = 255  # octets (RFC 2919 section 3)
_UNSAFE = re.compile(r"[^a-z0-9]+")


def automatic() -> list[bytes]:
    """What keeps holiday responders quiet: for every mail of a program."""
    return [
        # RFC 3834 section 5.
        mime.structured("Auto-Submitted", "auto-generated"),
        # The same for Exchange (MS-OXCMAIL section 2.2.3.2.14): all but NDR, the reports of mails
        # that could not be delivered, which the sender wants.
        mime.structured("X-Auto-Response-Suppress", "DR, RN, NRN, OOF, AutoReply"),
    ]


def threading(root: str) -> list[bytes]:
    """Fields that put a mail into a thread; none where there is no root.

    Every mail of the thread answers the same root, the first one too, which nobody was ever sent:
    submission services give mails ids of their own, so none of ours can be pointed at.

    Args:
        root: From `identity.thread`, without angle brackets.
    """
    if not root:
        return []
    return [
        mime.structured("In-Reply-To", f"<{root}>"),
        mime.structured("References", f"<{root}>"),
    ]


def about(
    attestation: Attestation | None, job: Job, verdict: Verdict, options: Options
) -> list[bytes]:
    """Fields to filter by: the list, the verdict, and whose run it is. Unknown ones are left out.

    ``X-Chainloop-*`` say what the evidence says, and nothing that is guessed from the CI job.
    """
    status = verdict.policy_status
    workflow = attestation.workflow if attestation else None
    values = {
        "Outcome": verdict.outcome.value,
        "Policy-Status": status.value if status else "",
        "Organization": workflow.organization if workflow else "",
        "Project": workflow.project if workflow else "",
        "Workflow": workflow.name if workflow else "",
        "Run-ID": attestation.run.id if attestation else "",
        "Digest": attestation.digest if attestation else "",
    }
    fields = [_list_id(attestation, job, options.registration.from_.domain)]
    fields += [
        mime.unstructured(f"X-Chainloop-{name}", _cut(value))
        for name, value in values.items()
        if value.strip()
    ]
    if verdict.outcome is Outcome.BLOCKED:
        # Outlook and Exchange prefer the first (MS-OXCMAIL section 2.2.3.2.5), Thunderbird reads
        # the second. X-Priority is left out: SpamAssassin takes its mere presence for spam.
        fields += [mime.structured("Importance", "high"), mime.structured("Priority", "urgent")]
    return fields


def own(headers: tuple[Header, ...]) -> Iterator[bytes]:
    """The user's fields: ASCII as it was written, since a provider's program reads it."""
    for each in headers:
        write = mime.verbatim if each.value.isascii() else mime.unstructured
        yield write(each.name, each.value)


def _list_id(attestation: Attestation | None, job: Job, domain: str) -> bytes:
    """``List-Id: project / workflow <workflow.project.chainloop-smtp.domain>`` (RFC 2919)."""
    project, workflow = identity.names(attestation, job)
    labels = [_label(each) for each in (workflow, project) if each]
    identifier = ".".join([*labels, "chainloop-smtp", domain])
    if len(identifier) > _LIST_ID or domain.startswith("["):
        # Lists that have no domain live under localhost (RFC 2919 section 5).
        digest = hashlib.sha256(identifier.encode("ascii")).hexdigest()[:32]
        identifier = f"{digest}.chainloop-smtp.localhost"
    return mime.named(
        "List-Id", " / ".join(map(_cut, filter(None, (project, workflow)))), identifier
    )


def _label(name: str) -> str:
    """A name as one label of a list's id; a name that has to be changed gets its hash behind it."""
    plain = _UNSAFE.sub("-", name.lower()).strip("-")
    if plain == name.lower() and len(plain) <= _LABEL:
        return plain
    digest = hashlib.sha256(name.lower().encode("utf-8", "replace")).hexdigest()[:8]
    return "-".join(filter(None, (plain[: _LABEL - 9].strip("-"), digest)))


def _cut(value: str) -> str:
    value = " ".join(value.split())
    return value if len(value) <= _LONGEST else value[: _LONGEST - 3] + "..."
