"""Every input, once, and what a run gives for them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from chainloop_smtp.errors import Problem, quoted, quoted_word
from chainloop_smtp.model.facts import JobStatus
from chainloop_smtp.model.frozen import dataclass
from chainloop_smtp.model.settings import (
    Auth,
    EnvValues,
    Lookup,
    Mailbox,
    OAuth2Provider,
    Require,
    Thread,
    Tls,
    unique,
)
from chainloop_smtp.options import addresses

_LONGEST_WAIT = 24 * 60 * 60  # seconds
_LARGEST = 10_000
RECIPIENTS = ("to", "cc", "bcc")

Word = TypeVar("Word", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One thing a user may say.

    Attributes:
        name: In kebab-case: the Action's input, the flag and the configuration key.
        default: What an empty value means; empty when empty means nothing.
        action_default: What `action.yml` fills in where that differs from ``default``.
        choices: All the words allowed; empty when the value is free.
        is_secret: Never a flag, never shown.
    """

    name: str
    help: str
    default: str = ""
    action_default: str | None = None
    choices: tuple[str, ...] = ()
    is_secret: bool = False


BOOLEAN = ("true", "True", "TRUE", "false", "False", "FALSE")

INPUTS = (
    Input(
        name="host", help="Host name or IP address of the mail server, such as smtp.example.com."
    ),
    Input(
        name="port",
        help="TCP port of the mail server; 587 or 465, as a rule.",
        action_default="587",
    ),
    Input(
        name="user", help="User name for the mail server; a relay without login wants auth: none."
    ),
    Input(name="password", help="Password for the mail server.", is_secret=True),
    Input(
        name="from",
        help="Sender: one address, such as ci@example.com or Attestation reports <ci@example.com>.",
    ),
    Input(
        name="to",
        help="Recipients: one address or several (comma or newline), such as security@example.com; "
        "file:PATH for a file of them, author or contributors for who wrote the code.",
    ),
    Input(name="cc", help="Further recipients, shown in the mail."),
    Input(name="bcc", help="Further recipients, shown to nobody."),
    Input(
        name="allowed-domains",
        help="Domains that recipients have to be in, such as example.com or *.example.com.",
    ),
    Input(
        name="redirect-to",
        help="Gets every mail in place of all recipients, who are named in it: for rehearsals.",
    ),
    Input(name="reply-to", help="Where answers go, when not to the sender."),
    Input(name="envelope-from", help="Where bounces go, when not to the sender."),
    Input(
        name="attestation",
        help="What a Chainloop command printed: a file's path, '-' for standard input (command "
        "only), an https:// URL, or the JSON itself. Several, one a line, are joined. Empty: the "
        "mail says that no evidence was given.",
    ),
    Input(
        name="workflow-run-id",
        help="Instead of attestation: the run's id, for the chainloop command found on PATH.",
    ),
    Input(
        name="previous-attestation",
        help="An earlier attestation of the same workflow, of the same forms: the mail says what "
        "changed since. Where there is none yet, nothing is compared.",
    ),
    Input(
        name="policy-evaluations",
        help="The policy evaluations, where the attestation only refers to them.",
    ),
    Input(
        name="project",
        help="Chainloop's project, for a run whose attestation does not say it: one that was not "
        "attested. It is shown, and attachments of a configuration file are chosen by it.",
    ),
    Input(name="workflow", help="Chainloop's workflow, in the same way."),
    Input(
        name="job-status",
        help="How the job went, in GitHub's words for a conclusion.",
        action_default="${{ job.status }}",
        choices=tuple(JobStatus),
    ),
    Input(
        name="needs",
        help="Results of earlier jobs: ${{ toJSON(needs) }}, ${{ toJSON(needs.*.result) }}, or "
        "words with commas.",
    ),
    Input(
        name="env-values",
        help="Attested environment variables: show, names or hide.",
        default="show",
        choices=tuple(EnvValues),
    ),
    Input(
        name="subject",
        help="The subject, as a Jinja2 template over the same facts as the mail. Empty: ours. A "
        "broken template does not keep the mail about a failed job, which is all ours then.",
    ),
    Input(
        name="template-dir",
        help="Folder with any of mail.html.j2, mail.txt.j2, subject.txt.j2 and summary.md.j2: each "
        "one takes the place of ours, and may extend it.",
    ),
    Input(
        name="thread",
        help="What stands in one conversation: the attempts of one run (run), the runs of one "
        "branch or tag (ref), or nothing (none).",
        default="run",
        choices=tuple(Thread),
    ),
    Input(name="headers", help="Further header fields, one a line: 'Name: value'."),
    Input(
        name="attach",
        help="What is attached, one a line: attestation (the evidence as it was given), report "
        "(all facts as JSON), or files of the workspace such as dist/*.json.",
    ),
    Input(
        name="attach-max-size",
        help="The most of it, before its encoding: a number and B, kB, MB, GB, KiB, MiB or GiB.",
        default="10MB",
    ),
    Input(
        name="tls",
        help="auto (implicit on ports 465, 2465, 8465, else STARTTLS), starttls, implicit or none.",
        default="auto",
        choices=tuple(Tls),
    ),
    Input(
        name="tls-ca-file",
        help="PEM file of certificate authorities to trust as well, or the PEM text itself.",
    ),
    Input(
        name="tls-fingerprint",
        help="SHA-256 fingerprint of the server's certificate, to trust that one and no authority.",
    ),
    Input(
        name="tls-client-cert",
        help="PEM file with a certificate to show to the server, or the PEM text itself.",
    ),
    Input(
        name="tls-client-key",
        help="PEM file with its private key, or the PEM text itself, where tls-client-cert does "
        "not hold it.",
    ),
    Input(
        name="auth",
        help="auto, plain, login, cram-md5, scram-sha-256, xoauth2, oauthbearer or none. No "
        "credential crosses a connection without TLS, loopback excepted.",
        default="auto",
        choices=tuple(Auth),
    ),
    Input(
        name="oauth2-provider",
        help="Fetch an access token instead of having a password: microsoft, google, or empty with "
        "oauth2-token-url.",
        choices=tuple(filter(None, OAuth2Provider)),
    ),
    Input(
        name="oauth2-tenant",
        help="microsoft: the directory's id or domain. google with oauth2-federated: the workload "
        "identity provider, projects/.../providers/....",
    ),
    Input(
        name="oauth2-client-id",
        help="The application's id. google with oauth2-federated: the service account's address.",
    ),
    Input(
        name="oauth2-client-secret",
        help="The application's secret. google: also a service account's key, as JSON.",
        is_secret=True,
    ),
    Input(
        name="oauth2-refresh-token",
        help="A refresh token, for a mailbox whose owner has agreed.",
        is_secret=True,
    ),
    Input(name="oauth2-scope", help="Empty: the provider's scope for sending mail."),
    Input(
        name="oauth2-token-url", help="Token endpoint, where it is not the provider's usual one."
    ),
    Input(
        name="oauth2-federated",
        help="true: the job's own GitHub identity (id-token: write) instead of a stored secret.",
        default="false",
        choices=BOOLEAN,
    ),
    Input(
        name="proxy",
        help="http:// (CONNECT) or socks5:// proxy to reach the mail server through.",
    ),
    Input(
        name="ehlo-name",
        help="Name that the client gives itself in EHLO. Empty: this machine's own where others "
        "may know it, else its IP address in brackets.",
    ),
    Input(
        name="dsn",
        help="Delivery reports to ask for, where the server offers DSN: success, failure, delay, "
        "separated by commas; or never.",
    ),
    Input(
        name="require-tls",
        help="true: every server on the way has to use TLS, or the mail comes back.",
        default="false",
        choices=BOOLEAN,
    ),
    Input(name="timeout", help="Seconds for one network step.", default="30"),
    Input(name="deadline", help="Seconds for everything that touches the network.", default="120"),
    Input(
        name="send-on",
        help="When a mail is sent: any of these words that holds. always, passed, failed, "
        "cancelled, violated, blocked, bypassed, not-attested, changed, fixed, new-violations.",
        default="always",
    ),
    Input(
        name="config",
        help="A configuration file: many registrations and attachments. Empty: "
        ".github/chainloop-smtp.yml or chainloop-smtp.yml, where none of host, user, password and "
        "to is given, and not on pull_request_target, workflow_run or issue_comment.",
    ),
    Input(
        name="github-token",
        help="For look-ups of the GitHub API, where send-on compares with the run before.",
        action_default="${{ github.token }}",
        is_secret=True,
    ),
    Input(
        name="max-recipients",
        help="Recipients of one transaction; a mail to more is sent in several.",
        default="50",
    ),
    Input(
        name="require",
        help="all: a refused recipient fails the step; any: one accepted recipient is enough.",
        default="all",
        choices=tuple(Require),
    ),
    Input(
        name="fail-on-error",
        help="false: a failed delivery is a warning and sent=false, and the step passes.",
        default="true",
        choices=BOOLEAN,
    ),
    Input(
        name="dry-run",
        help="true: do all but connect; the mail is written to output-dir.",
        default="false",
        choices=BOOLEAN,
    ),
    Input(
        name="output-dir",
        help="Folder for the mail and the receipt. Empty: $RUNNER_TEMP/chainloop-smtp.",
    ),
)


