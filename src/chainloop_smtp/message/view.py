"""Facts -> what the templates see: rows, marks and links, chosen and sorted. No secret is here."""

import re
from typing import NamedTuple

from chainloop_smtp.message import wording
from chainloop_smtp.message.wording import Wording
from chainloop_smtp.model import (
    Attestation,
    EnvValues,
    Evaluation,
    Finding,
    FindingKind,
    Job,
    Material,
    Part,
    Policies,
    Runner,
    Violation,
)

_WEB = re.compile(r"https?://[^\s<>\"'`\\]+", re.IGNORECASE)
# Lines break behind a hyphen anyway, so a name of many short words needs no help.
_UNBROKEN = re.compile(r"[^\s-]{21}")
_MESSAGE_LINES = 20


class Fact(NamedTuple):
    """One row of a table of keys and values.

    Attributes:
        kind: ``code`` for ids and digests, empty for words.
        url: Where the value links to; empty when nowhere.
    """

    key: str
    value: str
    kind: str = ""
    url: str = ""


def facts(
    attestation: Attestation | None,
    job: Job,
    words: Wording,
    env_values: EnvValues,
    enclosed: tuple[Part, ...] = (),
) -> dict[str, object]:
    """Everything that a template may use, by name."""
    policies = attestation.policies if attestation else Policies()
    url = (attestation.runner.url if attestation else "") or job.run_url
    sections = {
        "Commit": _commit(attestation, job),
        "Run": _run(attestation, job),
        "Signature": _signing(attestation),
        "Annotations": _annotations(attestation),
        "Environment variables": _environment(attestation, env_values),
        "Attached files": _enclosed(enclosed),
    }
    return {
        "attestation": attestation,
        "changes": None,
        "footer": _footer(job),
        "gated_note": _gated_note(policies),
        "job": job,
        "material_count": wording.material_count(attestation) if attestation else 0,
        "materials": _materials(attestation),
        "policies": policies,
        "policies_note": _policies_note(policies),
        "policies_title": _policies_title(policies),
        "results": tuple(Fact(each.name, each.value) for each in wording.results(job)),
        "run_url": url,
        "sections": tuple((title, rows) for title, rows in sections.items() if rows),
        "view_url": attestation.view_url if attestation else "",
        "violated": tuple(each for each in policies.evaluations if each.active_violations),
        "wording": words,
    }


def registration(words: Wording, rows: tuple[Fact, ...]) -> dict[str, object]:
    """What the registration mail shows, under the same names."""
    shown = facts(None, Job(), words, EnvValues.HIDE)
    footer = "Sent by chainloop-smtp, on behalf of whoever registered this address with it."
    return shown | {"sections": (("Registration", rows),), "footer": footer}


def is_web(url: str) -> bool:
    """A link that may be a link: ``http`` or ``https``, and nothing that ends an attribute."""
    return bool(_WEB.fullmatch(url))


def is_unbroken(text: str) -> bool:
    """Holds over 20 characters without a blank or hyphen, which may have to break anywhere."""
    return bool(_UNBROKEN.search(text))


def result(evaluation: Evaluation) -> tuple[str, str, str]:
    """Tone, glyph and word of one evaluation."""
    if evaluation.active_violations:
        return (
            ("danger", "✕", "Violated, gate") if evaluation.is_gate else ("warn", "!", "Violated")
        )
    return ("idle", "–", "Skipped") if evaluation.is_skipped else ("ok", "✓", "Passed")


def lines(violation: Violation) -> tuple[str, ...]:
    """What a violation says: its finding in one line, then its message, each thing once."""
    said = [_finding(violation.finding)] if violation.finding else []
    message = [line.strip() for line in violation.message.splitlines() if line.strip()]
    # Chainloop fills the message with the finding's own, or with its id.
    if not said or " ".join(message) not in said[0]:
        said += message
    if len(said) > _MESSAGE_LINES:
        left = len(said) - _MESSAGE_LINES
        said = [*said[:_MESSAGE_LINES], f"(and {wording.count(left, 'more line')})"]
    return tuple(filter(None, said)) or (violation.subject or "violated, no message given",)


def _finding(finding: Finding) -> str:
    """``CVE-2026-21441 (critical, CVSS 9.8) in openssl 3.0.14-r0, fixed in 3.0.16-r0``."""
    score = f"{finding.score:g}" if finding.score is not None else ""
    if score and finding.kind is FindingKind.VULNERABILITY:
        score = f"CVSS {score}"
    notes = [finding.severity.lower(), score, finding.assessment.lower().replace("_", " ")]
    text = finding.id or finding.message
    text += f" ({', '.join(filter(None, notes))})" if any(notes) else ""
    if finding.component:
        text += f" in {finding.component}"
        text += f" {finding.component_version}" if finding.component_version else ""
    if finding.location:
        text += f" at {finding.location}"
    if finding.fixed_version:
        text += f", fixed in {finding.fixed_version}"
    if finding.kind is FindingKind.SAST and finding.id and finding.message:
        text += f": {finding.message}"
    return " ".join(text.split())


