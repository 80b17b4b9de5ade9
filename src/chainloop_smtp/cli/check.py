"""The command ``check``: everything that a mail would meet on its way, and no mail."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from chainloop_smtp import addressing, delivery, message
from chainloop_smtp.cli import routes
from chainloop_smtp.cli.deliver import advise, authorised
from chainloop_smtp.cli.run import Run
from chainloop_smtp.delivery import probe
from chainloop_smtp.errors import DeliveryError, OptionsError, Problem
from chainloop_smtp.model.checks import Step, StepState
from chainloop_smtp.model.mail import public_name
from chainloop_smtp.model.settings import Mailbox, Options, Require, unique

_GLYPHS = {
    StepState.OK: "✓ ok",
    StepState.WARNING: "! warning",
    StepState.FAILED: "✗ failed",
    StepState.DEFERRED: "~ not now",
    StepState.SKIPPED: "- skipped",
}
_WIDTH = max(map(len, _GLYPHS.values()))
_NAME_WIDTH = len("greeting")

Failure = DeliveryError | OptionsError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """One server, and what would be sent through it.

    Attributes:
        name: Of the registration; empty: the inputs themselves.
        recipients: addr-specs, each once.
        hidden: Those of them whom only bcc names.
        is_attached: Some run may be mailed through it.
        missing: Variables that are not set; while there are any, nothing can be tried.
    """

    name: str
    options: Options
    recipients: tuple[str, ...]
    hidden: tuple[str, ...] = ()
    is_attached: bool = True
    missing: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    """What became of the steps at one server.

    Attributes:
        shown: The steps as others may read them.
    """

    target: _Target
    steps: tuple[Step, ...]
    shown: tuple[Step, ...]
    failure: Failure | None
    sentence: str


def check(run: Run) -> int:
    """Tries each server that a send could use, and says what that send would do.

    Raises:
        DeliveryError: It would fail.
        OptionsError: It could not even try.
    """
    given = run.inputs()
    path = routes.file_of(run, given)
    if not path and routes.is_fork(run) and not routes.can_log_in(run, given):
        return _skipped(run)
    targets = _targets(run, given, path) if path else [_own(run, given)]
    if not targets and routes.is_fork(run):
        return _skipped(run)
    if not targets:
        run.console.warning("nothing to check", f"There are no registrations in {path}.")
    elif not any(each.is_attached for each in targets) and not routes.is_fork(run):
        text = f"There are no attachments in {path}, so nothing is sent."
        run.console.warning("nothing is attached", text)
    checked = [_checked(run, target) for target in targets]
    run.console.summary("\n\n".join(map(_markdown, checked)))
    if run.console.is_json:
        run.console.data(json.dumps(_document(checked), indent=2))
    required = []
    for each in checked:
        if each.failure and each.target.options.fail_on_error:
            required.append(each.failure)
        elif each.failure:
            run.console.warning(each.failure.title, str(each.failure))
    if not required:
        return 0
    problems = dict.fromkeys(problem for failure in required for problem in failure.problems)
    first = next((each for each in required if isinstance(each, DeliveryError)), required[0])
    raise type(first)(*problems, title=first.title)


def _skipped(run: Run) -> int:
    routes.notice_fork(run, "nothing is checked")
    if run.console.is_json:
        run.console.data(json.dumps(_document([], routes.NO_SECRETS), indent=2))
    return 0


def _own(run: Run, given: Mapping[str, str]) -> _Target:
    """The inputs' own server."""
    parsed = routes.own_options(run, given)
    named = _recipients(parsed)
    return _Target(name="", options=parsed, recipients=named, hidden=_hidden(parsed))


