"""The command ``check``: each step of a delivery, but for the mail itself."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from chainloop_smtp import addressing, delivery, message
from chainloop_smtp.cli import routes
from chainloop_smtp.cli.deliver import advise, authorised
from chainloop_smtp.cli.interrupts import INTERRUPTED
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
        recipients: addr-specs of everybody who is named, each once; who has yet to be looked up is
            not known without a run.
        hidden: Those of them whom only bcc names.
        is_attached: Some run may be mailed through it.
        missing: Variables that are not set; while there are any, nothing can be tried.
    """

    name: str = ""
    options: Options
    recipients: tuple[str, ...]
    hidden: tuple[str, ...]
    is_attached: bool = True
    missing: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _ServerCheck:
    """The steps at one server, and what a send would do there."""

    target: _Target
    steps: tuple[Step, ...]
    failure: Failure | None
    sentence: str


def check(run: Run) -> int:
    """Try each server that a send could use, and say what that send would do.

    Raises:
        DeliveryError: It would fail.
        OptionsError: It could not even try.
    """
    given = run.inputs()
    path = routes.file_of(run, given)
    if not path and routes.is_fork(run) and not routes.can_log_in(run, given):
        return _skipped(run)
    targets = _targets(run, given, path) if path else [_target(routes.own_options(run, given))]
    if not targets and routes.is_fork(run):
        return _skipped(run)
    if not targets:
        run.console.warning("nothing to check", f"There are no registrations in {path}.")
    elif not any(each.is_attached for each in targets) and not routes.is_fork(run):
        text = f"There are no attachments in {path}, so nothing is sent."
        run.console.warning("nothing is attached", text)
    is_alone = len(targets) == 1
    try:
        checked = [_check(run, target, is_alone=is_alone) for target in targets]
    except KeyboardInterrupt:
        run.console.say("Interrupted. Nothing was sent.")
        return INTERRUPTED
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
    title = first.title
    if isinstance(first, DeliveryError) and not is_alone:
        title = f"{len(required)} of {len(checked)} checks failed"
    raise type(first)(*problems, title=title)


def _skipped(run: Run) -> int:
    routes.notice_fork(run, "nothing is checked")
    if run.console.is_json:
        run.console.data(json.dumps(_document([], routes.NO_SECRETS), indent=2))
    return 0


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
        target = replace(
            _target(parsed), name=route.name, is_attached=bool(route.id), missing=route.missing
        )
        if before := targets.get(key):
            target = replace(
                target,
                recipients=_once((*before.recipients, *target.recipients)),
                hidden=_once((*before.hidden, *target.hidden)),
            )
        targets[key] = target
    return list(targets.values())


def _target(parsed: Options) -> _Target:
    real, _ = addressing.redirect(parsed)
    return _Target(
        options=parsed,
        recipients=tuple(box.addr_spec for box in addressing.everybody(real)),
        hidden=tuple(box.addr_spec for box in real.hidden),
    )


def _once(addr_specs: Iterable[str]) -> tuple[str, ...]:
    return tuple(box.addr_spec for box in unique(Mailbox(addr_spec=each) for each in addr_specs))


def _sender(parsed: Options) -> str:
    return (parsed.envelope_from or parsed.registration.from_).addr_spec


def _check(run: Run, target: _Target, *, is_alone: bool) -> _ServerCheck:
    if target.name:
        note = "" if target.is_attached else " (nothing is attached to it, so nothing is sent)"
        run.console.say(target.name + note)
    if not target.missing:
        advise(run, target.options)
    run.console.hide(*target.hidden)
    steps = []
    for step in _steps(run, target):
        steps.append(step)
        # A server says several lines, which become one.
        detail = " ".join(_public(step, target.hidden).detail.split())
        glyph = f"{_GLYPHS[step.state]:{_WIDTH}}"
        run.console.say(f"{glyph}  {step.name:{_NAME_WIDTH}}  {detail}")
    failure = _failure(target, steps)
    sentence = _sentence(target, steps, failure)
    if isinstance(failure, DeliveryError) and is_alone:
        failure = DeliveryError(*failure.problems, title=sentence.removesuffix("."))
    else:
        run.console.say(sentence)
    return _ServerCheck(target=target, steps=tuple(steps), failure=failure, sentence=sentence)


