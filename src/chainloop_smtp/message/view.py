"""Facts -> what the templates see: chosen, marked, sorted, and cut to size; no secrets.

All parts of the mail are made of the same values, so that they say the same.
"""

from datetime import datetime
from typing import TypedDict

from chainloop_smtp.message import formatting, lead, rows
from chainloop_smtp.message.comparison import Changed, comparison
from chainloop_smtp.message.report import with_env_values
from chainloop_smtp.message.rows import Fact, Section
from chainloop_smtp.message.selection import Attention, Evaluated, Selection, Shown, Suppressed
from chainloop_smtp.message.wording import Wording
from chainloop_smtp.model.attested import Attestation, Material, Policies
from chainloop_smtp.model.checks import SignatureCheck
from chainloop_smtp.model.facts import Job, Outcome, RunFacts, Verdict
from chainloop_smtp.model.mail import Part
from chainloop_smtp.model.runners import GITHUB_HOST, run_page, url_host
from chainloop_smtp.model.settings import EnvValues


class Facts(TypedDict):
    """Everything that a template may use, by name; each name is always there.

    Attributes:
        attention: The violated policies, gates first, then the worst first.
        attention_more: How many more violated policies there are; empty: none.
        attestation: What the evidence says; None without any that can be read. Of its environment
            only as much as ``env-values`` lets be seen.
        byline: Workflow, branch, commit, author and time in pieces; the commit may be a link.
        changes: What differs from the earlier run; None when nothing was compared.
        evaluations: The policy evaluations, violated ones first; those of one policy that have the
            same result are one.
        evaluations_more: A line for each kind of evaluation that is left out; empty: none.
        footer: Who sent the mail, and how to change that.
        gated_note: How many violations are in a gate; empty: none.
        job: The CI job that sends the mail. Empty names outside of CI.
        jobs: The jobs and their results; without rows where only this one is known, and well.
        log_link: Words for a link to ``log_url``.
        log_url: Log of the step at which the one job failed or was cancelled. Empty: not known.
        material_count: Materials that were added.
        materials: The materials, missing ones first.
        materials_more: How many more materials there are; empty: none.
        materials_title: The heading of the materials, with what was not added.
        policies: The counts, and what is known of the policies as a whole.
        policies_note: The text in place of the table of evaluations; empty: the table does.
        policies_title: The heading of that table.
        run_link: Words for a link to ``run_url``; with its host, if that is not the job's server.
        run_url: Page of the CI run; may be no link (``is web`` tells). Empty: not known.
        sections: Tables of the rest: commit, run, signature, annotations, environment, files.
        signature: Whether those whom the user trusts have signed; None where it says nobody.
        suppressed: The findings that were judged irrelevant and do not count, by policy.
        suppressed_more: How many more policies have such findings; empty: none.
        suppressed_title: The heading of these findings; empty where none is known.
        verdict: The judgement on the run.
        view_link: The same for ``view_url``; with its host, if that is not app.chainloop.dev.
        view_url: Page of the attestation in Chainloop; may be no link. Empty: there is none.
        wording: The words that all parts of the mail share.
    """

    attention: tuple[Attention, ...]
    attention_more: str
    attestation: Attestation | None
    byline: tuple[Fact, ...]
    changes: Changed | None
    evaluations: tuple[Evaluated, ...]
    evaluations_more: tuple[str, ...]
    footer: str
    gated_note: str
    job: Job
    jobs: Section
    log_link: str
    log_url: str
    material_count: int
    materials: tuple[Shown, ...]
    materials_more: str
    materials_title: str
    policies: Policies
    policies_note: str
    policies_title: str
    run_link: str
    run_url: str
    sections: tuple[Section, ...]
    signature: SignatureCheck | None
    suppressed: tuple[Suppressed, ...]
    suppressed_more: str
    suppressed_title: str
    verdict: Verdict
    view_link: str
    view_url: str
    wording: Wording


