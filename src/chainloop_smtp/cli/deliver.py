"""Planned mails -> the mails, by server, and what became of each."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

from chainloop_smtp import outbox
from chainloop_smtp.background import BackgroundCall
from chainloop_smtp.cli import interrupts
from chainloop_smtp.cli.rendering import Renderer
from chainloop_smtp.cli.results import NOT_MADE, Entry, Failure, RouteResult, failure_of
from chainloop_smtp.cli.routes import Planned, PlannedMail, Route
from chainloop_smtp.cli.run import Run
from chainloop_smtp.delivery import EarlyConnection
from chainloop_smtp.errors import DeliveryError, MessageError, OptionsError, Problem
from chainloop_smtp.model.mail import Delivery, Mail, merge_deliveries
from chainloop_smtp.model.settings import Auth, Options, Tls, mailbox_key

NOBODY = "nobody was found"
_SERVERS = 4  # at once
_BATCH = 100  # mails for which the deadline holds together
_MICROSOFT_365 = ("smtp.office365.com", "outlook.office365.com")
_TOKEN_MECHANISMS = (Auth.XOAUTH2, Auth.OAUTHBEARER)

Earlier = Mapping[str, Sequence[Entry]]
"""Entries of the receipt of an earlier run, by Message-ID."""


@dataclass(slots=True)
class Stop:
    """Whether the user has had enough; seen by all servers."""

    is_set: bool = False

    def set(self) -> None:
        """Let no server begin another mail."""
        self.is_set = True


def results(run: Run, wanted: Planned, folder: Path, earlier: Earlier) -> Iterator[RouteResult]:
    """Send every mail; one that fails stops no other.

    Args:
        wanted: Mails whose route applies.

    Yields:
        One result for each mail, as it comes.
    """
    grouped: dict[object, list[PlannedMail]] = defaultdict(list)
    for planned in wanted:
        if planned.route.missing:
            yield RouteResult(planned=planned, failure=OptionsError(*planned.route.missing))
        else:
            grouped[_server_key(planned.route)].append(planned)
    stop = Stop()
    servers = [Server(run, each, folder, earlier, stop) for each in grouped.values()]
    if len(servers) == 1:
        # In this thread, where an interrupt reaches the connection itself.
        yield from servers[0].results()
    elif servers:
        yield from _side_by_side(servers, stop)


def _server_key(route: Route) -> object:
    """What two routes share that may share a connection."""
    registration = route.options.registration
    host = _canonical(registration.host)
    login = (host, registration.port, registration.user, registration.password)
    return (*login, route.options.transport, route.options.oauth2)


def _canonical(host: str) -> str:
    """The same for all spellings of a host name."""
    return host.lower().removesuffix(".")


def _side_by_side(servers: "list[Server]", stop: Stop) -> Iterator[RouteResult]:
    """The results of all servers, in the order of their coming."""
    from queue import SimpleQueue

    waiting = iter(servers)
    done: SimpleQueue[RouteResult | None] = SimpleQueue()

    def work() -> None:
        try:
            # The iterator is shared, so each server goes to one thread.
            for server in waiting:
                for result in server.results():
                    done.put(result)
        finally:
            done.put(None)

    # The first signal lets every server end its mail; the second ends it all.
    with interrupts.stopping(stop.set):
        calls = [BackgroundCall(work) for _ in range(min(_SERVERS, len(servers)))]
        left = len(calls)
        while left:
            result = done.get()
            if result is None:
                left -= 1
            else:
                yield result
    for call in calls:
        call.result()


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A mail that is being delivered, in one part or several."""

    result: RouteResult
    number: int
    parts: list[Delivery] = field(default_factory=list)