def _public(step: Step, hidden: Sequence[str]) -> Step:
    """The step as logs and job summaries may show it; see `Delivery.public`."""
    if step.address not in hidden:
        return step
    name = public_name(step.address, hidden)
    if step.reply is None:
        detail = step.detail.replace(step.address, name)
        return replace(step, where=step.where.replace(step.address, name), detail=detail)
    reply = replace(step.reply, text="")
    return replace(step, where=name, detail=f"{name}: {reply}", reply=reply)


def _steps(run: Run, target: _Target) -> Iterator[Step]:
    """The token, where there is to be one, and the dialogue."""
    parsed = target.options
    failures = [probe.failed("options", each) for each in target.missing]
    if parsed.oauth2 and not failures:
        try:
            parsed = authorised(run, parsed)
        except DeliveryError as error:
            failures = [probe.failed("token", error.problems[0])]
        else:
            seconds = target.options.transport.deadline - parsed.transport.deadline
            detail = f"an access token for {parsed.registration.user}"
            yield Step(name="token", state=StepState.OK, detail=detail, seconds=seconds)
    if failures:
        yield from failures
        yield Step(name="server", state=StepState.SKIPPED, detail=probe.NOT_TRIED)
        return
    yield from probe.check(
        _sender(parsed),
        target.recipients,
        parsed.registration,
        parsed.transport,
        size=parsed.max_recipients,
    )


def _failure(target: _Target, steps: Sequence[Step]) -> Failure | None:
    """How a send would fail, by what the user requires; None where it would not."""
    if target.missing:
        return OptionsError(*target.missing)
    wrong = [_public(each, target.hidden) for each in steps if each.is_wrong]
    accepted = _accepted(steps)
    if not wrong or (accepted and target.options.require is Require.ANY):
        return None
    problems = (_problem(each, target.options) for each in wrong)
    return DeliveryError(*problems, title="The check failed")


def _problem(step: Step, parsed: Options) -> Problem:
    if step.state is StepState.DEFERRED:
        seconds = parsed.transport.deadline
        again = f"A send would retry until its deadline of {seconds:g} s, and may succeed."
        why = f"the server deferred {step.name}: {step.reply}"
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
    registration = target.options.registration
    who = delivery.provider(registration.host)
    server = f"{registration.host}:{registration.port}" + (f" ({who})" if who else "")
    number, total = _accepted(steps), len(target.recipients)
    if failure is not None and not number:
        later = any(each.state is StepState.DEFERRED for each in steps)
        adverb = " yet" if later else ""
        return f"A mail through {server} would not be delivered{adverb}. Nothing was sent."
    if not total:
        nobody = (
            "its recipients depend on the run" if target.is_attached else "no recipients are set"
        )
        return f"{server} would take a mail; {nobody}. Nothing was sent."
    count = f"{number}" if number == total else f"{number} of {total}"
    whom = f"{count} recipient{'s' * (total != 1)}"
    return f"A mail through {server} would go to {whom}. Nothing was sent."


def _markdown(checked: _ServerCheck) -> str:
    """The steps as a table of the job summary."""
    title = f" of {message.md(checked.target.name)}" if checked.target.name else ""
    rows = [
        f"| {_GLYPHS[each.state]} | {each.name} | {message.md(' '.join(each.detail.split()))} |"
        for each in (_public(step, checked.target.hidden) for step in checked.steps)
    ]
    problems = checked.failure.problems if checked.failure else ()
    hints = [f"- {message.md(str(each))}" for each in problems]
    head = [f"### Check{title}", "", message.md(checked.sentence), ""]
    table = ["| | step | what was found |", "| --- | --- | --- |", *rows, ""]
    return "\n".join((*head, *table, *hints))


def _document(checked: Sequence[_ServerCheck], skipped: str = "") -> dict[str, object]:
    checks = []
    for each in checked:
        registration = each.target.options.registration
        checks.append(
            {
                "name": each.target.name or None,
                "attached": each.target.is_attached,
                "host": registration.host,
                "port": registration.port,
                "provider": delivery.provider(registration.host) or None,
                "ok": each.failure is None,
                "sentence": each.sentence,
                "steps": [_item(step) for step in each.steps],
            }
        )
    return {"skipped": skipped or None, "checks": checks}


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
