"""A run's report and a route's options -> its mail. What several mails share is made once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Generic, TypeVar

from chainloop_smtp import addressing, inputfile, message, outbox
from chainloop_smtp.cli import routes
from chainloop_smtp.cli.routes import PlannedMail
from chainloop_smtp.cli.run import Run
from chainloop_smtp.cli.run_facts import RunReport
from chainloop_smtp.errors import OptionsError, Problem, quoted_path
from chainloop_smtp.model.attested import Evidence
from chainloop_smtp.model.mail import File, Mail, Part, Templates
from chainloop_smtp.model.settings import Composition, Enclosures, Options

_KEPT = 4  # forms of the mail, and sets of attachments; each may hold as much as one mail

Value = TypeVar("Value")


class Renderer:
    """Renders one run in as many mails as are wanted."""

    def __init__(self, run: Run, report: RunReport) -> None:
        self._run = run
        self._report = report
        self._clean_facts = message.CleanFacts(report.facts)
        self._rendered: _Recent[message.RenderedParts] = _Recent()
        self._enclosed: _Recent[tuple[Part, ...]] = _Recent()

    def of(self, report: RunReport) -> "Renderer":
        """Return the renderer of a run: this one, if it is this one's run."""
        return self if report is self._report else Renderer(self._run, report)

    def mail(self, planned: PlannedMail) -> Mail:
        """Render one mail about this run.

        Raises:
            MessageError: A template does not fit, and the jobs went well; or the mail would hold a
                secret.
            OptionsError: What is to be attached is not there, or too large.
        """
        run, facts, route = self._run, self._report.facts, planned.route
        templates, note = route.templates, planned.decision.note
        parsed = addressing.add_people(route.options, self._report.people)
        hidden = [box.addr_spec for box in parsed.hidden]
        run.console.hide(*hidden)
        parsed, intended = addressing.redirect(parsed)
        if intended:
            # The job summary shows this too, where others read it.
            named = ", ".join(each for each in intended if each not in hidden)
            whom = " and ".join(filter(None, (named, f"{len(hidden)} in bcc" if hidden else "")))
            note = f"{note} Redirected: it would have gone to {whom}.".strip()
        # Answers and header fields are no part of what the mail says.
        key = (replace(parsed.composition, reply_to=(), headers=()), note, templates)
        rendered = self._rendered.get(key, lambda: self._render(parsed, templates, note))
        message_id = message.message_id(
            facts.job,
            parsed,
            content=rendered.digest,
            # Made of the facts alone, it is the same the next time.
            entropy=b""
            if self._report.is_scheduled
            else run.entropy(is_dry_run=self._report.is_dry_run),
            route_id=route.id,
        )
        composed = message.compose(rendered, parsed, message_id=message_id)
        run_id = facts.attestation.run.id[:8] if self._report.label and facts.attestation else ""
        stem = outbox.file_stem(composed.subject, run_id, planned.label)
        return replace(composed, intended=intended, stem=stem)

    def _render(self, parsed: Options, templates: Templates, note: str) -> message.RenderedParts:
        composition = parsed.composition
        # The report, which is one of them, shows as much of the environment as the mail.
        enclosed = self._enclosed.get(
            (composition.enclosures, composition.env_values),
            lambda: _enclosed(self._run, self._report, composition),
        )
        try:
            return message.render(
                self._clean_facts, parsed, note=note, enclosed=enclosed, templates=templates
            )
        except message.TemplateError as error:
            # Such a run is rare, and may be the first for which the template is not made.
            if self._report.facts.is_success:
                raise
            routes.warn_templates_left_out(self._run, error)
            return message.render(self._clean_facts, parsed, note=note, enclosed=enclosed)


class _Recent(Generic[Value]):
    """The last few values by key."""

    def __init__(self) -> None:
        self._values: dict[object, Value] = {}

    def get(self, key: object, make: Callable[[], Value]) -> Value:
        value = self._values.pop(key) if key in self._values else make()
        self._values[key] = value
        if len(self._values) > _KEPT:
            del self._values[next(iter(self._values))]
        return value


# --- attachments -------------------------------------------------------------------------------


def _enclosed(run: Run, report: RunReport, composition: Composition) -> tuple[Part, ...]:
    """The evidence, the report and the files that the options name, ready to be attached.

    The mail about a failed run does not wait for files that the run did not get to write.

    Raises:
        OptionsError: A pattern matches nothing, a file is not to be read, or all is too large.
    """
    wanted, facts = composition.enclosures, report.facts
    if wanted == Enclosures(max_size=wanted.max_size):
        return ()
    # Imported here: most mails carry no files.
    from chainloop_smtp.source import files

    own = _documents(report.evidence) if wanted.has_evidence else []
    if wanted.has_evidence and not own:
        run.console.notice("nothing to attach", "There is no attestation to attach.")
    if wanted.has_report:
        content = message.report(facts, composition.env_values)
        own.append(File(name=message.REPORT_NAME, content=content))
    matched, unmatched = files.collect(wanted.patterns, run.environ, wanted.max_size, own)
    problems = [
        Problem(f"attach {quoted_path(pattern)}", "matches no file", _hint(pattern))
        for pattern in unmatched
    ]
    if problems and facts.is_success:
        raise OptionsError(*problems)
    for problem in problems:
        run.console.warning("nothing to attach", str(problem))
    return message.parts([*own, *matched])


def _hint(pattern: str) -> str:
    if "," in pattern:
        return "Commas do not separate entries here: write one per line."
    name = Path(pattern).name
    hint = inputfile.suggest(pattern, name if name.strip("*?.") else "")
    dot = "To match a hidden name, write its leading dot."
    return f"{hint} {dot}" if hint else f"Patterns are relative to the workspace. {dot}"


def _documents(evidence: Evidence) -> list[File]:
    """The documents exactly as they were given."""
    files = [File(name=_name("attestation", each), content=each) for each in evidence.documents]
    if evidence.policy_evaluations:
        name = _name("policy-evaluations", evidence.policy_evaluations)
        files.append(File(name=name, content=evidence.policy_evaluations))
    return files


def _name(stem: str, document: bytes) -> str:
    """With the extension that its first character asks for: a policy may print before the JSON."""
    is_json = document.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))
    return f"{stem}.json" if is_json else f"{stem}.txt"