class Server:
    """One server, and the mails that go through it."""

    def __init__(
        self,
        run: Run,
        wanted: Planned,
        folder: Path,
        earlier: Earlier,
        stop: Stop,
    ) -> None:
        self._run = run
        self._wanted = wanted
        self._folder = folder
        self._earlier = earlier
        self._stop = stop
        self._renderer = Renderer(run, wanted[0].report)
        self._options = wanted[0].route.options
        self._places: dict[object, str] = {}
        self._under_way: dict[str, _UnderWay] = {}
        self._ended: list[RouteResult] = []
        self._failure: Failure | None = None
        self._last_failure: Failure | None = None

    def results(self) -> Iterator[RouteResult]:
        """Send all mails; yield one result for each."""
        advise(self._run, self._options)
        if self._options.transport.tls is Tls.NONE:
            host = self._options.registration.host
            self._run.console.warning(
                "no TLS", f"Mails to {host} are sent without encryption: tls is none."
            )
        self._failure = self._log_in()
        yield from self._deliver(self._pending())

    def render(self, planned: PlannedMail) -> RouteResult:
        """Make the mail.

        Raises:
            MessageError: As `Renderer.mail`.
            OptionsError: The same.
        """
        # The mails come run by run, so nothing of an earlier run is needed again.
        self._renderer = self._renderer.of(planned.report)
        mail = self._renderer.mail(planned)
        entries = tuple(self._earlier.get(mail.message_id, ()))
        untried = Delivery(mail=mail, results=())
        return RouteResult(planned=planned, delivery=untried, entries=entries)

    def write(self, result: RouteResult) -> RouteResult:
        """Leave the mail as a file.

        Raises:
            OptionsError: The folder cannot be written to.
        """
        # Outside of a CI run, a mail that is made again has another Message-ID.
        keeps_others = bool(result.planned.report.facts.job.run_id)
        eml = outbox.write_mail(self._folder, result.mail, keeps_others=keeps_others)
        mail = replace(result.mail, stem=eml.stem)
        return replace(result, eml=str(eml), delivery=replace(result.delivery, mail=mail))

    def remaining(self, result: RouteResult) -> RouteResult:
        """Take out the recipients who have this very mail already; skip it if nobody is left."""
        mail, parsed = result.mail, result.route.options
        before, reached = outbox.accepted(result.entries), result.planned.reached
        skipped = "already sent, according to the receipt" if before else NOBODY
        if reached:
            skipped = "already sent, according to the state file"
        # Redirected, one mailbox gets what would have gone to several.
        from_ = parsed.registration.from_
        sender = (from_.name, from_.key, mailbox_key(mail.sender))
        content = (parsed.composition, *sender, result.planned.report.number, mail.intended)
        left = []
        for recipient in mail.recipients:
            key = (content, mailbox_key(recipient))
            if key[1] in before or _is_reached(key[1], reached):
                continue
            if key in self._places:
                skipped = f"the same mail goes there by {self._places[key]}"
            else:
                self._places[key] = result.route.place
                left.append(recipient)
        if not left:
            return replace(result, skipped=skipped)
        rest = Delivery(mail=replace(mail, recipients=tuple(left)), results=())
        return replace(result, delivery=rest)

    def send(self, result: RouteResult, early: EarlyConnection | None) -> RouteResult:
        """Send one mail.

        Args:
            result: From `remaining`.
            early: A connection that is on its way already.
        """
        if failure := self._log_in():
            return replace(entered(result), failure=failure)
        (result,) = self._deliver([result], early)
        return result

    def _log_in(self) -> DeliveryError | None:
        """Get the token that stands in for a password, where there is one; say why it fails."""
        try:
            self._options = authorised(self._run, self._options)
        except DeliveryError as error:
            return error
        return None

    def _deliver(
        self, pending: Iterable[RouteResult], early: EarlyConnection | None = None
    ) -> Iterator[RouteResult]:
        """Hand the mails over, each as soon as there is room for it."""
        registration, transport = self._options.registration, self._options.transport
        parts = chain.from_iterable(map(self._parts, pending))
        # A mail alone has the whole deadline, in however many parts it goes.
        further = _BATCH - 1 if len(self._wanted) > 1 else None
        for part in parts:
            is_alive = False
            batch = chain((part,), islice(parts, further))
            for delivery in self._run.deliver(
                batch, registration, transport, notify=self._run.console.say, early=early
            ):
                is_alive |= any(result.reply for result in delivery.results)
                self._stop.is_set |= delivery.is_interrupted
                self._record(delivery)
                yield from self._drained()
            if not is_alive:
                # Nobody answered; what is left is not worth as many deadlines.
                self._failure = self._last_failure
        yield from self._drained()

    def _pending(self) -> Iterator[RouteResult]:
        """The mails to hand over, each made when there is room for it, and left as a file."""
        for planned in self._wanted:
            try:
                result = self.remaining(self.write(self.render(planned)))
            except (MessageError, OptionsError) as error:
                self._ended.append(RouteResult(planned=planned, failure=error))
                continue
            if result.skipped:
                self._ended.append(without_content(result))
            elif self._failure:
                self._ended.append(replace(without_content(result), failure=self._failure))
            elif self._stop.is_set:
                stopped = DeliveryError(Problem("delivery", "interrupted before it was sent"))
                interrupted = replace(result.delivery, is_interrupted=True)
                result = replace(result, delivery=interrupted, failure=stopped)
                self._ended.append(without_content(result))
            else:
                yield result

    def _parts(self, result: RouteResult) -> Iterator[Mail]:
        """The mail once, or once for as many recipients as go into one transaction."""
        parts = result.mail.split(result.route.options.max_recipients)
        self._under_way[result.mail.message_id] = _UnderWay(result, len(parts))
        yield from parts

    def _record(self, part: Delivery) -> None:
        """Keep a delivery, and make a result of it once its mail is through."""
        under_way = self._under_way[part.mail.message_id]
        under_way.parts.append(part)
        if len(under_way.parts) < under_way.number:
            return
        result = self._under_way.pop(part.mail.message_id).result
        delivery = merge_deliveries(result.mail, under_way.parts)
        failure = failure_of(delivery, result.route.options.require)
        self._last_failure = failure or self._last_failure
        result = entered(replace(result, delivery=delivery, failure=failure))
        self._ended.append(without_content(result))

    def _drained(self) -> Iterator[RouteResult]:
        while self._ended:
            yield self._ended.pop(0)


