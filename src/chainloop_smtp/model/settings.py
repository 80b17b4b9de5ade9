"""What a user may say, validated."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import StrEnum
from fnmatch import fnmatchcase

from chainloop_smtp.model.entries import Trigger
from chainloop_smtp.model.facts import Job, JobResult, JobStatus
from chainloop_smtp.model.frozen import dataclass

# What mail servers route by inside a local part. Postfix, by default: the percent hack and bang
# paths, quoted or not (allow_percent_hack, swap_bangpath, resolve_dequoted_address). Sendmail:
# UUCP's "!" and "^", DECnet's "::", and the colon and comma of source routes (RFC 5321 section
# 4.1.2). A quoted "|" or "\\" means a program or no alias to some.
_ROUTING_SIGNS = frozenset("%!^:@|\\,;<>")
# X.400 in RFC 2156's spelling ("/G=Jane/S=Doe/"), forwarders' SRS ("SRS0=hash=day=domain=user"),
# and what Exchange wraps foreign addresses in ("IMCEASMTP-user+40domain").
_ROUTING_FORMS = re.compile(r"/|srs[01][=+-]|imcea[a-z0-9]*-", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """RFC 5322 section 3.4: an addr-spec, with a display name or without.

    Attributes:
        addr_spec: ``local-part@domain``; the domain in its ASCII form (IDNA A-labels), the local
            part in any characters (RFC 6531).
        name: Display name as a person reads it, unquoted. Empty when there is none.
    """

    addr_spec: str
    name: str = ""

    @property
    def domain(self) -> str:
        """What stands behind the last ``@``."""
        return self.addr_spec.rpartition("@")[2]

    @property
    def key(self) -> str:
        """The same for two spellings of one mailbox; see `mailbox_key`."""
        return mailbox_key(self.addr_spec)

    @property
    def is_rerouted(self) -> bool:
        """Whether some mail server takes the local part for another address, maybe elsewhere."""
        local = unicodedata.normalize("NFKC", self.addr_spec.rpartition("@")[0]).strip('"')
        return bool(_ROUTING_SIGNS.intersection(local) or _ROUTING_FORMS.match(local))

    def is_in(self, domains: tuple[str, ...]) -> bool:
        """Its domain is one of these in lower case, or matches one such as ``*.example.com``."""
        return any(fnmatchcase(self.domain.lower(), domain) for domain in domains)

    def __str__(self) -> str:
        return f"{self.name} <{self.addr_spec}>" if self.name else self.addr_spec


def mailbox_key(addr_spec: str) -> str:
    """What two addr-specs share that differ only in case: they are one mailbox.

    RFC 5321 section 2.4 lets a host tell local parts apart by case, and discourages it; no mail
    service does, and nobody wants a mail twice.
    """
    return addr_spec.lower()


def unique(boxes: Iterable[Mailbox]) -> tuple[Mailbox, ...]:
    """Each mailbox once, in its first spelling."""
    found: dict[str, Mailbox] = {}
    for box in boxes:
        found.setdefault(box.key, box)
    return tuple(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The six keys of Chainloop's smtp registration schema, validated.

    Attributes:
        from_: Sender; the schema's key is ``from``.
        to: One recipient at least.
        port: TCP port, 1 to 65535. The schema carries it as a string.
        user: Empty only with ``auth: none``.
        password: Never shown: not in a repr, a mail, a log or a summary.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    from_: Mailbox
    to: tuple[Mailbox, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """Chainloop's smtp attachment: what is added when the integration meets a workflow."""

    cc: tuple[Mailbox, ...] = ()


class Tls(StrEnum):
    """How the connection is protected. ``AUTO`` decides by the port."""

    AUTO = "auto"
    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"


class Auth(StrEnum):
    """SASL mechanism. ``AUTO`` takes the first one that both sides know."""

    AUTO = "auto"
    PLAIN = "plain"
    LOGIN = "login"
    CRAM_MD5 = "cram-md5"
    SCRAM_SHA_256 = "scram-sha-256"
    XOAUTH2 = "xoauth2"
    OAUTHBEARER = "oauthbearer"
    NONE = "none"