def _policies_title(policies: Policies) -> str:
    number = policies.evaluation_count
    counts = [f"{number:,}"] if number or not _is_untold(policies) else []
    counts += [f"{policies.suppressed_count:,} suppressed"] if policies.suppressed_count else []
    return "Policy evaluations" + (f" ({', '.join(counts)})" if counts else "")


def _policies_note(policies: Policies) -> str:
    """What stands in place of the table of evaluations; empty where there is the table."""
    if policies.evaluations:
        return ""
    if not policies.evaluation_count and not _is_untold(policies):
        return "No policies apply to this attestation."
    if policies.violation_count:
        found = wording.count(policies.violation_count, "violation")
    elif policies.has_violations:
        found = "There are violations"
    else:
        found = "No violations" if policies.evaluation_count else "Not part of this evidence"
    stored = f"; the details are stored in Chainloop under {policies.reference}"
    return found + (stored if policies.reference else ".")


def _is_untold(policies: Policies) -> bool:
    """Policies were evaluated, and how many is not said."""
    return not policies.evaluation_count and bool(policies.reference or policies.has_violations)


def _gated_note(policies: Policies) -> str:
    gated = sum(len(each.active_violations) for each in policies.evaluations if each.is_gate)
    return f"{gated} in a gate" if gated else ""


def _enclosed(parts: tuple[Part, ...]) -> tuple[Fact, ...]:
    """Name, size and digest of each file, to check what arrived by."""
    return tuple(
        Fact(each.name, f"{wording.count(len(each.content), 'octet')}, {each.digest}", "code")
        for each in parts
    )


class _Marked(NamedTuple):
    """A material and what is wrong with it."""

    material: Material
    mark: str


def _materials(attestation: Attestation | None) -> tuple[_Marked, ...]:
    """Materials with their marks, missing ones first."""
    if attestation is None:
        return ()
    gated: set[str] = set()
    violated: set[str] = set()
    for each in attestation.policies.evaluations:
        if each.active_violations:
            (gated if each.is_gate else violated).add(each.material)

    def mark(material: Material) -> str:
        if not material.is_set:
            return "missing" if material.is_required else "not added"
        if material.name in gated:
            return "gate violated"
        return "violation" if material.name in violated else ""

    marked = (_Marked(material, mark(material)) for material in attestation.materials)
    return tuple(sorted(marked, key=lambda each: each.mark != "missing"))


def _commit(attestation: Attestation | None, job: Job) -> tuple[Fact, ...]:
    sha = wording.sha(attestation, job)
    if not sha:
        return ()
    commit = attestation.commit if attestation else None
    environment = {each.name: each.value for each in attestation.environment} if attestation else {}
    repository = environment.get("GITHUB_REPOSITORY") or job.repository
    url = f"{_server(attestation, job, repository)}/{repository}/commit/{sha}"
    rows = [
        Fact("Commit", sha, "code", url if repository and is_web(url) else ""),
        Fact("Branch or tag", wording.ref(attestation, job)),
    ]
    if commit:
        author = f"{commit.author_name} <{commit.author_email}>".removesuffix(" <>")
        signed = "signed" if commit.is_signed else ""
        rows += [
            Fact("Message", commit.message.partition("\n")[0]),
            Fact("Author", author),
            Fact("Signature", _signature(commit.verification, signed)),
        ]
    actor = environment.get("GITHUB_ACTOR") or job.actor
    event = environment.get("GITHUB_EVENT_NAME") or job.event
    rows.append(Fact("Triggered by", f"{actor} ({event})" if actor and event else actor or event))
    return tuple(row for row in rows if row.value)


def _server(attestation: Attestation | None, job: Job, repository: str) -> str:
    """Where the attested repository lives; empty when neither the run's page nor the job says."""
    page = attestation.runner.url if attestation else ""
    server, found, _ = page.partition(f"/{repository}/actions/")
    return server if found else job.server_url


def _signature(verification: str, signed: str) -> str:
    words = {
        "verified": "signature verified",
        "unverified": "signature not verified",
        "unavailable": "verification unavailable",
    }
    return words.get(verification, signed)


