"""What became of a mail -> its failure, its warnings, and one sentence on it."""

from collections.abc import Mapping

from chainloop_smtp.cli.routes import PlannedMail, Route
from chainloop_smtp.errors import DeliveryError, MessageError, OptionsError, Problem
from chainloop_smtp.model.frozen import dataclass
from chainloop_smtp.model.mail import Delivery, Mail, RecipientResult, RecipientStatus
from chainloop_smtp.model.settings import Require

Failure = DeliveryError | MessageError | OptionsError
Entry = Mapping[str, object]
"""One entry of the receipt."""


NOT_MADE = Delivery(
    mail=Mail(sender="", recipients=(), message_id="", subject="", content=b"", text="", html=""),
    results=(),
)
"""Stands in where there is no mail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteResult:
    """What became of one planned mail.

    Attributes:
        delivery: Of its mail; with no results where nothing was tried.
        eml: Path of the mail; empty where it is not written.
        entries: Of the receipt, those of an earlier run included.
        skipped: Why nothing was sent on purpose; empty where something was, or should have been.
    """

    planned: PlannedMail
    delivery: Delivery = NOT_MADE
    eml: str = ""
    entries: tuple[Entry, ...] = ()
    skipped: str = ""
    failure: Failure | None = None

    @property
    def route(self) -> Route:
        """Where its mail goes."""
        return self.planned.route

    @property
    def mail(self) -> Mail:
        """Its mail; one without a Message-ID where there is none."""
        return self.delivery.mail


def warnings_of(delivery: Delivery) -> tuple[Problem, ...]:
    """What is not as it was asked for, though the mail went: once for each server."""
    notes = (Problem(each.server, note) for each in delivery.transactions for note in each.notes)
    return tuple(dict.fromkeys(notes))


def failure_of(delivery: Delivery, require: Require) -> DeliveryError | None:
    """The failure that a delivery is, by what the user requires; None when it is none."""
    delivery = delivery.public()
    missed = [each for each in delivery.results if each.status is not RecipientStatus.ACCEPTED]
    if not missed or (delivery.accepted and require is Require.ANY):
        return None
    problems = []
    last = delivery.transactions[-1] if delivery.transactions else None
    if last and last.why:
        problems.append(Problem(last.server, last.why, last.hint))
    unknown = delivery.with_status(RecipientStatus.UNKNOWN)
    is_unknown = len(unknown) == len(delivery.results)
    if unknown:
        whom = "" if is_unknown else f" for {', '.join(each.recipient for each in unknown)}"
        problems.append(
            Problem(
                last.server if last else "delivery",
                f"whether the server took the mail {delivery.mail.message_id}{whom} is not known",
                "It was sent but not confirmed. Look for it in the mailbox or in the server's log "
                "before you send it again.",
            )
        )
    # The reason of the whole attempt is not repeated for each recipient; an empty one is left out.
    known = last.why if last else ""
    problems += [
        _problem(each, delivery.attempts)
        for each in missed
        if each.reason not in known and each.status is not RecipientStatus.UNKNOWN
    ]
    if delivery.accepted:
        number = len(delivery.accepted)
        others = "the other recipient" if number == 1 else f"the other {number} recipients"
        hint = "Set require: any if this is enough."
        if delivery.with_status(RecipientStatus.REFUSED):
            hint = "Correct the addresses, or set require: any if this is enough."
        elif not unknown:
            hint = "Run the job again later, or set require: any if this is enough."
        problems.append(Problem("delivery", f"the mail went to {others}", hint))
    title = ""
    if delivery.accepted:
        title = "The mail did not reach all recipients"
    elif is_unknown:
        title = "It is not known whether the mail was delivered"
    problems = problems or [Problem("delivery", "there was no time to try it")]
    return DeliveryError(*problems, title=title)


def _problem(result: RecipientResult, attempts: int) -> Problem:
    """What to say about one recipient who did not get the mail."""
    if result.status is RecipientStatus.DEFERRED:
        times = "once" if attempts == 1 else f"{attempts} times"
        why = f"the server deferred this recipient: {result.reason}"
        again = f"It was tried {times}. Run the job again later, or raise deadline."
        return Problem(result.recipient, why, f"{result.hint} {again}".strip())
    why = f"the server refused this recipient: {result.reply}" if result.reply else result.why
    return Problem(result.recipient, why, result.hint)


def sentence(delivery: Delivery) -> str:
    """What became of the mail, fit for a log and for Markdown."""
    unknown = delivery.with_status(RecipientStatus.UNKNOWN)
    others = ", ".join(
        f"{len(results)} {word}"
        for word, results in (
            ("refused", delivery.with_status(RecipientStatus.REFUSED)),
            ("deferred", delivery.with_status(RecipientStatus.DEFERRED)),
            ("not known", unknown),
        )
        if results
    )
    number = len(delivery.accepted)
    if delivery.is_interrupted:
        rest = f"; {others}" if others else ""
        return f"Interrupted: sent to {number} of {len(delivery.results)}{rest}."
    if not number:
        if len(unknown) == len(delivery.results):
            return "It is not known whether the mail was delivered."
        return "The mail was not delivered."
    security = ", ".join(filter(None, (delivery.tls or "no TLS", delivery.mechanism)))
    tries = "" if delivery.attempts == 1 else f" and {delivery.attempts} attempts"
    return (
        f"Sent to {number} recipient{'s' * (number != 1)} through {delivery.server} ({security}) "
        f"in {delivery.duration:.2f} s{tries}." + (f" Not delivered: {others}." if others else "")
    )
