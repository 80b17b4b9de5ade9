"""Facts -> rows of keys and values, by section; what is empty is left out with its key."""

import re
from typing import NamedTuple

from chainloop_smtp.message import formatting
from chainloop_smtp.model.attested import Attestation, Commit, Runner, Signing, Version
from chainloop_smtp.model.checks import SignatureCheck, SignatureStatus
from chainloop_smtp.model.facts import FailedStep, Job, JobStatus, RunFacts
from chainloop_smtp.model.mail import Part
from chainloop_smtp.model.runners import attested_run, ci_run, is_of_other_ci, is_same_run, url_host
from chainloop_smtp.model.settings import EnvValues

# https://host/path, ssh://git@host:22/path, and git's own git@host:path.
_REMOTE = re.compile(
    r"(?:(?:https?|ssh|git)://(?:[^@/\s]*@)?(?P<host>[^@:/\s]+)(?::[0-9]+)?/"
    r"|(?:[^@:/\s]+@)?(?P<short>[^@:/\s]+):)(?P<path>[^/?#\s][^?#\s]*)"
)
_FILE = ".chainloop.yml"


class Fact(NamedTuple):
    """One row of a table of keys and values.

    Attributes:
        value: One line, or several.
        kind: ``code`` for ids and digests, empty for words.
        url: Where the value links to; empty when nowhere.
    """

    key: str
    value: str
    kind: str = ""
    url: str = ""


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


def commit(facts: RunFacts) -> tuple[Fact, ...]:
    """What was built: commit, branch, author, who started it."""
    sha = formatting.sha(facts)
    if not sha:
        return ()
    rows = [Fact("Commit", sha, "code", commit_url(facts)), _ref(facts)]
    if commit := facts.commit:
        author = f"{commit.author_name} <{commit.author_email}>".removesuffix(" <>")
        rows += [
            Fact("Message", commit.message.partition("\n")[0]),
            Fact("Author", author),
            Fact("Signed commit", _signature(commit)),
        ]
    started = ci_run(facts.attestation, facts.job)
    actor, event = started.actor, started.event
    rows.append(Fact("Triggered by", f"{actor} ({event})" if actor and event else actor or event))
    return tuple(row for row in rows if row.value)


def _ref(facts: RunFacts) -> Fact:
    """Branch or tag; a pull request with the branch that it would merge."""
    ref = formatting.ref(facts)
    kind = formatting.full_ref(facts).removeprefix("refs/").partition("/")[0]
    if kind not in formatting.REQUESTS:
        return Fact("Branch or tag", ref)
    head = ci_run(facts.attestation, facts.job).head_ref
    return Fact(formatting.REQUESTS[kind][1], f"{ref} from {head}" if head else ref)


def commit_url(facts: RunFacts) -> str:
    """The commit's page; empty when it is not known."""
    sha = formatting.sha(facts)
    repository = _repository_page(facts, sha)
    return formatting.web(f"{repository}/commit/{sha}") if repository and sha else ""


def _repository_page(facts: RunFacts, sha: str) -> str:
    """The page of the repository that holds the commit; empty when it is not known.

    Readers do not see where the link leads, so only the job's own server will do: none where the
    evidence names another one.
    """
    job, attestation, commit = facts.job, facts.attestation, facts.commit
    own = f"{job.server_url}/{job.repository}" if job.server_url and job.repository else ""
    if attestation is None or (own and sha == job.sha and is_same_run(attestation, job)):
        return own
    page = attestation.runner.url
    if commit and commit.remotes:
        server = job.server_url or "/".join(page.split("/", 3)[:3])
        return next(filter(None, (_remote_page(each, server) for each in commit.remotes)), "")
    repository = attested_run(attestation)[0]
    if not repository or is_of_other_ci(attestation, job):
        return ""
    if repository == job.repository:
        return own
    server, path, _ = page.partition(f"/{repository}/actions/")
    if not path or server == job.server_url:
        server = job.server_url
    elif job.server_url:
        return ""
    return f"{server}/{repository}" if server else ""


def _remote_page(remote: str, server: str) -> str:
    """The page of a repository on the server, by what git calls it; empty: it is elsewhere."""
    match = _REMOTE.fullmatch(remote)
    if match is None or ".." in match["path"]:
        return ""
    host = (match["host"] or match["short"]).lower()
    is_there = host == url_host(server).partition(":")[0]
    return f"{server}/{match['path'].removesuffix('/').removesuffix('.git')}" if is_there else ""


def _signature(commit: Commit) -> str:
    words = {
        "verified": "verified",
        "unverified": "not verified",
        "unavailable": "verification unavailable",
    }
    return words.get(commit.verification, "signed" if commit.is_signed else "")


