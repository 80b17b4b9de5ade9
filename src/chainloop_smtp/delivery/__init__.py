"""Mails -> deliveries. The only stage that opens an SMTP connection.

The story of one submission (RFC 6409): a `session` is connected, greeted, secured and logged in; a
`visit` carries letters over it, each in a `transaction`; a `dispatch` does so over several
connections at once. Here is what comes after: who has to be tried again, and when.

What became of a mail is data, whatever it is: nothing that a server or a network can do raises.
"""

from collections.abc import Callable, Iterable, Iterator

from chainloop_smtp.delivery.clock import Clock, Deadline
from chainloop_smtp.delivery.dialing import place
from chainloop_smtp.delivery.hints import provider
from chainloop_smtp.delivery.queue import QueuedMessage
from chainloop_smtp.delivery.session import IMPLICIT_TLS_PORTS, EarlyConnection
from chainloop_smtp.delivery.submission import Submitter
from chainloop_smtp.delivery.tls import check_files
from chainloop_smtp.model.mail import Delivery, Mail
from chainloop_smtp.model.settings import Registration, Transport

__all__ = [
    "IMPLICIT_TLS_PORTS",
    "Clock",
    "EarlyConnection",
    "check_files",
    "provider",
    "send",
    "send_all",
]

_ATTEMPTS = 12  # in a row that bring nobody the mail; the deadline is usually over before
_LONGEST_PAUSE = 30.0  # seconds
_LONGEST_ABSENCE = 20.0  # seconds in which nobody ever takes a connection
_CLOCK = Clock()

Notify = Callable[[str], None]


def send(
    mail: Mail,
    registration: Registration,
    transport: Transport,
    *,
    attempts: int = _ATTEMPTS,
    clock: Clock = _CLOCK,
    notify: Notify = lambda _: None,
    ahead: EarlyConnection | None = None,
) -> Delivery:
    """Submits one mail: `send_all` with one.

    Raises:
        OptionsError: A file of the TLS options is not usable.
    """
    (delivery,) = send_all(
        (mail,),
        registration,
        transport,
        attempts=attempts,
        clock=clock,
        notify=notify,
        ahead=ahead,
    )
    return delivery


def send_all(
    mails: Iterable[Mail],
    registration: Registration,
    transport: Transport,
    *,
    connections: int = 1,
    attempts: int = _ATTEMPTS,
    clock: Clock = _CLOCK,
    notify: Notify = lambda _: None,
    ahead: EarlyConnection | None = None,
) -> Iterator[Delivery]:
    """Submits mails to one server, over as few connections and round trips as it allows.

    What is deferred (a 4xx, a timeout, a dropped connection) is tried again with growing pauses,
    for the recipients concerned only, until ``transport.deadline``, which bounds everything from
    here on. Each attempt prefers an address of the host that has not failed yet; a host at which
    nobody ever listened is given up after 20 seconds. What is refused (5xx) is not tried again, and
    neither is a mail whose end the server has not answered: it may have been taken. Some replies
    mean the opposite of their first digit: ``hints.toml`` lists them.

    Args:
        mails: Taken one by one, as there is room for them on the wire. With more than one
            connection they are taken from other threads, one at a time.
        connections: At once, at most. A server that allows fewer is asked for fewer.
        attempts: At most, in a row that bring a mail nobody.
        notify: Gets a sentence each time that something is tried again.
        ahead: To the same server, for the first mail; the deadline is its own. Only with one
            connection. None: connecting begins when there is a mail.

    Yields:
        One delivery for each mail, as soon as there is nothing more to try; their order is that of
        their ends. `Delivery.mail` tells which mail it is. After an interrupt (Ctrl-C) all that is
        left comes at once, with `Delivery.is_interrupted`, and nothing more is sent.

    Raises:
        OptionsError: A file of the TLS options is not usable.
    """
    where = place(registration.host, registration.port)
    deadline = (
        ahead.deadline
        if ahead
        else Deadline(transport.deadline, transport.timeout, where, clock.seconds)
    )
    dispatch = Submitter(registration, transport, deadline, clock, connections, ahead)
    letters: Iterator[QueuedMessage] = map(QueuedMessage, mails)
    fruitless = 0
    while True:
        again: list[QueuedMessage] = []
        for letter in dispatch.round(letters):
            letter.is_interrupted = dispatch.is_interrupted
            if letter.waiting and not dispatch.is_interrupted:
                again.append(letter)
            else:
                yield letter.delivery()
        if not again:
            return
        if dispatch.is_interrupted:
            break
        is_crowd = any(letter.is_crowd for letter in again)
        fruitless = 0 if is_crowd else fruitless + 1
        pause = 0.0 if is_crowd or dispatch.moves_on else _pause(fruitless, clock.chance())
        if dispatch.is_unreachable:
            absence = _LONGEST_ABSENCE - deadline.spent
            if absence < 1:
                break
            pause = min(pause, absence)
        try:
            if fruitless < attempts and pause < deadline.left:
                notify(_announcement(where, again, pause))
                clock.sleep(pause)
        except KeyboardInterrupt:
            dispatch.is_interrupted = True
            break
        if fruitless >= attempts or pause >= deadline.left:
            break
        # Those that were under way when a connection broke come last: they may be the reason.
        letters = iter(sorted(again, key=lambda letter: len(letter.tries)))
    for letter in again:
        letter.is_interrupted = dispatch.is_interrupted
        yield (letter if letter.tries else dispatch.give_up(letter)).delivery()


def _pause(fruitless: int, chance: float) -> float:
    """Seconds before the next attempt: doubled each time, and never the same for two clients.

    Args:
        fruitless: Attempts so far, at least 1.
    """
    return min(2.0 ** (fruitless - 1), _LONGEST_PAUSE) * (0.5 + chance / 2)


def _announcement(where: str, letters: list[QueuedMessage], pause: float) -> str:
    """What is tried again, where, when, and why."""
    attempt = letters[0].tries[-1] if letters[0].tries else None
    results = letters[0].delivery().refused
    why = attempt.why if attempt and attempt.why else ""
    why = why or (f"{results[0].recipient}: {results[0].reason}" if results else "no connection")
    # Once is enough, and at the end it is said again.
    hint = f" {attempt.hint}" if attempt and attempt.hint and len(letters[0].tries) == 1 else ""
    number = len(letters)
    what = "1 mail" if number == 1 else f"{number} mails"
    when = f"in {pause:.0f} s" if pause else "now"
    return f"Not delivered yet: {where}: {why}.{hint} Trying {what} again {when}."