def _run(attestation: Attestation | None, job: Job) -> tuple[Fact, ...]:
    rows: list[Fact] = []
    if attestation:
        workflow, run = attestation.workflow, attestation.run
        contract = workflow.contract_name
        if contract and workflow.contract_revision:
            contract += f", revision {workflow.contract_revision}"
        finished = wording.moment(run.finished_at) if run.finished_at else ""
        if finished and run.duration is not None:
            finished += f" ({wording.lapse(run.duration)})"
        version = workflow.version
        version_name = version.name if version else ""
        if version_name and version and version.is_being_released:
            version_name += " (released by this run)"
        elif version_name and version and version.is_prerelease:
            version_name += " (prerelease)"
        digest = attestation.digest
        if digest and attestation.signing.is_digest_verified is not None:
            verified = attestation.signing.is_digest_verified
            digest += (
                " (digest verified)" if verified else " (NOT the digest of the bundle at hand)"
            )
        strategy = attestation.policies.strategy
        rows += [
            Fact("Organization", workflow.organization),
            Fact("Team", workflow.team),
            Fact("Project", workflow.project),
            Fact("Version", version_name),
            Fact("Workflow", workflow.name),
            Fact("Workflow ID", workflow.id, "code"),
            Fact("Contract", contract),
            Fact("Policy strategy", strategy.value if strategy else ""),
            Fact("Policy bypass", "requested" if attestation.policies.is_bypassed else ""),
            Fact("State", run.state.value if run.state else ""),
            Fact("Reason", run.reason),
            Fact("Started", wording.moment(run.started_at) if run.started_at else ""),
            Fact("Finished", finished),
            Fact("Runner", _runner(attestation.runner)),
            Fact("Runner workflow", attestation.runner.workflow_file),
            Fact("Unreadable", _unreadable(attestation.bad_material_count)),
            Fact("Run ID", run.id, "code"),
            Fact("Attestation", digest, "code"),
        ]
    repository = job.repository
    url = job.run_url if is_web(job.run_url) else ""
    attempt = f", attempt {job.run_attempt}" if job.run_attempt else ""
    rows += [
        Fact("CI workflow", " in ".join(filter(None, (job.workflow, repository)))),
        Fact("CI job", job.name),
        Fact("CI run", f"{job.run_id}{attempt}" if job.run_id else "", "", url),
    ]
    return tuple(row for row in rows if row.value)


def _unreadable(number: int) -> str:
    return wording.count(number, "entry", "entries") + " among the materials" if number else ""


def _runner(runner: Runner) -> str:
    notes = [runner.environment, "authenticated" if runner.is_authenticated else ""]
    words = ", ".join(filter(None, notes))
    type_ = runner.type.replace("RUNNER_TYPE_UNSPECIFIED", "")
    return f"{type_} ({words})" if type_ and words else type_ or words


def _signing(attestation: Attestation | None) -> tuple[Fact, ...]:
    """Who signed, when, and who says so; nothing of it is verified here but the digest."""
    if attestation is None:
        return ()
    signing = attestation.signing
    timestamps = signing.timestamp_count
    rows = (
        Fact("Verified", _verified(attestation)),
        Fact("Certificate", signing.certificate),
        Fact("Identity", ", ".join(signing.certificate_sans)),
        Fact("Issuer", signing.certificate_issuer),
        Fact("Key", signing.key_hint, "code"),
        Fact("Authority", signing.authority),
        Fact("Timestamp authority", signing.timestamp_authority),
        Fact("Timestamps", str(timestamps) if timestamps else ""),
        Fact("Log index", ", ".join(signing.log_indexes)),
        Fact("Built with", attestation.builder, "code"),
    )
    return tuple(row for row in rows if row.value)


def _verified(attestation: Attestation) -> str:
    """Who checked the signature; that nobody did is worth a word where something is recorded."""
    if attestation.signing.is_verified:
        return "by Chainloop's control plane"
    return "signature not checked" if attestation.is_recorded else ""


def _annotations(attestation: Attestation | None) -> tuple[Fact, ...]:
    annotations = attestation.annotations if attestation else ()
    return tuple(Fact(each.name, each.value or "not set") for each in annotations)


def _environment(attestation: Attestation | None, env_values: EnvValues) -> tuple[Fact, ...]:
    if attestation is None or env_values is EnvValues.HIDE:
        return ()
    if env_values is EnvValues.NAMES:
        names = ", ".join(each.name for each in attestation.environment)
        return (Fact("Names", names),) if names else ()
    return tuple(
        Fact(each.name, each.value or "not set", "code") for each in attestation.environment
    )


def _footer(job: Job) -> str:
    by = f"job {job.name} of " if job.name else ""
    if job.workflow and job.repository:
        return (
            f"Sent by {by}{job.workflow} in {job.repository}. To change who gets this mail or "
            "when, edit the step of that workflow that sends it."
        )
    return (
        "Sent by chainloop-smtp. To change who gets this mail or when, edit the command that "
        "sends it."
    )