def run(facts: RunFacts) -> tuple[Fact, ...]:
    """Whose run it is, by which contract, when, and where it ran."""
    job = facts.job
    rows = _attested_run(facts.attestation) if facts.attestation else []
    rows += [
        Fact(key, f"{name} (as {source} says)")
        for key, name, source in (
            ("Project", job.chainloop_project, _FILE if job.is_project_from_file else "the step"),
            ("Version", job.chainloop_version, _FILE),
            ("Workflow", job.chainloop_workflow, "the step"),
        )
        if name
    ]
    url = formatting.web(job.run_url)
    attempt = f", attempt {job.run_attempt}" if job.run_attempt else ""
    rows += [
        Fact("CI workflow", " in ".join(filter(None, (job.workflow, job.repository)))),
        Fact("CI job", job.name),
        Fact("CI run", f"{job.run_id}{attempt}" if job.run_id else "", "", url),
        Fact("CI commit", _other_commit(facts), "code"),
    ]
    if sender := job.sender:
        by = _by(sender.name, sender.workflow)
        rows.append(Fact("Mailed by", f"{by}, run {sender.run_id}", "", formatting.web(sender.url)))
    return tuple(row for row in rows if row.value)


def _attested_run(attestation: Attestation) -> list[Fact]:
    workflow, run = attestation.workflow, attestation.run
    contract = workflow.contract_name
    if contract and workflow.contract_revision:
        contract += f", revision {workflow.contract_revision}"
    finished = formatting.timestamp(run.finished_at) if run.finished_at else ""
    if run.duration is not None:
        finished += f" ({formatting.duration(run.duration)})"
    digest = attestation.digest
    if digest and attestation.signing.is_digest_verified is not None:
        verified = attestation.signing.is_digest_verified
        digest += " (digest verified)" if verified else " (NOT the digest of the given bundle)"
    strategy = attestation.policies.strategy
    return [
        Fact("Organization", workflow.organization),
        Fact("Team", workflow.team),
        Fact("Project", workflow.project),
        Fact("Version", _version(workflow.version)),
        Fact("Workflow", workflow.name),
        Fact("Workflow ID", workflow.id, "code"),
        Fact("Contract", contract),
        Fact("Policy strategy", strategy.value if strategy else ""),
        Fact("Policy bypass", "requested" if attestation.policies.is_bypassed else ""),
        Fact("State", run.state.value if run.state else ""),
        Fact("Reason", run.reason),
        Fact("Started", formatting.timestamp(run.started_at) if run.started_at else ""),
        Fact("Finished", finished),
        Fact("Attested by", attestation.attested_by),
        Fact("Runner", _runner(attestation.runner)),
        Fact("Runner workflow", attestation.runner.workflow_file),
        Fact("Unreadable", _unreadable(attestation.bad_material_count)),
        Fact("Run ID", run.id, "code"),
        Fact("Attestation", digest, "code"),
    ]


def _version(version: Version | None) -> str:
    if version is None or not version.name:
        return ""
    if version.is_being_released:
        return f"{version.name} (released by this run)"
    return f"{version.name} (prerelease)" if version.is_prerelease else version.name


def _other_commit(facts: RunFacts) -> str:
    """The commit that the CI ran for, where the same run attested another one."""
    attested, job = facts.commit.sha if facts.commit else "", facts.job
    is_other = attested not in ("", job.sha) and is_same_run(facts.attestation, job)
    return job.sha if is_other else ""


def _unreadable(number: int) -> str:
    return formatting.count(number, "entry", "entries") + " among the materials" if number else ""


def _runner(runner: Runner) -> str:
    notes = [runner.environment, "authenticated" if runner.is_authenticated else ""]
    words = ", ".join(filter(None, notes))
    type_ = runner.type.replace("RUNNER_TYPE_UNSPECIFIED", "")
    return f"{type_} ({words})" if type_ and words else type_ or words


def jobs(job: Job) -> tuple[Fact, ...]:
    """The jobs and their results; empty where just one is known, and nothing of its steps.

    What failed stands first, then what was cancelled; else this job is the last.
    """
    results: list[tuple[str, JobStatus, int | None]] = [
        (each.name or f"earlier job {number + 1}", each.result, number)
        for number, each in enumerate(job.needs)
    ]
    if job.status:
        results.append((job.name or ("the run" if job.sender else "this job"), job.status, None))
    results.sort(key=lambda each: (not each[1].is_failure, not each[1].is_cancellation))
    rows = [row for each in results for row in _job(*each, job.failed_steps)]
    return tuple(rows) if len(results) > 1 or job.failed_steps else ()