def _is_reached(mailbox: str, reached: frozenset[str]) -> bool:
    if not reached:
        return False
    # Imported here: only a schedule needs it.
    from chainloop_smtp import state_file

    return state_file.digest_of(mailbox) in reached


def entered(result: RouteResult) -> RouteResult:
    """The same with its delivery's entry of the receipt."""
    entry = outbox.receipt_entry(result.route.options.registration, result.delivery)
    return replace(result, entries=(*result.entries, entry))


def without_content(result: RouteResult) -> RouteResult:
    """The same without what its mail weighs: there may be a thousand of them."""
    mail = replace(result.mail, content=b"", international=b"", text="", html="", parts=())
    return replace(result, delivery=replace(result.delivery, mail=mail))


def left_behind(planned: PlannedMail) -> RouteResult:
    """The result of a mail of which an interrupt has left none."""
    why = "interrupted; its mail may have been sent"
    title = "It is not known whether the mail was delivered"
    failure = DeliveryError(Problem("delivery", why), title=title)
    interrupted = replace(NOT_MADE, is_interrupted=True)
    return RouteResult(planned=planned, delivery=interrupted, failure=failure)


# --- the login ---------------------------------------------------------------------------------


def authorised(run: Run, parsed: Options) -> Options:
    """Fetch an access token, where the options ask for one instead of a password.

    Returns:
        What `delivery` needs to log in. The time that the token took comes off the deadline.

    Raises:
        DeliveryError: There is no token to be had.
    """
    if parsed.oauth2 is None:
        return parsed
    # Imported here: slow to load, and most servers take a password.
    from chainloop_smtp import token

    registration, transport = parsed.registration, parsed.transport
    access = token.fetch(
        parsed.oauth2, registration.user, run.environ, transport.timeout, transport.deadline
    )
    run.console.mask(registration.user, access.value)
    left = max(transport.deadline - access.network_seconds, 0.001)
    return replace(
        parsed,
        registration=replace(registration, password=access.value),
        transport=replace(transport, deadline=left),
    )


def advise(run: Run, parsed: Options) -> None:
    """Say what a server's operator will soon refuse."""
    registration, auth = parsed.registration, parsed.transport.auth
    host = _canonical(registration.host)
    if host in _MICROSOFT_365 and registration.password and auth not in _TOKEN_MECHANISMS:
        run.console.notice(
            "Microsoft 365 requires OAuth",
            "From the end of December 2026, Microsoft 365 refuses passwords for SMTP unless an "
            "administrator allows them again. Set oauth2-provider: microsoft, with "
            "oauth2-tenant, oauth2-client-id and oauth2-federated: true; see docs/providers.md "
            "for the setup.",
        )
