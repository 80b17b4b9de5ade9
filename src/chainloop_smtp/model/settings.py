"""Options, validated, and the access token that is got with them."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import StrEnum
from fnmatch import fnmatchcase

from chainloop_smtp.model.facts import Job, JobResult, JobStatus
from chainloop_smtp.model.frozen import dataclass

# Signs in a local part that mail servers route by. Postfix, by default: the percent hack and bang
# paths, quoted or not (allow_percent_hack, swap_bangpath, resolve_dequoted_address). Sendmail:
# UUCP's "!" and "^", DECnet's "::", and the colon and comma of source routes (RFC 5321 section
# 4.1.2). A quoted "|" or "\\" means a program or no alias to some.
_ROUTING_SIGNS = frozenset("%!^:@|\\,;<>")
# X.400 in RFC 2156's spelling ("/G=Jane/S=Doe/"), forwarders' SRS ("SRS0=hash=day=domain=user"),
# and the form that Exchange gives to foreign addresses ("IMCEASMTP-user+40domain").
_ROUTING_FORMS = re.compile(r"/|srs[01][=+-]|imcea[a-z0-9]*-", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """An addr-spec with or without a display name (RFC 5322 section 3.4).

    Attributes:
        addr_spec: ``local-part@domain``; the domain in its ASCII form (IDNA A-labels), the local
            part in any characters (RFC 6531).
        name: Display name as a person reads it, unquoted. Empty when there is none.
    """

    addr_spec: str
    name: str = ""

    @property
    def domain(self) -> str:
        """The part after the last ``@``."""
        return self.addr_spec.rpartition("@")[2]

    @property
    def key(self) -> str:
        """Equal for two spellings of one mailbox; see `mailbox_key`."""
        return mailbox_key(self.addr_spec)

    @property
    def is_rerouted(self) -> bool:
        """Whether some mail servers read another address, maybe elsewhere, into the local part."""
        local = unicodedata.normalize("NFKC", self.addr_spec.rpartition("@")[0]).strip('"')
        return bool(_ROUTING_SIGNS.intersection(local) or _ROUTING_FORMS.match(local))

    def is_in(self, domains: tuple[str, ...]) -> bool:
        """Whether its domain matches one of these, in lower case, such as ``*.example.com``."""
        return any(fnmatchcase(self.domain.lower(), domain) for domain in domains)

    def __str__(self) -> str:
        return f"{self.name} <{self.addr_spec}>" if self.name else self.addr_spec


def mailbox_key(addr_spec: str) -> str:
    """Return the same key for addr-specs that differ only in case, since they are one mailbox.

    RFC 5321 section 2.4 lets a host tell local parts apart by case, but discourages it; no mail
    service does, and nobody wants a mail twice.
    """
    return addr_spec.lower()


def unique(boxes: Iterable[Mailbox]) -> tuple[Mailbox, ...]:
    """Return each mailbox once, in its first spelling."""
    by_key: dict[str, Mailbox] = {}
    for box in boxes:
        by_key.setdefault(box.key, box)
    return tuple(by_key.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The six keys of Chainloop's smtp registration schema, validated.

    Attributes:
        from_: Sender; the schema's key is ``from``.
        to: At least one recipient.
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
    """Chainloop's smtp attachment: what a workflow adds to a registration."""

    cc: tuple[Mailbox, ...] = ()


class Tls(StrEnum):
    """How the connection is protected. ``AUTO`` decides by the port."""

    AUTO = "auto"
    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"


class Auth(StrEnum):
    """SASL mechanism. ``AUTO`` takes the first one that both sides support."""

    AUTO = "auto"
    PLAIN = "plain"
    LOGIN = "login"
    CRAM_MD5 = "cram-md5"
    SCRAM_SHA_256 = "scram-sha-256"
    XOAUTH2 = "xoauth2"
    OAUTHBEARER = "oauthbearer"
    NONE = "none"


class ProxyKind(StrEnum):
    """A proxy's protocol: the scheme of its URL."""

    HTTP = "http"
    SOCKS5 = "socks5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy to the mail server, whose name it looks up.

    Attributes:
        user: Empty when the proxy wants no login.
    """

    kind: ProxyKind
    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


class OAuth2Provider(StrEnum):
    """Who issues access tokens. ``OTHER`` is known by its token endpoint only."""

    MICROSOFT = "microsoft"
    GOOGLE = "google"
    OTHER = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth2:
    """How to get an access token (RFC 6749): one grant, and everything it needs.

    Attributes:
        tenant: Microsoft: the directory's id or domain. Google with ``is_federated``: the workload
            identity provider's resource name, ``projects/…/providers/…``.
        client_id: Google with ``is_federated``: the service account's address.
        client_secret: Google without a refresh token: the service account's key, a JSON text.
        refresh_token: Empty for the other grants.
        scope: Empty means the provider's scope for sending mail.
        token_url: Replaces the provider's own; empty only when there is a provider.
        is_federated: The job's own identity is used in place of a stored secret.
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
    """A word in a list of recipients that stands for people to look up."""

    AUTHOR = "author"
    CONTRIBUTORS = "contributors"


class Trigger(StrEnum):
    """The words of ``send-on``."""

    ALWAYS = "always"
    PASSED = "passed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    VIOLATED = "violated"
    BLOCKED = "blocked"
    BYPASSED = "bypassed"
    NOT_ATTESTED = "not-attested"
    CHANGED = "changed"
    FIXED = "fixed"
    NEW_VIOLATIONS = "new-violations"
    UNVERIFIED = "unverified"