def _job(
    name: str, status: JobStatus, need: int | None, steps: tuple[FailedStep, ...]
) -> list[Fact]:
    """One job, and its steps: in its row where GitHub calls it by its id, else below."""
    rows = [
        Fact(each.job, f"at step {each.name}", "", formatting.web(each.url))
        for each in steps
        if each.need == need
    ]
    if len(rows) == 1 and rows[0].key == name:
        return [rows[0]._replace(value=f"{status.value} {rows[0].value}")]
    return [Fact(name, status.value), *rows]


def signing(facts: RunFacts) -> tuple[Fact, ...]:
    """Who signed, when, and who says so: what was verified, or the evidence's own word."""
    attestation, check = facts.attestation, facts.signature
    if attestation is None:
        return ()
    signing = attestation.signing
    timestamps = signing.timestamp_count
    if check and check.status is SignatureStatus.VERIFIED:
        rows = _verified_signing(check, facts.unsigned)
    else:
        rows = (
            Fact("Signature", _unverified(check, signing)),
            Fact("Certificate", signing.certificate),
            Fact("Identity", ", ".join(signing.certificate_sans)),
            Fact("Issuer", signing.certificate_issuer),
            Fact("Key", signing.key_hint, "code"),
            Fact("Timestamps", str(timestamps) if timestamps else ""),
        )
    # Evidence that is wrong may say this, too.
    is_said = check and signing.is_verified and not facts.has_wrong_signature
    rows += (
        Fact("Chainloop CLI", "verified the signature" if is_said else ""),
        Fact("Authority", signing.authority),
        Fact("Timestamp authority", signing.timestamp_authority),
        Fact("Log index", ", ".join(signing.log_indexes)),
        Fact("Built with", attestation.builder, "code"),
    )
    return tuple(row for row in rows if row.value)


def _verified_signing(check: SignatureCheck, unsigned: tuple[str, ...]) -> tuple[Fact, ...]:
    timestamp = ""
    if check.timestamped_at:
        timestamp = f"{formatting.timestamp(check.timestamped_at)}, {check.timestamp_authority}"
    since = ""
    if check.signed_at and not check.timestamped_at:
        since = f"not before {formatting.timestamp(check.signed_at)}"
    return (
        Fact("Signature", f"verified; {check.reason}" if check.reason else "verified"),
        Fact("Not covered", ", ".join(unsigned)),
        Fact("Signed by", check.signer),
        Fact("Trusted root", check.authority),
        Fact("Signed", since),
        Fact("Timestamp", timestamp),
        Fact("Key", check.key_fingerprint, "code"),
        Fact("Method", check.method),
    )


def _unverified(check: SignatureCheck | None, signing: Signing) -> str:
    if check:
        words = "INVALID" if check.status is SignatureStatus.FAILED else "not checked"
        return f"{words}: {check.reason}"
    if signing.is_verified:
        return "verified by the Chainloop CLI"
    # Nobody asked: worth a word only where somebody could take the next rows for verified.
    is_named = signing.certificate or signing.key_hint
    return "as the evidence says; not checked here" if is_named else ""


def annotations(attestation: Attestation | None) -> tuple[Fact, ...]:
    """The run's own, as the attestation sorts them."""
    annotations = attestation.annotations if attestation else ()
    return tuple(Fact(each.name, each.value or "not set") for each in annotations)


def environment(attestation: Attestation | None, env_values: EnvValues) -> tuple[Fact, ...]:
    """The attested environment variables, as far as the user lets others see them."""
    if attestation is None or env_values is EnvValues.HIDE:
        return ()
    if env_values is EnvValues.NAMES:
        names = ", ".join(each.name for each in attestation.environment)
        return (Fact("Names", names),) if names else ()
    return tuple(
        Fact(each.name, each.value or "not set", "code") for each in attestation.environment
    )


def enclosed(parts: tuple[Part, ...]) -> tuple[Fact, ...]:
    """Name, size and digest of each file, for checking what arrived."""
    return tuple(
        Fact(each.name, f"{formatting.count(len(each.content), 'byte')}, {each.digest}", "code")
        for each in parts
    )


def footer(job: Job) -> str:
    """Who sent this, and how to stop it."""
    sender = job.sender or job
    if sender.workflow and sender.repository:
        return (
            f"Sent by {_by(sender.name, sender.workflow)} in {sender.repository}. To change who "
            "gets this mail or when, edit the step of that workflow that sends it."
        )
    return (
        "Sent by chainloop-smtp. To change who gets this mail or when, edit the command that "
        "sends it."
    )


def _by(job: str, workflow: str) -> str:
    return f"job {job} of {workflow}" if job else workflow