def facts(
    selection: Selection, words: Wording, env_values: EnvValues, enclosed: tuple[Part, ...] = ()
) -> Facts:
    """The context of the templates."""
    run, limits = selection.facts, selection.limits
    attestation, job, policies = run.attestation, run.job, run.policies
    run_url, view_url = run_page(attestation, job), attestation.view_url if attestation else ""
    sections = (
        Section("Commit", tuple(selection.commit(row) for row in rows.commit(run))),
        Section("Run", rows.run(run)),
        Section("Signature", rows.signing(run)),
        selection.section("Annotations", rows.annotations(attestation), limits.rows),
        selection.section(
            "Environment variables", rows.environment(attestation, env_values), limits.environment
        ),
        selection.section("Attached files", rows.enclosed(enclosed), limits.rows),
    )
    return {
        "attention": selection.attention(),
        "attention_more": selection.attention_more(),
        "attestation": attestation and with_env_values(attestation, env_values),
        "byline": _byline(words, rows.commit_url(run), formatting.sha(run)[:7]),
        "changes": comparison(run.changes, selection) if run.changes else None,
        "evaluations": selection.evaluations(),
        "evaluations_more": selection.evaluations_more(),
        "footer": rows.footer(job) + selection.note,
        "gated_note": lead.gated(policies),
        "job": job,
        "jobs": selection.section("Jobs", rows.jobs(job), limits.rows),
        "log_link": "View step log",
        "log_url": _log_url(run),
        "material_count": formatting.material_count(run),
        "materials": selection.materials(),
        "materials_more": selection.materials_more(),
        "materials_title": _materials_title(
            run.materials, attestation.bad_material_count if attestation else 0
        ),
        "policies": policies,
        "policies_note": _policies_note(policies),
        "policies_title": _policies_title(policies),
        "run_link": _link(
            "View workflow run", run_url, url_host(job.server_url or job.url) or GITHUB_HOST
        ),
        "run_url": run_url,
        "sections": tuple(section for section in sections if section.rows),
        "signature": run.signature,
        "suppressed": selection.suppressed(),
        "suppressed_more": selection.suppressed_more(),
        "suppressed_title": _suppressed_title(policies),
        "verdict": run.verdict,
        "view_link": _link("View attestation", view_url, _CHAINLOOP),
        "view_url": view_url,
        "wording": words,
    }


def _log_url(run: RunFacts) -> str:
    urls = [each.url for each in run.job.failed_steps]
    return formatting.web(urls[0]) if run.verdict.where and len(urls) == 1 else ""


_CHAINLOOP = "app.chainloop.dev"


def _link(words: str, url: str, home: str) -> str:
    """The text of a link. It names an unexpected host, since evidence may link to any."""
    host = url_host(url)
    return words if host in ("", home) else f"{words} on {host}"


def registration(words: Wording, registered: tuple[Fact, ...], now: datetime) -> Facts:
    """The context for the mail about a registration, under the same names."""
    no_run = RunFacts(job=Job(), verdict=Verdict(outcome=Outcome.NOT_ATTESTED), now=now)
    shown = facts(Selection(no_run), words, EnvValues.HIDE)
    shown["sections"] = (Section("Registration", registered),)
    shown["footer"] = "Sent by chainloop-smtp, because this address was registered with it."
    return shown


def _byline(words: Wording, url: str, sha: str) -> tuple[Fact, ...]:
    """The byline in pieces, of which the commit links to its page."""
    if not sha or not url:
        return (Fact("", words.byline),) if words.byline else ()
    before, linked, after = words.byline.partition(sha)
    pieces = (Fact("", before), Fact("", linked, "", url), Fact("", after))
    return tuple(piece for piece in pieces if piece.value)


def _materials_title(materials: tuple[Material, ...], unreadable: int) -> str:
    """``Materials (2, 1 missing)``: those that were added, that were not, or cannot be read."""
    absent = [each for each in materials if not each.is_set]
    missing = sum(bool(each.is_required) for each in absent)
    counts = [f"{len(materials) - len(absent):,}"]
    counts += [f"{missing:,} missing"] if missing else []
    counts += [f"{len(absent) - missing:,} not added"] if len(absent) > missing else []
    counts += [f"{unreadable:,} unreadable"] if unreadable else []
    return f"Materials ({', '.join(counts)})"


def _policies_title(policies: Policies) -> str:
    number = policies.evaluation_count
    counts = [f"{number:,}"] if number or not _is_uncounted(policies) else []
    counts += [f"{policies.suppressed_count:,} suppressed"] if policies.suppressed_count else []
    return "Policy evaluations" + (f" ({', '.join(counts)})" if counts else "")


def _suppressed_title(policies: Policies) -> str:
    number = sum(len(each.suppressed_violations) for each in policies.evaluations)
    return f"Suppressed findings ({number:,})" if number else ""


def _policies_note(policies: Policies) -> str:
    """The line in place of the table of evaluations; empty where there is a table."""
    if policies.evaluations:
        return ""
    if not policies.evaluation_count and not _is_uncounted(policies):
        return "No policies apply to this attestation."
    if policies.violation_count:
        result = formatting.count(policies.violation_count, "violation")
    elif policies.has_violations:
        result = "There are violations"
    else:
        result = "No violations" if policies.evaluation_count else "Not part of this evidence"
    stored = f"; the details are stored in Chainloop under {policies.reference}"
    return result + (stored if policies.reference else ".")


def _is_uncounted(policies: Policies) -> bool:
    """Policies were evaluated, and the evidence does not say how many."""
    return not policies.evaluation_count and bool(policies.reference or policies.has_violations)
