"""Routes that apply -> their mails, by server, and what became of each."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from chainloop_smtp import outbox
from chainloop_smtp.cli import interrupts
from chainloop_smtp.cli.login import advise, authorised
from chainloop_smtp.cli.post import failure_of, notes_of, parts, shown, together
from chainloop_smtp.cli.rendering import Renderer
from chainloop_smtp.cli.routes import Route
from chainloop_smtp.cli.run import Run
from chainloop_smtp.cli.run_facts import RunReport
from chainloop_smtp.errors import DeliveryError, MessageError, OptionsError, Problem
from chainloop_smtp.model.mail import Delivery, Mail
from chainloop_smtp.model.settings import Tls, mailbox_key

NOBODY = "nobody was found"
_SERVERS = 4  # at once
_BATCH = 100  # mails for which the deadline holds together

Failure = DeliveryError | MessageError | OptionsError
Receipts = Mapping[str, Sequence[Mapping[str, object]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one route.

    Attributes:
        note: What the mail says of why it is sent; empty: nothing.
        eml: Path of the mail; empty where there is none.
        refused_names: Those of ``refused`` as others may read them.
        skipped: Why nothing was sent on purpose; empty where something was, or should have been.
        notes: What is not as it was asked for, though the mail went.
        receipts: Its entries of the receipt, those of an earlier run included.
    """

    route: Route
    message_id: str = ""
    subject: str = ""
    summary: str = ""
    eml: str = ""
    accepted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    refused_names: tuple[str, ...] = ()
    attempts: int = 0
    server: str = ""
    skipped: str = ""
    failure: Failure | None = None
    is_interrupted: bool = False
    notes: tuple[Problem, ...] = ()
    receipts: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A mail that is being delivered, in one part or several."""

    whole: Result
    mail: Mail
    number: int
    parts: list[Delivery]


@dataclass(slots=True)
class Stop:
    """Whether the user has had enough; seen by all servers."""

    is_set: bool = False

    def set(self) -> None:
        """Lets no server begin another mail."""
        self.is_set = True


def results(
    run: Run,
    story: RunReport,
    routes: Iterable[tuple[Route, str]],
    folder: Path,
    earlier: Receipts,
) -> Iterator[Result]:
    """Sends every route's mail; one that fails stops no other.

    Args:
        routes: Those that apply, each with the note for its mail.
        earlier: Entries of the receipt of an earlier run, by Message-ID.

    Yields:
        One result for each route, as it comes.
    """
    grouped: dict[object, list[tuple[Route, str]]] = defaultdict(list)
    for route, note in routes:
        if route.missing:
            yield Result(route=route, failure=OptionsError(*route.missing))
        else:
            grouped[_server(route)].append((route, note))
    stop = Stop()
    servers = [_Server(run, story, each, folder, earlier, stop) for each in grouped.values()]
    if len(servers) == 1:
        # In this thread, where an interrupt reaches the connection itself.
        yield from servers[0].results()
    elif servers:
        yield from _side_by_side(servers, stop)


def _server(route: Route) -> object:
    """What two routes share that may share a connection."""
    registration = route.options.registration
    login = (registration.host, registration.port, registration.user, registration.password)
    return (*login, route.options.transport, route.options.oauth2)


def _side_by_side(servers: "list[_Server]", stop: Stop) -> Iterator[Result]:
    """The results of all servers, in the order of their coming."""
    from queue import SimpleQueue
    from threading import Thread

    waiting = deque(servers)
    done: SimpleQueue[Result | Exception | None] = SimpleQueue()

    def work() -> None:
        try:
            while waiting:
                for result in waiting.popleft().results():
                    done.put(result)
        except Exception as error:  # noqa: BLE001  # raised again by the thread that waits
            done.put(error)
        finally:
            done.put(None)

    threads = [Thread(target=work, daemon=True) for _ in range(min(_SERVERS, len(servers)))]
    left, bug = len(threads), None
    # The first signal lets every server end its mail; the second ends it all.
    with interrupts.stopping(stop.set):
        for thread in threads:
            thread.start()
        while left:
            result = done.get()
            if isinstance(result, Result):
                yield result
            elif result is None:
                left -= 1
            else:
                bug = result
    if bug:
        raise bug


class _Server:
    """One server and the routes through it."""

    def __init__(
        self,
        run: Run,
        story: RunReport,
        routes: list[tuple[Route, str]],
        folder: Path,
        earlier: Receipts,
        stop: Stop,
    ) -> None:
        self._run = run
        self._story = story
        self._routes = routes
        self._folder = folder
        self._earlier = earlier
        self._stop = stop
        self._told: dict[object, str] = {}
        self._under_way: dict[str, _UnderWay] = {}
        self._ended: list[Result] = []
        self._failure: Failure | None = None
        self._last_failure: Failure | None = None

    def results(self) -> Iterator[Result]:
        """One for each route."""
        first = self._routes[0][0].options
        try:
            advise(self._run, first)
            if first.transport.tls is Tls.NONE:
                host = first.registration.host
                self._run.console.warning(
                    "no TLS", f"Mails to {host} travel in clear: tls is none."
                )
            first = authorised(self._run, first)
        except DeliveryError as error:
            self._failure = error
        mails = self._mails()
        for mail in mails:
            is_alive = False
            batch = chain((mail,), islice(mails, _BATCH - 1))
            for delivery in self._run.deliver_all(
                batch, first.registration, first.transport, notify=self._run.console.say
            ):
                is_alive |= any(result.reply for result in delivery.results) or bool(
                    delivery.accepted
                )
                self._stop.is_set |= delivery.is_interrupted
                self._settle(delivery)
                yield from self._drained()
            if not is_alive:
                # Nobody answered; what is left is not worth as many deadlines.
                self._failure = self._last_failure
        yield from self._drained()

    def _mails(self) -> Iterator[Mail]:
        """The mails to hand over, each made when there is room for it, and left as a file."""
        teller = Renderer(self._run, self._story)
        for route, note in self._routes:
            try:
                mail = teller.mail(route.options, route.templates, note, route.id)
                whole = Result(
                    route=route,
                    message_id=mail.message_id,
                    subject=mail.subject,
                    summary=mail.summary,
                    eml=str(outbox.write_mail(self._folder, mail)),
                )
            except (MessageError, OptionsError) as error:
                self._ended.append(Result(route=route, failure=error))
                continue
            whole = replace(whole, receipts=tuple(self._earlier.get(mail.message_id, ())))
            recipients, skipped = self._left(route, mail, outbox.accepted(whole.receipts))
            if not recipients:
                self._ended.append(replace(whole, skipped=skipped))
            elif self._failure:
                self._ended.append(replace(whole, failure=self._failure))
            elif self._stop.is_set:
                stopped = DeliveryError(Problem("delivery", "interrupted before it was sent"))
                self._ended.append(replace(whole, failure=stopped, is_interrupted=True))
            else:
                yield from self._parts(whole, replace(mail, recipients=recipients))

    def _left(
        self, route: Route, mail: Mail, before: frozenset[str]
    ) -> tuple[tuple[str, ...], str]:
        """Recipients who do not have this very mail yet; and why, if there are none."""
        left, skipped = [], "sent before, as the receipt says" if before else NOBODY
        parsed = route.options
        # In a rehearsal one mailbox gets what would have gone to several.
        said = (parsed.composition, parsed.registration.from_, mail.sender, mail.intended)
        for recipient in mail.recipients:
            key = (said, mailbox_key(recipient))
            if key[1] in before:
                continue
            if key in self._told:
                skipped = f"the same mail goes there by {self._told[key]}"
            else:
                self._told[key] = route.place
                left.append(recipient)
        return tuple(left), skipped

    def _parts(self, whole: Result, mail: Mail) -> Iterator[Mail]:
        """The mail once, or once for as many recipients as go into one transaction."""
        wanted = parts(mail, whole.route.options.max_recipients)
        bare = replace(mail, text="", html="", summary="")
        self._under_way[mail.message_id] = _UnderWay(whole, bare, len(wanted), [])
        yield from wanted

    def _settle(self, part: Delivery) -> None:
        """Keeps a delivery, and makes a result of it once its mail is through."""
        under_way = self._under_way[part.mail.message_id]
        under_way.parts.append(part)
        if len(under_way.parts) == under_way.number:
            del self._under_way[part.mail.message_id]
            result = _result(under_way)
            self._last_failure = result.failure or self._last_failure
            self._ended.append(result)

    def _drained(self) -> Iterator[Result]:
        while self._ended:
            yield self._ended.pop(0)


def _result(under_way: _UnderWay) -> Result:
    """What became of a mail, its parts taken together."""
    options = under_way.whole.route.options
    delivery = together(under_way.mail, under_way.parts)
    return replace(
        under_way.whole,
        accepted=delivery.accepted,
        refused=tuple(each.recipient for each in delivery.refused),
        refused_names=tuple(
            shown(each.recipient, delivery.mail.hidden) for each in delivery.refused
        ),
        attempts=delivery.attempts,
        server=delivery.server,
        failure=failure_of(delivery, options.require),
        is_interrupted=delivery.is_interrupted,
        notes=notes_of(delivery),
        receipts=(
            *under_way.whole.receipts,
            outbox.receipt_entry(options.registration, delivery),
        ),
    )