def _targets(run: Run, given: Mapping[str, str], path: str) -> list[_Target]:
    """Each registration of the configuration file, with everybody who gets mails through it.

    Raises:
        OptionsError: With every problem.
    """
    targets: dict[object, _Target] = {}
    for route in routes.from_file(run, given, path, has_all=True):
        parsed = route.options
        server = replace(parsed.registration, to=())
        rules = (parsed.require, parsed.fail_on_error, parsed.max_recipients, route.missing)
        key = (route.name, server, parsed.transport, _sender(parsed), parsed.oauth2, rules)
        before = targets.get(key)
        everybody = (*(before.recipients if before else ()), *_recipients(parsed))
        hidden = (*(before.hidden if before else ()), *_hidden(parsed))
        targets[key] = _Target(
            name=route.name,
            options=parsed,
            recipients=_once(everybody),
            hidden=_once(hidden),
            is_attached=bool(route.id),
            missing=route.missing,
        )
    return list(targets.values())


def _recipients(parsed: Options) -> tuple[str, ...]:
    """Everybody who is named; who has yet to be looked up is not known without a run."""
    real, _ = addressing.redirected(parsed)
    return tuple(box.addr_spec for box in addressing.everybody(real))


def _hidden(parsed: Options) -> tuple[str, ...]:
    """Those of them who are nobody else's to know."""
    real, _ = addressing.redirected(parsed)
    return tuple(box.addr_spec for box in real.hidden)


def _once(addr_specs: Iterable[str]) -> tuple[str, ...]:
    return tuple(box.addr_spec for box in unique(Mailbox(addr_spec=each) for each in addr_specs))


def _sender(parsed: Options) -> str:
    return (parsed.envelope_from or parsed.registration.from_).addr_spec


def _checked(run: Run, target: _Target) -> _Checked:
    parsed = target.options
    if target.name:
        note = "" if target.is_attached else " (nothing is attached to it, so nothing is sent)"
        run.console.say(target.name + note)
    if not target.missing:
        advise(run, parsed)
    run.console.hide(*target.hidden)
    steps, shown_steps = [], []
    for step in _steps(run, target):
        steps.append(step)
        shown_steps.append(_public(step, target.hidden))
        run.console.say(_line(shown_steps[-1]))
    failure = _failure(target, shown_steps)
    sentence = _sentence(target, steps, failure)
    run.console.say(sentence)
    return _Checked(
        target=target,
        steps=tuple(steps),
        shown=tuple(shown_steps),
        failure=failure,
        sentence=sentence,
    )


def _public(step: Step, hidden: Sequence[str]) -> Step:
    """The step as logs and job summaries may show it; see `Delivery.public`."""
    if step.name != "RCPT" or step.address not in hidden:
        return step
    name = public_name(step.address, hidden)
    if step.reply is None:
        said = step.detail.replace(step.address, name)
        return replace(step, where=step.where.replace(step.address, name), detail=said)
    reply = replace(step.reply, text="")
    return replace(step, where=name, detail=f"{name}: {reply}", reply=reply)


def _steps(run: Run, target: _Target) -> Iterator[Step]:
    """The token, where there is to be one, and the dialogue."""
    parsed = target.options
    for problem in target.missing:
        yield probe.failed("options", problem)
    if target.missing:
        yield Step(name="server", state=StepState.SKIPPED, detail=probe.NOT_TRIED)
        return
    if parsed.oauth2:
        whole = parsed.transport.deadline
        try:
            parsed = authorised(run, parsed)
        except DeliveryError as error:
            yield probe.failed("token", error.problems[0])
            yield Step(name="server", state=StepState.SKIPPED, detail=probe.NOT_TRIED)
            return
        seconds = whole - parsed.transport.deadline
        said = f"an access token for {parsed.registration.user}"
        yield Step(name="token", state=StepState.OK, detail=said, seconds=seconds)
    yield from probe.check(
        _sender(parsed),
        target.recipients,
        parsed.registration,
        parsed.transport,
        size=parsed.max_recipients,
    )