class Require(StrEnum):
    """How many recipients have to be accepted for the step to succeed."""

    ALL = "all"
    ANY = "any"


class EnvValues(StrEnum):
    """What a mail shows of the attested environment variables."""

    SHOW = "show"
    NAMES = "names"
    HIDE = "hide"


class Thread(StrEnum):
    """Which mails form one conversation in a mail program."""

    RUN = "run"
    REF = "ref"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A header field that the user adds (RFC 5322 section 3.6.8).

    Attributes:
        name: ASCII, and not a name that the protocol or this program owns.
        value: One line without control characters; not only ASCII.
    """

    name: str
    value: str


class Dsn(StrEnum):
    """What the mail systems on the way have to report (RFC 3461 section 4.1)."""

    SUCCESS = "success"
    FAILURE = "failure"
    DELAY = "delay"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """How a mail travels to the submission server.

    Attributes:
        tls_ca_file: PEM text, or the path of a PEM file, of authorities to trust besides the
            system's. Empty when only the system's are trusted.
        tls_fingerprint: SHA-256 of the server's certificate, 64 lower-case hexadecimal digits,
            trusted in place of all authorities. Empty when authorities are trusted.
        tls_client_cert: PEM text or path of the client certificate; empty when there is none.
        tls_client_key: PEM text or path of its key; empty when ``tls_client_cert`` holds it.
        has_token: The registration's password is an OAuth access token.
        proxy: None for a direct connection.
        ehlo_name: Empty means the machine's own name, or its address.
        dsn: Reports to ask for, where the server offers DSN. Empty leaves it to the servers.
        require_tls: Every server on the way has to use TLS, or the mail comes back (RFC 8689).
        timeout: Seconds for one network step.
        deadline: Seconds for everything that touches the network.
        patience: Seconds to keep trying a server that has never taken a connection.
        window: Messages that may precede the replies to earlier ones, where the server offers
            CHUNKING: what fills a line of 50 ms, and what may end up unknown at worst.
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
    patience: float = 20.0
    window: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclosures:
    """The files attached to a mail ("attachment" means something else in Chainloop).

    Attributes:
        has_evidence: The attestation's documents, exactly as they were given.
        has_report: All facts as JSON.
        patterns: Paths and globs of files, relative to the workspace.
        max_size: Bytes of all files together, before their encoding.
    """

    has_evidence: bool = False
    has_report: bool = False
    patterns: tuple[str, ...] = ()
    max_size: int = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """The form of a mail.

    Attributes:
        reply_to: Where answers go. Empty means to the sender.
        headers: Header fields that the user adds, in order; each name once.
        subject: Source of a template. Empty means the built-in subject.
        template_dir: Folder of the user's templates. Empty means the built-in ones only.
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
    """A value that nobody may see.

    Attributes:
        name: The input that holds it, and whose it is when there are several.
        user: The user name that is sent with it (AUTH PLAIN); empty when there is none.
    """

    name: str
    value: str = field(repr=False)
    user: str = ""


class RunSelection(StrEnum):
    """A word for runs whose ids nobody knows.

    AUTO is every Chainloop run of this CI run, NEW every run that has ended since the last time.
    """

    AUTO = "auto"
    NEW = "new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """All inputs of one mail, validated. Empty strings and tuples mean "not given".

    Attributes:
        attestation: Paths, ``-``, ``https://`` URLs, one a line, or the JSON text itself.
        workflow_run_ids: UUIDs to ask the ``chainloop`` command for.
        run_selection: Which runs to ask it for instead; None when not given.
        state_file: Path of what `RunSelection.NEW` remembers; given with it alone.
        previous_attestation: An earlier run's, in the same forms as ``attestation``.
        policy_evaluations: One source in the same forms as ``attestation``.
        trusted_root: PEM text, or the path of a PEM file, of authorities of signing certificates
            and of timestamps.
        verification_key: PEM text or path of a public key.
        require_signature: A run whose signature is not verified fails the step.
        project: Chainloop's project, for a run whose attestation does not name it.
        workflow: Chainloop's workflow, in the same way.
        job_status: None when not given.
        oauth2: How to get the token that is used as password; None when there is a password.
        lookups: People to look up, each with the input that wants them: ``to``, ``cc`` or ``bcc``.
        allowed_domains: Domains and globs; every recipient has to be in one of them.
        redirect_to: Gets every mail in place of all recipients.
        send_on: The mail is sent when one of these applies.
        config: Path of the configuration file; when empty, the caller looks for one.
        max_recipients: Limit for one transaction.
        output_dir: When empty, the caller chooses one.
        secrets: All secrets in the inputs, used or not.
    """

    registration: Registration
    attachment: Attachment = Attachment()
    bcc: tuple[Mailbox, ...] = ()
    envelope_from: Mailbox | None = None
    attestation: str = field(default="", repr=False)
    workflow_run_ids: tuple[str, ...] = ()
    run_selection: RunSelection | None = None
    state_file: str = ""
    previous_attestation: str = field(default="", repr=False)
    policy_evaluations: str = field(default="", repr=False)
    trusted_root: str = ""
    verification_key: str = ""
    require_signature: bool = False
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
    def has_trust(self) -> bool:
        """Says whose signature counts, so that signatures are verified."""
        return bool(self.trusted_root or self.verification_key)

    @property
    def is_success(self) -> bool:
        """Neither this job nor an earlier one is known to have failed or been cancelled."""
        return Job(status=self.job_status, needs=self.needs).is_success


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """Used as a password, for an hour or so.

    Attributes:
        network_seconds: Time spent on getting it.
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