def variable_of(secret: str) -> str:
    """The environment variable that a secret input may come by."""
    return "CHAINLOOP_SMTP_" + secret.upper().replace("-", "_")


BY_NAME = {each.name: each for each in INPUTS}
SECRETS = tuple(each.name for each in INPUTS if each.is_secret)
# What a mail server may be logged in to with.
CREDENTIALS = tuple(name for name in SECRETS if name != "github-token")
# The same for every mail of a run, so never in a configuration file.
ABOUT_THE_RUN = frozenset(
    (
        "attestation",
        "config",
        "dry-run",
        "github-token",
        "job-status",
        "needs",
        "output-dir",
        "policy-evaluations",
        "previous-attestation",
        "project",
        "workflow",
        "workflow-run-id",
    )
)


class Values:
    """The inputs by name, normalised, defaults filled in; and what is found wrong with them.

    Attributes:
        problems: Added to by every method that finds one; what it then gives back is a stand-in.
    """

    def __init__(self, given: Mapping[str, str], problems: list[Problem]) -> None:
        self._given = given
        self.problems = problems

    def __contains__(self, name: str) -> bool:
        """The input is given, or has a default."""
        return name in self._given

    def text(self, name: str) -> str:
        """The input as it is; empty when it is not given."""
        return self._given.get(name, "")

    def word(self, name: str, words: type[Word]) -> Word:
        """One of an input's words, which has a default."""
        return words(self._given[name])

    def is_true(self, name: str) -> bool:
        """A boolean, which has a default."""
        return self._given[name].lower() == "true"

    def seconds(self, name: str) -> float:
        """Seconds to wait: more than none, a day at most."""
        value, hint = self._given[name], "Write seconds, such as 30 or 2.5."
        try:
            seconds = float(value)
        except ValueError:
            self.wrong(name, f"{quoted_word(value)} is not a number", hint)
            return 0.0
        # Written so that NaN fails too.
        if not 0 < seconds <= _LONGEST_WAIT:
            why = f"{quoted_word(value)} is not more than 0 and at most {_LONGEST_WAIT}"
            self.wrong(name, why, hint)
        return seconds

    def number(self, name: str) -> int:
        """A whole number from 1 to 10000."""
        value = self._given[name]
        if value.isascii() and value.isdigit() and 1 <= int(value[:6]) <= _LARGEST:
            return int(value)
        self.wrong(name, f"{quoted_word(value)} is no whole number from 1 to {_LARGEST}")
        return 1

    def lookups(self, name: str) -> tuple[Lookup, ...]:
        """The words in a list of recipients that stand for people."""
        words = addresses.split(self.text(name)) if name in RECIPIENTS else ()
        return tuple(dict.fromkeys(Lookup(word) for word in words if word in tuple(Lookup)))

    def members(self, name: str) -> tuple[str, ...]:
        """The addresses in a list, unread; without the words that stand for people."""
        members = addresses.split(self.text(name))
        if name not in RECIPIENTS:
            return members
        return tuple(member for member in members if member not in tuple(Lookup))

    def mailboxes(self, name: str) -> tuple[Mailbox, ...]:
        """The mailboxes of one input, each once; those that are none are reported and left out."""
        members = self.members(name)
        if not members and name in self and not self.lookups(name):
            self.wrong(name, f"{quoted(self.text(name))} holds no address")
        found = []
        for number, member in enumerate(members, 1):
            display_name, addr_spec = addresses.name_and_addr_spec(member)
            try:
                found.append(addresses.mailbox(display_name, addr_spec))
            except ValueError as error:
                # Others read the log.
                shown = f"number {number}" if name == "bcc" else quoted(addr_spec)
                self.problems.append(addresses.problem(name, shown, str(error)))
        return unique(found)

    def mailbox(self, name: str) -> Mailbox | None:
        """The one mailbox of an input; None when there is none."""
        members = addresses.split(self.text(name))
        if len(members) > 1:
            self.wrong(
                name,
                f"{len(members)} addresses are given where one belongs",
                'A display name with a comma stands in quotes: "Doe, Jane" <jane@example.com>.',
            )
        return next(iter(self.mailboxes(name)), None)

    def wrong(self, name: str, why: str, hint: str = "") -> None:
        """Reports a problem of one input."""
        self.problems.append(Problem(name, why, hint))
