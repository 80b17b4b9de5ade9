"""Facts -> the names that mails have among themselves: Message-ID, and the root of a thread."""

import hashlib
import json
from collections.abc import Iterable

from chainloop_smtp.message import formatting
from chainloop_smtp.message.report import FILE_NAME
from chainloop_smtp.model.attested import Attestation
from chainloop_smtp.model.facts import Job
from chainloop_smtp.model.mail import Part, Templates
from chainloop_smtp.model.settings import Composition, Options, Thread


def message_id(
    job: Job, options: Options, *, content: str, entropy: bytes, route_id: str = ""
) -> str:
    """The Message-ID, without angle brackets (RFC 5322 section 3.6.4).

    In a CI run it is a function of everything that makes the mail: the CI run, its attempt and
    job, what the mail says and attaches, its header fields, and the route (server, sender, From,
    To and Cc). The same step run twice therefore makes the same id, and the second mail may be
    left out; whatever differs for a reader makes another id. Bcc is left out: a recipient who
    guesses one could prove it. Outside of a CI run nothing says whether two mails are meant to be
    one, so each id is new.

    Args:
        content: From `content_digest`.
        entropy: At least 16 random bytes; used where there is no CI run. None at all where the
            clock is fixed: then the id is a function of the same facts there too.
        route_id: Of the attachment that the mail is for, since several of one configuration file
            may write to the same people, each in its own way; empty: there is no such file.
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
    """Digest of all that makes a mail's content, the same whenever the mail is made.

    Args:
        facts: Digest of what is known of the run.
        enclosed: The parts that the user attaches. The report among them is known by its facts:
            it says when it was made.
        own: The user's templates that the mail is written with.
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
    """A Message-ID that no other mail has, without angle brackets.

    Args:
        entropy: At least 16 random bytes; none at all where the clock is fixed.
    """
    return f"{(entropy or bytes(16)).hex()[:32]}@{domain}"


def thread(attestation: Attestation | None, job: Job, options: Options) -> str:
    """Id of the root that all mails of one thread answer; empty where there is no thread.

    ``run``: the CI run, whatever its attempts attest, since the one that failed early attested
    nothing; without a CI run, the attested one. ``ref``: organisation, project, workflow and full
    ref, so that a branch and a tag of one name are two threads.
    """
    domain = options.registration.from_.domain
    organization = attestation.workflow.organization if attestation else ""
    whose = (organization, *names(attestation, job))
    match options.composition.thread:
        case Thread.RUN:
            repository = (attestation and attestation.env("GITHUB_REPOSITORY")) or job.repository
            if run := (attestation and attestation.env("GITHUB_RUN_ID")) or job.run_id:
                return f"thread-{_digest('run', repository, run)}@{domain}"
            if attestation and (run := attestation.run.id):
                return f"thread-{_digest('attested run', *whose, run)}@{domain}"
        case Thread.REF:
            if ref := formatting.full_ref(attestation, job):
                return f"thread-{_digest('ref', *whose, ref)}@{domain}"
    return ""


def names(attestation: Attestation | None, job: Job) -> tuple[str, str]:
    """Project and workflow, Chainloop's where they are said, else repository and CI workflow."""
    project = (attestation.workflow.project if attestation else "") or job.chainloop_project
    repository = job.repository.rpartition("/")[2]
    return project or repository, formatting.known_workflow(attestation, job)


def _digest(*facts: object) -> str:
    """32 hexadecimal digits. JSON between the facts, so that no two lists of them look alike."""
    return hashlib.sha256(json.dumps(facts).encode("ascii")).hexdigest()[:32]
