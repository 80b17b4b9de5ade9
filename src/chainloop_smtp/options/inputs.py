"""Every input, once: its name, its meaning, and where it may be set."""

from enum import StrEnum

from chainloop_smtp.model.facts import JobStatus
from chainloop_smtp.model.frozen import dataclass
from chainloop_smtp.model.settings import (
    Auth,
    EnvValues,
    OAuth2Provider,
    Require,
    Thread,
    Tls,
)


class Scope(StrEnum):
    """Where a configuration file may set an input; the step and the flags take them all.

    Attributes:
        STEP: Nowhere: it is the same for every mail of a run.
        REGISTRATION: In a registration: it is about the server and the way there.
        MAIL: In a registration and in an attachment.
    """

    STEP = "step"
    REGISTRATION = "registration"
    MAIL = "mail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input: of the Action, as a flag, and as a key of the configuration file.

    ``nox -s generate`` writes `action.yml`, ``docs/inputs.md`` and the schema of the configuration
    file from these.

    Attributes:
        name: In kebab-case.
        help: What it means, in Markdown with nothing but code spans.
        default: What an empty value means; empty when empty means nothing.
        action_default: What `action.yml` fills in where that differs from ``default``.
        choices: All the words allowed; empty when the value is free.
        is_list: It takes several values, one per line; as a flag, it may be repeated.
        is_secret: Never a flag, never shown.
    """

    name: str
    help: str
    default: str = ""
    action_default: str | None = None
    choices: tuple[str, ...] = ()
    scope: Scope = Scope.MAIL
    is_list: bool = False
    is_secret: bool = False

    @property
    def plain_help(self) -> str:
        """The help for a terminal."""
        return self.help.replace("`", "")


BOOLEAN = ("true", "True", "TRUE", "false", "False", "FALSE")

INPUTS = (
    Input(
        name="host",
        help="Host name or IP address of the mail server, such as `smtp.example.com`.",
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="port",
        help="TCP port of the mail server, usually 587 or 465.",
        action_default="587",
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="user",
        help="User name for the mail server. For a relay without login, set `auth: none`.",
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="password",
        help="Password for the mail server, from a secret. Optional with `auth: none` and with "
        "`oauth2-…`.",
        scope=Scope.REGISTRATION,
        is_secret=True,
    ),
    Input(
        name="from",
        help="Sender: one address, such as `ci@example.com` or `Attestation reports "
        "<ci@example.com>`.",
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="to",
        help="Recipients: one or more addresses (comma, semicolon or newline), such as "
        "`security@example.com`; `file:PATH` reads them from a file; `author` and "
        "`contributors` are the people who wrote the code.",
        is_list=True,
    ),
    Input(
        name="cc", help="More recipients, shown in the mail. They really receive it.", is_list=True
    ),
    Input(name="bcc", help="More recipients, not shown in the mail.", is_list=True),
    Input(
        name="allowed-domains",
        help="Domains that every recipient must be in, such as `example.com` or `*.example.com`. "
        "Empty: any domain.",
        is_list=True,
    ),
    Input(
        name="redirect-to",
        help="Receives every mail in place of the recipients, and the mail names them. For tests.",
    ),
    Input(name="reply-to", help="Where replies go. Empty: to the sender."),
    Input(
        name="envelope-from",
        help="Where bounces go. Empty: the address in `from`.",
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="attestation",
        help="What a Chainloop command printed: a file path, `-` for standard input (command "
        "only), an `https://` URL, or the JSON text itself. One per line; one mail per "
        "Chainloop run.",
        scope=Scope.STEP,
        is_list=True,
    ),
    Input(
        name="workflow-run-id",
        help="Instead of `attestation`: ids of Chainloop runs (comma or newline), which the "
        "`chainloop` command on PATH reads. `auto`: every Chainloop run of this workflow run. "
        "`new`: every run (of `project` and `workflow`, if set) that has ended since the last "
        "time. One mail per run. Empty, and `attestation` empty too: `auto` if the "
        "`chainloop` command is on PATH and the step has `CHAINLOOP_TOKEN`; otherwise the "
        "mail says that no evidence was given.",
        scope=Scope.STEP,
        is_list=True,
    ),
    Input(
        name="state-file",
        help="For `workflow-run-id: new`: the file that remembers what was mailed. Keep it from "
        "one run to the next, in a cache or on a disk. If it is missing, runs that ended in "
        "the last hour are mailed.",
        scope=Scope.STEP,
    ),
    Input(
        name="previous-attestation",
        help="An earlier attestation of the same workflow, in any form that `attestation` takes: "
        "the mail says what changed. If there is none yet, nothing is compared.",
        scope=Scope.STEP,
        is_list=True,
    ),
    Input(
        name="policy-evaluations",
        help="The policy evaluations, if the attestation only refers to them. In any form that "
        "`attestation` takes.",
        scope=Scope.STEP,
    ),
    Input(
        name="trusted-root",
        help="The certificate authorities that you trust to sign evidence, and their timestamp "
        "authorities: a PEM file, or the PEM text itself. The signature of the evidence is then "
        "verified, and the mail says who signed.",
        scope=Scope.STEP,
    ),
    Input(
        name="verification-key",
        help="The public key that you trust, if the evidence is signed with a key: a PEM file, or "
        "the PEM text itself.",
        scope=Scope.STEP,
    ),
    Input(
        name="require-signature",
        help="`true`: the step fails (exit code 3) if a run's signature is invalid or cannot be "
        "checked. The mail is sent first, and says so.",
        default="false",
        choices=BOOLEAN,
        scope=Scope.STEP,
    ),
    Input(
        name="project",
        help="Chainloop project of a run whose attestation does not name it, for example because "
        "nothing was attested. Shown in the mail, and used to choose attachments of a "
        "configuration file.",
        scope=Scope.STEP,
    ),
    Input(
        name="workflow",
        help="Chainloop workflow of such a run; like `project`.",
        scope=Scope.STEP,
    ),
    Input(
        name="job-status",
        help="Result of the job so far, as a GitHub conclusion: `success`, `failure`, `cancelled`, "
        "`skipped`, `neutral`, `timed_out`, `action_required`, `stale` or `startup_failure`.",
        action_default="${{ job.status }}",
        choices=tuple(JobStatus),
        scope=Scope.STEP,
    ),
    Input(
        name="needs",
        help="Results of earlier jobs, shown in the mail and treated like `job-status`: "
        "`toJSON(needs.*.result)`, or words separated by commas. `toJSON(needs)` adds the "
        "jobs' names, but also their outputs: all inputs together must stay under 128 KiB on "
        "Linux and 32 KiB on Windows, or the step cannot start.",
        scope=Scope.STEP,
    ),
    Input(
        name="env-values",
        help="Attested environment variables: `show` them, show only their `names`, or `hide` "
        "them.",
        default="show",
        choices=tuple(EnvValues),
    ),
    Input(
        name="subject",
        help="Subject, as a Jinja2 template over the facts of the mail. Empty: the built-in "
        "subject. If the template is broken, the mail about a failed run is still sent, with "
        "the built-in texts.",
    ),
    Input(
        name="template-dir",
        help="Folder with any of `mail.html.j2`, `mail.txt.j2`, `subject.txt.j2` and "
        "`summary.md.j2`. Each replaces the built-in template, and may extend it.",
    ),
    Input(
        name="thread",
        help="What mail programs group into one thread: the attempts of one `run`, all runs of a "
        "branch or tag (`ref`), or `none`.",
        default="run",
        choices=tuple(Thread),
    ),
    Input(name="headers", help="More header fields, one per line: `Name: value`.", is_list=True),
    Input(
        name="attach",
        help="Attachments, one per line: `attestation` (the evidence exactly as given), `report` "
        "(all facts as JSON), or files of the workspace (`dist/*.json`; `**` for any "
        "folders).",
        is_list=True,
    ),
    Input(
        name="attach-max-size",
        help="Maximum size of all attachments before encoding: a number and `B`, `kB`, `MB`, `GB`, "
        "`KiB`, `MiB` or `GiB`.",
        default="10MB",
    ),
    Input(
        name="tls",
        help="`auto` (implicit TLS on ports 465, 2465 and 8465, otherwise STARTTLS, required), "
        "`starttls`, `implicit` or `none`.",
        default="auto",
        choices=tuple(Tls),
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="tls-ca-file",
        help="PEM file with certificate authorities to trust in addition to the system's, or the "
        "PEM text itself.",
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="tls-fingerprint",
        help="SHA-256 fingerprint of the server's certificate. Only that certificate is trusted, "
        "whoever issued it.",
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="tls-client-cert",
        help="PEM file with a client certificate, or the PEM text itself.",
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="tls-client-key",
        help="PEM file with the key of `tls-client-cert`, or the PEM text itself from a secret (it "
        "is masked). Not needed if `tls-client-cert` contains the key.",
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="auth",
        help="`auto`, `plain`, `login`, `cram-md5`, `scram-sha-256`, `xoauth2`, `oauthbearer` or "
        "`none`. No credential is sent without TLS, except to localhost.",
        default="auto",
        choices=tuple(Auth),
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="oauth2-provider",
        help="Fetch an access token instead of using a password: `microsoft`, `google`, or empty "
        "with `oauth2-token-url`.",
        choices=tuple(filter(None, OAuth2Provider)),
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="oauth2-tenant",
        help="`microsoft`: id or domain of the directory. `google` with `oauth2-federated`: the "
        "workload identity provider, `projects/…/providers/…`.",
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="oauth2-client-id",
        help="Id of the application. `google` with `oauth2-federated`: address of the service "
        "account.",
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="oauth2-client-secret",
        help="Client secret of the application, from a secret. `google`: or the JSON key of a "
        "service account.",
        scope=Scope.REGISTRATION,
        is_secret=True,
    ),
    Input(
        name="oauth2-refresh-token",
        help="Refresh token, from a secret, for a mailbox whose owner has given consent.",
        scope=Scope.REGISTRATION,
        is_secret=True,
    ),
    Input(
        name="oauth2-scope",
        help="Scope of the token. Empty: the provider's scope for sending mail.",
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="oauth2-token-url",
        help="Token endpoint, if it is not the provider's usual one.",
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="oauth2-federated",
        help="`true`: use the job's GitHub OIDC token instead of a stored secret. The job needs "
        "the permission `id-token: write`.",
        default="false",
        choices=BOOLEAN,
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="proxy",
        help="`http://` (CONNECT) or `socks5://` proxy to the mail server.",
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="ehlo-name",
        help="Name that the client gives in EHLO, such as `ci.example.com`. Empty: the runner's "
        "host name if it is a full domain name, otherwise its IP address in brackets, which "
        "every server must accept.",
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="dsn",
        help="Delivery reports to ask for, if the server offers DSN: `success`, `failure`, "
        "`delay`, separated by commas; or `never`.",
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="require-tls",
        help="`true`: every server on the way must use TLS, or the mail is returned.",
        default="false",
        choices=BOOLEAN,
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="timeout",
        help="Seconds for one network step.",
        default="30",
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="deadline",
        help="Seconds for everything that touches the network, retries included.",
        default="120",
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="send-on",
        help="When to send a mail: one or more words, one of which has to apply: `always`, "
        "`passed`, `failed`, `cancelled`, `violated`, `blocked`, `bypassed`, `not-attested`, "
        "`changed`, `fixed`, `new-violations`, `unverified`.",
        default="always",
        is_list=True,
    ),
    Input(
        name="config",
        help="Configuration file with registrations and attachments. The other inputs are defaults "
        "for every mail, except credentials, which go only to the input `host`. Empty: "
        "`.github/chainloop-smtp.yml` or `chainloop-smtp.yml` if one exists, none of `host`, "
        "`user`, `password` and `to` is set, and the event is one that strangers cannot use to "
        "reach secrets: not `pull_request_target`, `workflow_run` or `issue_comment`, for example.",
        scope=Scope.STEP,
    ),
    Input(
        name="github-token",
        help="Reads the GitHub API (`actions: read`) to name the step that failed, and to find the "
        "previous run if `send-on` compares with it.",
        action_default="${{ github.token }}",
        scope=Scope.STEP,
        is_secret=True,
    ),
    Input(
        name="max-recipients",
        help="Maximum number of recipients per transaction. A mail to more is sent in several "
        "transactions.",
        default="50",
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="require",
        help="`all`: a refused recipient fails the step. `any`: one accepted recipient is enough.",
        default="all",
        choices=tuple(Require),
    ),
    Input(
        name="fail-on-error",
        help="`false`: a failed delivery is a warning, `sent` is `false`, and the step passes.",
        default="true",
        choices=BOOLEAN,
        scope=Scope.REGISTRATION,
    ),
    Input(
        name="dry-run",
        help="`true`: do everything except connect, and write the mail to `output-dir`.",
        default="false",
        choices=BOOLEAN,
        scope=Scope.STEP,
    ),
    Input(
        name="output-dir",
        help="Folder for the mail and its receipt. A mail that could not be delivered is always "
        "kept here. Empty: `$RUNNER_TEMP/chainloop-smtp`, or a new temporary folder.",
        scope=Scope.STEP,
    ),
)

# What docs/inputs.md and --help show under one title: the inputs from each of these on.
GROUPS = {
    "host": "Server, sender and recipients",
    "attestation": "Evidence",
    "env-values": "The mail",
    "tls": "TLS",
    "auth": "Login",
    "proxy": "Proxy, delivery reports and time limits",
    "send-on": "When to send",
    "require": "Success and output",
}


def variable_of(secret: str) -> str:
    """Name the environment variable that may hold a secret input."""
    return "CHAINLOOP_SMTP_" + secret.upper().replace("-", "_")


BY_NAME = {each.name: each for each in INPUTS}
SECRETS = tuple(each.name for each in INPUTS if each.is_secret)
# What a mail server may be logged in to with.
CREDENTIALS = tuple(name for name in SECRETS if name != "github-token")
ABOUT_THE_RUN = frozenset(each.name for each in INPUTS if each.scope is Scope.STEP)