def _failure(target: _Target, steps: Sequence[Step]) -> Failure | None:
    """The failure that a send would be, by what the user requires; None when it would be none."""
    if target.missing:
        return OptionsError(*target.missing)
    wrong = [each for each in steps if each.is_wrong]
    accepted = _accepted(steps)
    if not wrong or (accepted and target.options.require is Require.ANY):
        return None
    title = "A mail would not reach everybody" if accepted else "A mail would not be delivered"
    return DeliveryError(*(_problem(each, target.options) for each in wrong), title=title)


def _problem(step: Step, parsed: Options) -> Problem:
    if step.state is StepState.DEFERRED:
        seconds = parsed.transport.deadline
        again = f"A send would try it again until its deadline of {seconds:g} s, and may succeed."
        why = f"the server puts {step.name} off for now: {step.reply}"
        return Problem(step.where, why, f"{step.hint} {again}".strip())
    if step.reply:
        who = "sender" if step.name == "MAIL" else "recipient"
        return Problem(step.where, f"the server refuses this {who}: {step.reply}", step.hint)
    return Problem(step.where, step.detail, step.hint)


def _accepted(steps: Sequence[Step]) -> int:
    """How many recipients the server would take a mail for; none where the session broke off."""
    is_cut_off = steps[-1].state is StepState.SKIPPED
    if is_cut_off and any(each.is_wrong and each.reply is None for each in steps):
        return 0
    return sum(each.name == "RCPT" and each.state is StepState.OK for each in steps)


def _sentence(target: _Target, steps: Sequence[Step], failure: Failure | None) -> str:
    """What a send would do."""
    registration = target.options.registration
    who = delivery.provider(registration.host)
    server = f"{registration.host}:{registration.port}" + (f" ({who})" if who else "")
    number, total = _accepted(steps), len(target.recipients)
    if failure is not None and not number:
        later = any(each.state is StepState.DEFERRED for each in steps)
        adverb = " yet" if later else ""
        return f"A mail through {server} would not be delivered{adverb}. Nothing was sent."
    if not total:
        nobody = "nobody is named" + " before a run is" * target.is_attached
        return f"{server} would take a mail; {nobody}. Nothing was sent."
    count = f"{number}" if number == total else f"{number} of {total}"
    whom = f"{count} recipient{'s' * (total != 1)}"
    return f"A mail through {server} would go to {whom}. Nothing was sent."


def _line(step: Step) -> str:
    """A step as a person reads it; a server says several lines, which become one."""
    said = " ".join(step.detail.split())
    return f"{_GLYPHS[step.state]:{_WIDTH}}  {step.name:{_NAME_WIDTH}}  {said}"


def _markdown(checked: _Checked) -> str:
    """The steps as a table of the job summary."""
    title = f" of {message.md(checked.target.name)}" if checked.target.name else ""
    rows = [
        f"| {_GLYPHS[each.state]} | {each.name} | {message.md(' '.join(each.detail.split()))} |"
        for each in checked.shown
    ]
    hints = [
        f"- {message.md(str(each))}"
        for each in (checked.failure.problems if checked.failure else ())
    ]
    head = [f"### Check{title}", "", message.md(checked.sentence), ""]
    table = ["| | step | what was found |", "| --- | --- | --- |", *rows, ""]
    return "\n".join((*head, *table, *hints))


def _document(checked: Sequence[_Checked], skipped: str = "") -> dict[str, object]:
    """The steps as JSON."""
    return {
        "skipped": skipped or None,
        "checks": [
            {
                "name": each.target.name or None,
                "attached": each.target.is_attached,
                "host": each.target.options.registration.host,
                "port": each.target.options.registration.port,
                "provider": delivery.provider(each.target.options.registration.host) or None,
                "ok": each.failure is None,
                "sentence": each.sentence,
                "steps": [_item(step) for step in each.steps],
            }
            for each in checked
        ],
    }


def _item(step: Step) -> dict[str, object]:
    return {
        "name": step.name,
        "state": step.state.value,
        "address": step.address or None,
        "said": step.detail,
        "code": step.reply.code if step.reply else None,
        "hint": step.hint or None,
        "seconds": round(step.seconds, 3),
    }
