"""The whole program in one process, and what its tests look at."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from builders import cli_push, encoded, statement
from chainloop_smtp.cli.results import failure_of
from chainloop_smtp.cli.run import Deliver
from chainloop_smtp.delivery import EarlyConnection
from chainloop_smtp.errors import Problem
from chainloop_smtp.model.mail import (
    Delivery,
    Mail,
    RecipientResult,
    RecipientStatus,
    Reply,
    TransactionResult,
)
from chainloop_smtp.model.settings import Registration, Require, Transport
from runner import commands, heredocs

PASSWORD = 'correct "horse" bättery'
INPUTS = {
    "host": "smtp.example.com",
    "port": "587",
    "user": "jane",
    "password": PASSWORD,
    "from": "Attestation reports <reports@example.com>",
    "to": "Security <security@example.com>",
}
NOTHING = {
    "sent": "false",
    "skipped": "",
    "outcome": "",
    "policy-status": "",
    "digest": "",
    "signature": "",
    "message-id": "",
    "accepted": "[]",
    "refused": "[]",
    "attempts": "0",
    "eml": "",
    "receipt": "",
}
PUSH = cli_push(statement())
PUSHED = encoded(PUSH).decode()


@dataclass
class Post:
    """A delivery that goes nowhere, and what was handed to it.

    Attributes:
        refused: Recipients that do not get the mail.
        trouble: What is wrong with the attempt as a whole; nobody gets the mail then.
        error: Raised.
    """

    refused: tuple[RecipientResult, ...] = ()
    trouble: Problem | None = None
    error: BaseException | None = None
    is_interrupted: bool = False
    mails: list[Mail] = field(default_factory=list)
    registrations: list[Registration] = field(default_factory=list)
    transports: list[Transport] = field(default_factory=list)

    def __call__(
        self,
        mail: Mail,
        registration: Registration,
        transport: Transport,
        *,
        notify: Callable[[str], None] = print,
        early: EarlyConnection | None = None,
    ) -> Delivery:
        del notify, early
        self.mails.append(mail)
        self.registrations.append(registration)
        self.transports.append(transport)
        if self.error:
            raise self.error
        refused = {each.recipient: each for each in self.refused}
        queued = Reply(code=250, text="queued")
        taken = RecipientStatus.DEFERRED if self.trouble else RecipientStatus.ACCEPTED
        reply = None if self.trouble else queued
        started = datetime(2026, 9, 1, 8, 9, 10, tzinfo=UTC)
        return Delivery(
            mail=mail,
            results=tuple(
                refused.get(each) or RecipientResult(recipient=each, status=taken, reply=reply)
                for each in mail.recipients
            ),
            transactions=(
                TransactionResult(
                    started=started,
                    ended=started + timedelta(seconds=0.25),
                    server=f"{registration.host}:{registration.port}",
                    tls="TLSv1.3",
                    certificate="c" * 64,
                    mechanism="PLAIN",
                    recipients=mail.recipients,
                    reply=reply,
                    why=self.trouble.why if self.trouble else "",
                    hint=self.trouble.hint if self.trouble else "",
                ),
            ),
            is_interrupted=self.is_interrupted,
        )


def one_by_one(post: Callable[..., Delivery]) -> Deliver:
    """A stand-in for `delivery.send`, made of one for a single mail."""

    def deliver(
        mails: Iterable[Mail],
        registration: Registration,
        transport: Transport,
        *,
        notify: Callable[[str], None],
        early: EarlyConnection | None = None,
    ) -> Iterator[Delivery]:
        del early
        for mail in mails:
            yield post(mail, registration, transport, notify=notify)

    return deliver


@dataclass
class Ended:
    """One run of the program and what it left behind."""

    code: int
    stdout: str
    stderr: str
    environ: dict[str, str]
    folder: Path

    @property
    def outputs(self) -> dict[str, str]:
        return heredocs((self.folder / "github-output").read_text("utf-8"))

    @property
    def summary(self) -> str:
        path = self.folder / "github-summary"
        return path.read_text("utf-8") if path.exists() else ""

    @property
    def annotations(self) -> list[tuple[str, str]]:
        """Kind and title of each command that is no mask."""
        found = commands(self.stdout) + commands(self.stderr)
        return [
            (command.name, command.title.removeprefix("Chainloop SMTP: "))
            for command in found
            if command.name != "add-mask"
        ]

    def annotation(self, title: str) -> str:
        """The text of the one annotation with this title."""
        found = commands(self.stdout) + commands(self.stderr)
        (text,) = {each.data for each in found if each.title == f"Chainloop SMTP: {title}"}
        return text

    @property
    def log(self) -> str:
        """Both streams as a reader of the log sees them: a runner shows no mask command."""
        lines = (self.stdout + self.stderr).splitlines()
        return "\n".join(line for line in lines if not line.startswith("::add-mask::"))

    @property
    def failure(self) -> str:
        """Standard error as a reader of the log sees it: a title, and the problems below it."""
        lines = self.stderr.splitlines()
        return "\n".join(line for line in lines if not line.startswith("::"))

    def everything(self) -> bytes:
        """The log, and every file below the test's folder."""
        files = (path.read_bytes() for path in self.folder.rglob("*") if path.is_file())
        return b"\n".join((self.log.encode(), *files))


Program = Callable[..., Ended]


def never(
    mail: Mail,
    registration: Registration,
    transport: Transport,
    *,
    notify: Callable[[str], None] = print,
    early: EarlyConnection | None = None,
) -> Delivery:
    """Where nothing may be delivered."""
    raise AssertionError((mail, registration, transport, notify, early))


def flags(inputs: Mapping[str, str]) -> list[str]:
    return [
        word
        for name, value in inputs.items()
        if name != "password"
        for word in (f"--{name}", value)
    ]


def parsed(content: bytes) -> EmailMessage:
    mail = message_from_bytes(content, policy=default)
    assert isinstance(mail, EmailMessage)
    return mail


def text_of(content: bytes) -> str:
    part = parsed(content).get_body(("plain",))
    assert part is not None
    text = part.get_content()
    assert isinstance(text, str)
    return text


def failure(*problems: str, title: str = "Invalid options.") -> str:
    """`Ended.failure` with these problems; a hint stands on a line of its own."""
    lines = (line for each in problems for line in each.splitlines())
    return "\n".join((title, *(f"  {line}" for line in lines)))


def refusal(recipient: str, text: str = "no such mailbox") -> RecipientResult:
    reply = Reply(code=550, enhanced="5.1.1", text=text)
    return RecipientResult(recipient=recipient, status=RecipientStatus.REFUSED, reply=reply)


def told(result: Delivery) -> str:
    """What a user reads of a mail that nobody got."""
    assert result.accepted == ()
    failure = failure_of(result, Require.ALL)
    assert failure is not None
    return str(failure)
