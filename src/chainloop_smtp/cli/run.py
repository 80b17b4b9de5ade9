"""What a command works with, and how it gets at its inputs."""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO, Protocol

from chainloop_smtp import delivery, inputfile, options
from chainloop_smtp.ci import Console
from chainloop_smtp.delivery import EarlyConnection
from chainloop_smtp.errors import OptionsError, Problem, quoted
from chainloop_smtp.model.checks import Trust
from chainloop_smtp.model.frozen import dataclass
from chainloop_smtp.model.mail import Delivery, Mail
from chainloop_smtp.model.settings import Options, Registration, Transport
from chainloop_smtp.source.paths import expand_list

INPUTS_VARIABLE = "CHAINLOOP_SMTP_INPUTS"
_EPOCH = "SOURCE_DATE_EPOCH"
_LONGEST_PASSWORD = 64 * 1024  # bytes
_PATIENCE = 120.0  # seconds; the deadline's default
_LARGE_INPUTS = 96  # KiB; Linux takes 128 for one variable (MAX_ARG_STRLEN)
TRUST = ("trusted-root", "verification-key")
_SOURCES = ("attestation", "previous-attestation", "policy-evaluations")


class Deliver(Protocol):
    """`delivery.send`, or what stands for it."""

    def __call__(
        self,
        mails: Iterable[Mail],
        registration: Registration,
        transport: Transport,
        *,
        notify: Callable[[str], None],
        early: EarlyConnection | None = None,
    ) -> Iterator[Delivery]:
        """Submit mails to one server, each taken as there is room for it."""


def read_trust(inputs: Mapping[str, str]) -> Trust | None:
    """Read whose signature counts; None where the inputs do not say.

    Args:
        inputs: Normalised.

    Raises:
        OptionsError: What they name cannot be read, or is not of the kind.
    """
    given = [inputs.get(name, "") for name in TRUST]
    if not any(given):
        return None
    # Imported here: cryptography is slow to load, and few ask for it.
    from chainloop_smtp import signature

    return signature.read_trust(*given)


