"""A story -> mails. What several of them say alike is worked out once."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Generic, TypeVar

from chainloop_smtp import addressing, message
from chainloop_smtp.cli import enclosures, routes
from chainloop_smtp.cli.run import Run
from chainloop_smtp.cli.run_facts import RunReport
from chainloop_smtp.model.mail import Mail, Part, Templates
from chainloop_smtp.model.settings import Options

_KEPT = 4  # forms of the mail, and sets of attachments; each may hold as much as one mail

Value = TypeVar("Value")


class Renderer:
    """One story, told in as many mails as are wanted."""

    def __init__(self, run: Run, story: RunReport) -> None:
        self._run = run
        self._story = story
        self._told: _Recent[message.RenderedParts] = _Recent()
        self._enclosed: _Recent[tuple[Part, ...]] = _Recent()

    def mail(
        self, parsed: Options, templates: Templates, note: str = "", route_id: str = ""
    ) -> Mail:
        """The story as one mail.

        Args:
            templates: The user's own, checked.
            note: What the mail says of why it is sent.
            route_id: As for `message.message_id`.

        Raises:
            MessageError: A template does not fit, and the jobs went well; or the mail would hold a
                secret.
            OptionsError: What is to be attached is not there, or too large.
        """
        run, story = self._run, self._story
        parsed = addressing.addressed(parsed, story.people)
        hidden = [box.addr_spec for box in parsed.hidden]
        run.console.hide(*hidden)
        parsed, intended = addressing.redirected(parsed)
        if intended:
            # The job summary says it too, where others read it.
            named = ", ".join(each for each in intended if each not in hidden)
            whom = " and ".join(filter(None, (named, f"{len(hidden)} in bcc" if hidden else "")))
            note = f"{note} A rehearsal: it would have gone to {whom}.".strip()
        # Answers and header fields are no part of what is said.
        said = replace(parsed.composition, reply_to=(), headers=())
        told = self._told.of((said, note, templates), lambda: self._tell(parsed, templates, note))
        message_id = message.message_id(
            story.facts.job,
            parsed,
            content=told.digest,
            entropy=run.entropy(is_dry_run=story.is_rehearsal),
            route_id=route_id,
        )
        composed = message.compose(
            story.facts.attestation,
            story.facts.job,
            story.facts.verdict,
            parsed,
            now=story.facts.now,
            message_id=message_id,
            told=told,
        )
        return replace(composed, intended=intended)

    def _tell(self, parsed: Options, templates: Templates, note: str) -> message.RenderedParts:
        story, composition = self._story, parsed.composition
        # The report, which is one of them, shows as much of the environment as the mail.
        enclosed = self._enclosed.of(
            (composition.enclosures, composition.env_values), lambda: self._enclose(parsed)
        )
        tell = partial(
            message.tell,
            story.facts.attestation,
            story.facts.job,
            story.facts.verdict,
            parsed,
            now=story.facts.now,
            changes=story.facts.changes,
            note=note,
            enclosed=enclosed,
        )
        try:
            return tell(templates=templates)
        except message.TemplateError as error:
            # Such a run is rare, and may be the first for which the template is not made.
            if story.facts.job.is_success:
                raise
            routes.templates_left_out(self._run, error)
            return tell()

    def _enclose(self, parsed: Options) -> tuple[Part, ...]:
        story, composition = self._story, parsed.composition
        report = partial(
            message.report,
            story.facts.attestation,
            story.facts.job,
            story.facts.verdict,
            story.facts.changes,
            composition.env_values,
            story.facts.now,
        )
        return enclosures.enclosed(
            self._run, composition.enclosures, story.facts.job, story.found, report
        )


class _Recent(Generic[Value]):
    """The last few values by key, each made where it is not among them."""

    def __init__(self) -> None:
        self._values: dict[object, Value] = {}

    def of(self, key: object, make: Callable[[], Value]) -> Value:
        value = self._values.pop(key) if key in self._values else make()
        self._values[key] = value
        if len(self._values) > _KEPT:
            del self._values[next(iter(self._values))]
        return value