class ProxyKind(StrEnum):
    """How a proxy is spoken to: its URL's scheme."""

    HTTP = "http"
    SOCKS5 = "socks5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """What stands between this machine and the mail server, and looks its name up.

    Attributes:
        user: Empty: the proxy asks for no login.
    """

    kind: ProxyKind
    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


class OAuth2Provider(StrEnum):
    """Who issues access tokens. ``OTHER`` is known by nothing but its token endpoint."""

    MICROSOFT = "microsoft"
    GOOGLE = "google"
    OTHER = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth2:
    """How to get an access token (RFC 6749), validated: one grant, and all that it needs.

    Attributes:
        tenant: Microsoft: the directory's id or domain. Google with ``is_federated``: the workload
            identity provider's resource name, ``projects/…/providers/…``.
        client_id: Google with ``is_federated``: the service account's address.
        client_secret: Google without a refresh token: the service account's key, a JSON text.
        refresh_token: Empty: another grant than that of a refresh token.
        scope: Empty: the provider's own for sending mail.
        token_url: Wins over the provider's own; empty only where there is a provider.
        is_federated: The job's own identity stands in for a stored secret.
    """

    provider: OAuth2Provider = OAuth2Provider.OTHER
    tenant: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    scope: str = ""
    token_url: str = ""
    is_federated: bool = False


class Lookup(StrEnum):
    """A word that stands for people in a list of recipients."""

    AUTHOR = "author"
    CONTRIBUTORS = "contributors"


class Require(StrEnum):
    """How many recipients have to be accepted for the step to succeed."""

    ALL = "all"
    ANY = "any"


class EnvValues(StrEnum):
    """What the mail shows of the attested environment variables."""

    SHOW = "show"
    NAMES = "names"
    HIDE = "hide"


class Thread(StrEnum):
    """Which mails stand together in one conversation of a mail program."""

    RUN = "run"
    REF = "ref"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """One header field of the user's own (RFC 5322 section 3.6.8).

    Attributes:
        name: ASCII, and no name that the protocol or this program owns.
        value: On one line, without control characters; it may hold more than ASCII.
    """

    name: str
    value: str


class Dsn(StrEnum):
    """What the mail systems on the way are to report back (RFC 3461 section 4.1)."""

    SUCCESS = "success"
    FAILURE = "failure"
    DELAY = "delay"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """How a mail travels to the submission server.

    Attributes:
        tls_ca_file: PEM text, or the path of a PEM file, of authorities to trust besides the
            system's; empty: the system's only.
        tls_fingerprint: SHA-256 of the server's certificate, 64 lower-case hexadecimal digits; it
            stands instead of all trust in authorities. Empty: those are asked.
        tls_client_cert: The same for our own certificate; empty: we have none.
        tls_client_key: The same for its key; empty: it stands in ``tls_client_cert``.
        has_token: What the registration has for a password is an OAuth access token.
        proxy: None: the connection is direct.
        ehlo_name: Given in EHLO; empty: the machine's own, or its address.
        dsn: What to ask for, where the server offers DSN; empty: the servers' own habit.
        require_tls: Every server on the way has to use TLS, or the mail comes back (RFC 8689).
        timeout: Seconds for one network step.
        deadline: Seconds for everything that touches the network.
    """

    tls: Tls = Tls.AUTO
    tls_ca_file: str = ""
    tls_fingerprint: str = ""
    tls_client_cert: str = field(default="", repr=False)
    tls_client_key: str = field(default="", repr=False)
    auth: Auth = Auth.AUTO
    has_token: bool = False
    proxy: Proxy | None = None
    ehlo_name: str = ""
    dsn: tuple[Dsn, ...] = ()
    require_tls: bool = False
    timeout: float = 30.0
    deadline: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclosures:
    """What is attached to the mail (an attachment is something else to Chainloop).

    Attributes:
        has_evidence: The documents, exactly as they were given.
        has_report: All facts as JSON.
        patterns: Of files, relative to the workspace.
        max_size: Octets of all of it before its encoding.
    """

    has_evidence: bool = False
    has_report: bool = False
    patterns: tuple[str, ...] = ()
    max_size: int = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """What the user says of the mail's form.

    Attributes:
        reply_to: Where answers go; empty: to the sender.
        headers: The user's own, in their order; each name once.
        subject: Source of a template; empty: the subject that we write.
        template_dir: Folder of the user's templates; empty: ours alone.
    """

    reply_to: tuple[Mailbox, ...] = ()
    env_values: EnvValues = EnvValues.SHOW
    thread: Thread = Thread.RUN
    headers: tuple[Header, ...] = ()
    enclosures: Enclosures = Enclosures()
    subject: str = field(default="", repr=False)
    template_dir: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """What nobody may see.

    Attributes:
        name: The input that it came by, and whose it is where there are several.
        user: Goes before it where both are sent (AUTH PLAIN); empty: nobody.
    """

    name: str
    value: str = field(repr=False)
    user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything a user may say, validated.

    Attributes:
        attestation: Paths, ``-``, ``https://`` URLs, one a line, or the JSON text itself; empty:
            no evidence is given.
        workflow_run_id: A UUID to ask the ``chainloop`` command for; empty: nothing to ask.
        previous_attestation: An earlier run's, of the same forms; empty: nothing to compare.
        policy_evaluations: One source of the same forms as ``attestation``; empty: none.
        project: Chainloop's, of a run whose attestation does not say it; empty: not said.
        workflow: The same.
        job_status: None when not said.
        oauth2: How to get the token that stands in for a password; None: there is a password.
        lookups: People to look up, each with the input they belong to: ``to``, ``cc`` or ``bcc``.
        allowed_domains: Recipients are in one of these, globs included; empty: in any.
        redirect_to: Gets every mail in place of all recipients; empty: nobody.
        send_on: One of them has to hold.
        config: Path of the configuration file; empty: the caller looks for one.
        max_recipients: Of one transaction.
        output_dir: Empty: the caller chooses.
        secrets: All that are known to the run, used or not.
    """

    registration: Registration
    attachment: Attachment = Attachment()
    bcc: tuple[Mailbox, ...] = ()
    envelope_from: Mailbox | None = None
    attestation: str = field(default="", repr=False)
    workflow_run_id: str = ""
    previous_attestation: str = field(default="", repr=False)
    policy_evaluations: str = field(default="", repr=False)
    project: str = ""
    workflow: str = ""
    job_status: JobStatus | None = None
    needs: tuple[JobResult, ...] = ()
    composition: Composition = Composition()
    transport: Transport = Transport()
    oauth2: OAuth2 | None = None
    lookups: tuple[tuple[str, Lookup], ...] = ()
    allowed_domains: tuple[str, ...] = ()
    redirect_to: tuple[Mailbox, ...] = ()
    send_on: tuple[Trigger, ...] = (Trigger.ALWAYS,)
    config: str = ""
    max_recipients: int = 50
    require: Require = Require.ALL
    fail_on_error: bool = True
    dry_run: bool = False
    output_dir: str = ""
    secrets: tuple[Secret, ...] = field(default=(), repr=False, compare=False)

    @property
    def hidden(self) -> tuple[Mailbox, ...]:
        """Recipients whom only ``bcc`` names: no log, annotation or job summary names them."""
        registration = self.registration
        shown = {box.key for box in (registration.from_, *registration.to, *self.attachment.cc)}
        return unique(box for box in self.bcc if box.key not in shown)

    @property
    def is_success(self) -> bool:
        """Neither this job nor an earlier one is said to have failed or been cancelled."""
        return Job(status=self.job_status, needs=self.needs).is_success


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the user handed over, unread.

    Attributes:
        documents: Each about the same run. Empty when no evidence is given.
        previous: Documents about an earlier run. Empty when there is nothing to compare with.
        policy_evaluations: The bundle that the attestation refers to; None when not given.
        absences: What was asked for and is not there, which is no reason to fail.
        failures: What could not be read although the mail about a failed job does without it.
        network_seconds: Spent on URLs and on the ``chainloop`` command.
    """

    documents: tuple[bytes, ...] = field(default=(), repr=False)
    previous: tuple[bytes, ...] = field(default=(), repr=False)
    policy_evaluations: bytes | None = field(default=None, repr=False)
    absences: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    network_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """What stands in for a password, for an hour or so.

    Attributes:
        network_seconds: Spent on getting it.
    """

    value: str = field(repr=False)
    network_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """Chainloop's description of an integration, with its two schemas."""

    id: str
    version: str
    description: str
    registration_schema: Mapping[str, object]
    attachment_schema: Mapping[str, object]