Connect = Callable[[Registration, Transport], EarlyConnection]
"""`delivery.EarlyConnection`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One invocation of the program.

    Attributes:
        connect: None: no server is connected to before there is a mail.
        environ: The process's own environment; secrets are taken out once they are read.
    """

    arguments: SimpleNamespace
    environ: MutableMapping[str, str]
    console: Console
    stdin: BinaryIO
    deliver: Deliver
    connect: Connect | None

    def inputs(self, opts: dict[str, str] | None = None) -> dict[str, str]:
        """Read every input, normalise it, and mask the secrets from here on.

        Later ones win: the JSON variable, a secret's own variable where the JSON has none,
        ``--opt``, flags, standard input.

        Args:
            opts: From ``--opt``, where the command has it.

        Raises:
            OptionsError: The variable is not a JSON object, or standard input is wanted twice.
        """
        inputs = self._from_variables()
        inputs |= options.normalise(opts or {})
        flags = vars(self.arguments)
        flagged = {each.name: flags.get(each.name.replace("-", "_")) for each in options.INPUTS}
        inputs |= options.normalise({name: flag for name, flag in flagged.items() if flag})
        self._check_stdin(inputs)
        if flags.get("password_stdin"):
            inputs |= options.normalise({"password": self._password(inputs.get("deadline", ""))})
        for secret in options.secrets(inputs):
            self.console.mask(secret.user, secret.value)
        return inputs

    def validated(
        self, inputs: Mapping[str, str], *further: Problem, is_whole: bool = True
    ) -> Options:
        """Validate the inputs, and look at the certificates that they name.

        Args:
            further: Problems found before.
            is_whole: As for `options.parse`.

        Raises:
            OptionsError: With every problem at once.
        """
        problems = list(further)
        parsed = None
        try:
            inputs = self.listed(inputs)
            parsed = options.parse(inputs, is_whole=is_whole)
        except OptionsError as error:
            problems += error.problems
        try:
            files = ("tls-ca-file", "tls-client-cert", "tls-client-key")
            delivery.check_files(*(inputs.get(name, "") for name in files))
        except OptionsError as error:
            problems += error.problems
        try:
            read_trust(inputs)
        except OptionsError as error:
            problems += error.problems
        if parsed is None or problems:
            raise OptionsError(*problems)
        return parsed

    def listed(self, inputs: Mapping[str, str]) -> dict[str, str]:
        """Return the inputs with the files in their lists of recipients read.

        Raises:
            OptionsError: One cannot be read.
        """
        wanted = {name: text for name, text in inputs.items() if name in ("to", "cc", "bcc")}
        workspace = self.environ.get("GITHUB_WORKSPACE", "")
        return dict(inputs) | {
            name: expand_list(name, text, workspace) for name, text in wanted.items()
        }

    def folder(self, parsed: Options) -> Path:
        """Return where mails and receipts are left: the user's choice, else the runner's temp."""
        if parsed.output_dir:
            return Path(parsed.output_dir)
        if temporary := self.environ.get("RUNNER_TEMP"):
            return Path(temporary, "chainloop-smtp")
        import tempfile

        # A name that nobody else on a shared machine could have taken before.
        try:
            return Path(tempfile.mkdtemp(prefix="chainloop-smtp-"))
        except OSError as error:
            hint = "Set output-dir to a writable folder."
            raise OptionsError(
                Problem("output-dir", "there is no temporary folder", hint)
            ) from error

    def now(self, *, is_dry_run: bool = False) -> datetime:
        """Return the current time, in UTC.

        A dry run takes ``SOURCE_DATE_EPOCH`` for it, where that is set: its mail is then the same
        to the last byte on every machine. A mail that is sent says when it was.

        Raises:
            OptionsError: That variable is not a number of seconds.
        """
        epoch = self.environ.get(_EPOCH, "") if is_dry_run else ""
        if not epoch:
            return datetime.now(UTC)
        try:
            return datetime.fromtimestamp(int(epoch), UTC)
        except (ValueError, OverflowError, OSError) as error:
            why = f"{quoted(epoch)} is not a number of seconds since 1970"
            raise OptionsError(Problem(_EPOCH, why)) from error

    def entropy(self, *, is_dry_run: bool = False) -> bytes:
        """Return random bytes for a Message-ID of its own; none by a fixed clock."""
        return b"" if is_dry_run and self.environ.get(_EPOCH) else os.urandom(16)

    def _password(self, deadline: str) -> str:
        """What standard input says; it has as long as everything else together."""
        is_number = re.fullmatch(r"[0-9]{1,5}(\.[0-9]+)?", deadline)
        patience = float(deadline) if is_number else _PATIENCE
        try:
            content = inputfile.read_stream(self.stdin, _LONGEST_PASSWORD, patience)
        except inputfile.UnreadableError as error:
            raise OptionsError(Problem("password-stdin", error.why, error.hint)) from error
        # Bytes that are not UTF-8 are kept as such, for the options to refuse.
        return content.decode(errors="surrogateescape")

    def _check_stdin(self, inputs: Mapping[str, str]) -> None:
        """Standard input is there once, and not at all in a step that only gives inputs."""
        flags = vars(self.arguments)
        wanting = [
            name for name in _SOURCES if "-" in map(str.strip, inputs.get(name, "").splitlines())
        ]
        for name in wanting:
            if self.console.is_actions and not flags.get(name.replace("-", "_")):
                raise OptionsError(
                    Problem(name, "'-' is standard input, which a step does not have")
                )
        wanting += ["password-stdin"] if flags.get("password_stdin") else []
        if len(wanting) > 1:
            hint = "Give the attestation as a path, or the password in CHAINLOOP_SMTP_PASSWORD."
            why = f"standard input already carries {wanting[0]}"
            raise OptionsError(Problem(wanting[1], why, hint))

    def _from_variables(self) -> dict[str, str]:
        # Taken out, so that no process started from here can read them.
        text = self.environ.pop(INPUTS_VARIABLE, "")
        secrets = {
            name: self.environ.pop(options.variable_of(name), "") for name in options.SECRETS
        }
        try:
            raw = json.loads(text) if text.strip() else {}
        except (ValueError, RecursionError):
            raw = None
        if not isinstance(raw, dict):
            raise OptionsError(
                Problem(INPUTS_VARIABLE, "is not a JSON object", "Write ${{ toJSON(inputs) }}.")
            )
        inputs = options.normalise(raw)
        self._check_size(text, inputs)
        return options.normalise(secrets) | inputs

    def _check_size(self, text: str, inputs: Mapping[str, str]) -> None:
        """Warns before the inputs are so large that Linux does not start the step any more."""
        size = len(text.encode("utf-8", "surrogatepass")) // 1024
        if size < _LARGE_INPUTS:
            return
        largest = max(inputs, key=lambda name: len(inputs[name]), default="")
        advice = {
            "needs": "Give toJSON(needs.*.result), which leaves out the outputs.",
            **dict.fromkeys(_SOURCES, "Write the JSON to a file and give its path."),
        }
        self.console.warning(
            "the inputs are nearly too large",
            f"They take {size} KiB together, most of it {largest}. With more than 128 KiB on Linux "
            f"(32 on Windows), the step cannot start. {advice.get(largest, '')}".rstrip(),
        )
