"""Facts -> header fields that mail programs filter, sort and thread by.

What evidence says is cut to a length and encoded, so it can neither end its field nor begin one.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator

from chainloop_smtp.message import formatting, mime
from chainloop_smtp.message.report import FILE_NAME
from chainloop_smtp.model.facts import Job, Outcome, RunFacts
from chainloop_smtp.model.mail import Part, Templates
from chainloop_smtp.model.runners import attested_run, is_of_other_ci
from chainloop_smtp.model.settings import Composition, Header, Options, Thread

_LONGEST = 200  # characters of a value from the evidence
_LABEL = 40  # characters; 63 is what DNS allows, two of 40 leave room for a long domain
_LIST_ID = 255  # bytes (RFC 2919 section 3)
_UNSAFE = re.compile(r"[^a-z0-9]+")


def automatic() -> list[bytes]:
    """Fields that keep out-of-office responders quiet."""
    return [
        # RFC 3834 section 5.
        mime.structured("Auto-Submitted", "auto-generated"),
        # The same for Exchange (MS-OXCMAIL section 2.2.3.2.14): all but NDR, the reports that a
        # message could not be delivered, which the sender wants.
        mime.structured("X-Auto-Response-Suppress", "DR, RN, NRN, OOF, AutoReply"),
    ]


def threading(facts: RunFacts, options: Options) -> list[bytes]:
    """Fields that put a message into a thread; none without one.

    Every message of the thread, the first one too, replies to the same root, which was never sent:
    submission services replace Message-IDs, so a reply to an earlier message could point nowhere.
    """
    root = _thread(facts, options)
    if not root:
        return []
    return [
        mime.structured("In-Reply-To", f"<{root}>"),
        mime.structured("References", f"<{root}>"),
    ]


def about(facts: RunFacts, options: Options) -> list[bytes]:
    """Fields to filter by: the list, the verdict, and whose run it is. Unknown ones are left out.

    ``X-Chainloop-*`` repeat the evidence only, and never guess from the CI job.
    """
    attestation, workflow, verdict = facts.attestation, facts.workflow, facts.verdict
    status = verdict.policy_status
    values = {
        "Outcome": verdict.outcome.value,
        "Policy-Status": status.value if status else "",
        "Organization": workflow.organization,
        "Project": workflow.project,
        "Workflow": workflow.name,
        "Run-ID": attestation.run.id if attestation else "",
        "Digest": attestation.digest if attestation else "",
        "Signature": facts.signature.status.value if facts.signature else "",
    }
    fields = [_list_id(facts, options.registration.from_.domain)]
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
    """The user's fields. ASCII stays as written, since a provider's program reads it."""
    for each in headers:
        write = mime.verbatim if each.value.isascii() else mime.unstructured
        yield write(each.name, each.value)


def _list_id(facts: RunFacts, domain: str) -> bytes:
    """``List-Id: project / workflow <workflow.project.chainloop-smtp.domain>`` (RFC 2919)."""
    project, workflow = formatting.known_project(facts), formatting.known_workflow(facts)
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
    """A name as one label of a List-Id; a name that has to be changed gets its hash appended."""
    plain = _UNSAFE.sub("-", name.lower()).strip("-")
    if plain == name.lower() and len(plain) <= _LABEL:
        return plain
    digest = hashlib.sha256(name.lower().encode("utf-8", "replace")).hexdigest()[:8]
    return "-".join(filter(None, (plain[: _LABEL - 9].strip("-"), digest)))


def _cut(value: str) -> str:
    value = " ".join(value.split())
    return value if len(value) <= _LONGEST else value[: _LONGEST - 3] + "..."


def message_id(
    job: Job, options: Options, *, content: str, entropy: bytes, route_id: str = ""
) -> str:
    """The Message-ID, without angle brackets (RFC 5322 section 3.6.4).

    In a CI run it is a function of everything that makes the message: the CI run, its attempt and
    job, the content and attachments, the header fields, and the route (server, sender, From, To and
    Cc). The same step run twice therefore makes the same id, and the second message can be skipped;
    whatever a reader can tell apart has another id, but for the step that failed. Bcc is left out:
    a recipient who guesses one could prove it. Outside of a CI run nothing tells a repeated message
    from a new one, so each id is new.

    Args:
        content: From `content_digest`.
        entropy: At least 16 random bytes, used outside of a CI run. Empty where the clock is fixed:
            the id is then a function of the same facts.
        route_id: Id of the route in the configuration file, since several routes may write to the
            same people, each in its own way. Empty without such a file.
    """
    registration, composition = options.registration, options.composition
    domain = registration.from_.domain
    if not job.run_id and entropy:
        return random_id(domain, entropy)
    run = (job.server_url, job.repository, job.run_id, job.run_attempt, job.name)
    fields = (
        composition.thread.value,
        sorted(str(each) for each in composition.reply_to),
        [(each.name, each.value) for each in composition.headers],
    )
    route = (
        registration.host.lower(),
        registration.port,
        registration.from_.addr_spec,
        (options.envelope_from or registration.from_).addr_spec,
        sorted(each.key for each in registration.to),
        sorted(each.key for each in options.attachment.cc),
        *([route_id] if route_id else []),
    )
    return f"{_digest('mail', run, content, fields, route)}@{domain}"


def content_digest(
    facts: str, note: str, enclosed: Iterable[Part], composition: Composition, own: Templates
) -> str:
    """Digest of all that makes a message's content, the same whenever the message is made.

    Args:
        facts: Digest of the facts of the run.
        enclosed: The parts that the user attaches. Of the report only the facts count: the report
            itself says when it was made.
        own: The user's templates.
    """
    enclosures = composition.enclosures
    parts = [(each.name, each.digest) for each in enclosed]
    if enclosures.has_report:
        parts = [each for each in parts if each[0] != FILE_NAME]
    return _digest(
        facts,
        note,
        parts,
        enclosures.has_report,
        own.subject,
        [(each.name, each.text) for each in own.files],
    )


def random_id(domain: str, entropy: bytes) -> str:
    """A Message-ID that no other message has, without angle brackets.

    Args:
        entropy: At least 16 random bytes; empty where the clock is fixed.
    """
    return f"{(entropy or bytes(16)).hex()[:32]}@{domain}"


def _thread(facts: RunFacts, options: Options) -> str:
    """Id of the root of a thread, without angle brackets; empty without a thread.

    ``run``: made of the CI run whatever its attempts attest, since an attempt that fails early
    attests nothing; without a CI run, of the attested run. ``ref``: made of organisation, project,
    workflow and full ref, so that a branch and a tag of the same name are two threads.
    """
    domain = options.registration.from_.domain
    attestation, job = facts.attestation, facts.job
    names = formatting.known_project(facts), formatting.known_workflow(facts)
    whose = (facts.workflow.organization, *names)
    match options.composition.thread:
        case Thread.RUN:
            repository, run = attested_run(attestation)
            if not is_of_other_ci(attestation, job):
                repository, run = repository or job.repository, run or job.run_id
            if run:
                return f"thread-{_digest('run', repository, run)}@{domain}"
            if attestation and (run := attestation.run.id):
                return f"thread-{_digest('attested run', *whose, run)}@{domain}"
        case Thread.REF:
            if ref := formatting.full_ref(facts):
                return f"thread-{_digest('ref', *whose, ref)}@{domain}"
    return ""


def _digest(*facts: object) -> str:
    """32 hexadecimal digits. JSON keeps the facts apart, so that no two lists look alike."""
    return hashlib.sha256(json.dumps(facts).encode("ascii")).hexdigest()[:32]
