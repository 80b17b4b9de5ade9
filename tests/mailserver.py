"""A private mail server for one test run: Postfix to submit to, Dovecot to log in with.

Both come from the machine's packages and run as a site would run them, but on free loopback
ports, with every file in a temporary folder: the machine's own instances, and /etc, are neither
read nor written. Mails end in one Maildir for each address of `MAILBOXES`, where
`MailServer.mailbox` reads them. `eximserver` runs another implementation to the same rules.

The configuration is written for Postfix 3.4 and up and Dovecot 2.3. Needs root.
"""

import shutil
import smtplib
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

import daemons
import greylist
import introspection
from real import require_real

DOMAIN = "example.test"
HOST_NAME = f"mail.{DOMAIN}"

MAILBOXES = tuple(
    f"{name}@{DOMAIN}"
    for name in (
        *("ci", "security", "release", "audit", "compliance", "board", "builds", "delayed"),
        "jörg",
    )
)
"""Every mailbox there is. Another address of `DOMAIN` is refused with 550 5.1.1, one of another
domain with 554 5.7.1."""

GREYLISTED = f"greylisted@{DOMAIN}"
"""A recipient that is always put off: 450 4.2.0."""

DELAYED = f"delayed@{DOMAIN}"
"""A recipient that is put off once and taken the second time, as greylisting does it."""

REFUSED_AFTER_DATA = "Refuse-After-Data"
"""A header: a mail that carries it, whatever its value, is refused after the final dot."""

SIZE_LIMIT = 2_000_000
"""Octets; announced by SIZE, and a longer mail is refused."""

WITHOUT = ("CHUNKING", "PIPELINING", "CHUNKING PIPELINING", "SMTPUTF8")
"""Extensions that a server leaves out on a port of its own."""

# Owns the mails. A bare number, so that no account has to be made.
_MAIL_UID = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody who may log in, by any mechanism that the server offers."""

    user: str
    password: str


ACCOUNT = Account(user=f"ci@{DOMAIN}", password="correct-horse-7")
AWKWARD_ACCOUNT = Account(user=f"builds@{DOMAIN}", password="pässwörd \"with\" 'quotes' $HOME ✓")
"""A password in UTF-8 with spaces, both quotes and a dollar inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """A running server.

    Attributes:
        host: Loopback address. The certificate names it, ``localhost`` and `HOST_NAME`.
        submission_port: STARTTLS, required before AUTH.
        submissions_port: TLS from the first byte.
        ports_without: As `submission_port`, but one of `WITHOUT` is not offered.
        open_port: As `submission_port`, but this machine may mail without a login.
        tokens: Where it asks about access tokens.
        ca: Made the server's certificate. One it makes for a client is accepted instead of a login.
        ca_file: The certificate of `ca`, PEM.
        user: Of the ordinary account.
        password: Of the ordinary account.
        folder: Holds every file of the server.
        queues: Where mail lies that is not delivered yet.
        delays: Who is put off, and how often.
    """

    host: str
    submission_port: int
    submissions_port: int
    ports_without: Mapping[str, int]
    open_port: int
    tokens: introspection.Introspection
    ca: trustme.CA
    ca_file: Path
    user: str
    password: str
    folder: Path
    queues: tuple[Path, ...]
    delays: greylist.Delays

    def mailbox(self, address: str, count: int = 1, timeout: float = 10.0) -> list[bytes]:
        """What lies in a mailbox, oldest first, once there are at least `count` mails.

        Lines end in LF, as Maildir stores them, and the mail starts with what delivery put before
        it: Return-Path, X-Original-To, Delivered-To, Received.

        Raises:
            AssertionError: After `timeout` seconds with fewer mails; carries the servers' logs.
        """
        folder = self._maildir(address)
        if not daemons.within(timeout, lambda: len(daemons.files(folder)) >= count):
            raise AssertionError(
                f"{len(daemons.files(folder))} mails for {address} after {timeout} s, not {count}\n"
                + self.log()
            )
        return [path.read_bytes() for path in daemons.files(folder)]

    def settle(self, timeout: float = 10.0) -> None:
        """Waits until the server holds no mail: what is not delivered now, never will be.

        Raises:
            AssertionError: After `timeout` seconds; carries the servers' logs.
        """
        if not daemons.within(timeout, lambda: not any(map(daemons.files, self.queues))):
            raise AssertionError(f"mail still queued after {timeout} s\n{self.log()}")

    def empty(self) -> None:
        """Empties every mailbox, and forgets who was put off."""
        self.settle()
        self.delays.forget()
        self.tokens.forget()
        for address in MAILBOXES:
            for path in daemons.files(self._maildir(address)):
                path.unlink()

    def log(self) -> str:
        """What the server wrote down, from their start to now."""
        return daemons.log(self.folder)

    def _maildir(self, address: str) -> Path:
        if address not in MAILBOXES:
            raise ValueError(f"{address} is not one of {MAILBOXES}")
        return self.folder / "mail" / address / "new"


@contextmanager
def running() -> Iterator[MailServer]:
    """Starts the two servers, and leaves neither a process nor a file behind."""
    postfix, dovecot = require_real("postfix", "dovecot")
    with prepared("queue/incoming", "queue/active", "queue/deferred") as server:
        folder = server.folder
        for name, owner in (("mail", _MAIL_UID), ("data", "postfix")):
            (folder / name).mkdir(mode=0o700)
            shutil.chown(folder / name, owner)
        for name in ("queue", "config", "sockets"):
            (folder / name).mkdir(mode=0o755)
        with _dovecot(dovecot, server), _postfix(postfix, server):
            yield server


@contextmanager
def prepared(*queues: str) -> Iterator[MailServer]:
    """A folder with certificates, ports and a greylist, for a server that is to be started.

    Args:
        queues: Folders, below that of the server, where mail waits.
    """
    with ExitStack() as stack:
        # Below /tmp itself and not pytest's tmp_path: that is closed to the servers' own users,
        # and a socket's path may not be longer than 107 bytes.
        folder = Path(tempfile.mkdtemp(prefix="mailserver-"))
        stack.callback(shutil.rmtree, folder)
        folder.chmod(0o711)
        ca = trustme.CA()
        ca.cert_pem.write_to_path(folder / "ca.pem")
        leaf = ca.issue_cert(HOST_NAME, "localhost", "127.0.0.1")
        leaf.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
        (folder / "server.pem").chmod(0o600)
        submission_port, submissions_port, open_port, *others = daemons.free_ports(3 + len(WITHOUT))
        yield MailServer(
            host="127.0.0.1",
            submission_port=submission_port,
            submissions_port=submissions_port,
            open_port=open_port,
            ports_without=dict(zip(WITHOUT, others, strict=True)),
            ca=ca,
            ca_file=folder / "ca.pem",
            user=ACCOUNT.user,
            password=ACCOUNT.password,
            folder=folder,
            queues=tuple(folder / queue for queue in queues),
            delays=stack.enter_context(greylist.running()),
            tokens=stack.enter_context(introspection.running()),
        )


# ---------------------------------------------------------------------------------- Dovecot

_DOVECOT_CONF = """\
base_dir = {folder}/dovecot
state_dir = {folder}/dovecot
log_path = {folder}/dovecot.log
auth_verbose = yes
# Only what answers Postfix's question whether a password is right.
protocols =
ssl = no
auth_mechanisms = plain login cram-md5 scram-sha-256 xoauth2 oauthbearer
# A wrong password is answered at once, and so is the right one after it.
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/config/oauth2.conf
}}
passdb {{
  driver = passwd-file
  mechanisms = plain login cram-md5 scram-sha-256
  # PLAIN, since CRAM-MD5 and SCRAM need the password itself.
  args = scheme=PLAIN username_format=%u {folder}/config/passwords
}}
userdb {{
  driver = static
  args = uid={uid} gid={uid} home={folder}/mail/%u
}}
service auth {{
  unix_listener {folder}/sockets/auth {{
    mode = 0600
    user = postfix
  }}
}}
"""


_OAUTH2_CONF = """\
introspection_mode = post
introspection_url = http://127.0.0.1:{port}/introspect
username_attribute = username
active_attribute = active
active_value = true
"""


@contextmanager
def _dovecot(program: Path, server: MailServer) -> Iterator[None]:
    folder = server.folder
    passwords = folder / "config" / "passwords"
    passwords.write_text(
        "".join(f"{a.user}:{a.password}::::::\n" for a in (ACCOUNT, AWKWARD_ACCOUNT)),
        encoding="utf-8",
    )
    passwords.chmod(0o640)
    shutil.chown(passwords, group="dovecot")
    oauth2 = _OAUTH2_CONF.format(port=server.tokens.port)
    (folder / "config" / "oauth2.conf").write_text(oauth2, encoding="utf-8")
    conf = folder / "config" / "dovecot.conf"
    conf.write_text(_DOVECOT_CONF.format(folder=folder, uid=_MAIL_UID), encoding="utf-8")
    ready = (folder / "sockets" / "auth").is_socket
    with daemons.process(folder, ready, str(program), "-F", "-c", str(conf)):
        yield


# ---------------------------------------------------------------------------------- Postfix

_MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}

myhostname = {host_name}
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
# Nothing leaves this machine, and nothing is asked of the DNS.
default_transport = error:this server delivers to its own mailboxes only
smtpd_peername_lookup = no
# As strict as it can be without the DNS about what clients call themselves.
smtpd_helo_required = yes
smtpd_helo_restrictions = reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname
alias_maps =
mydestination =
local_recipient_maps =

virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = texthash:{folder}/config/mailboxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
message_size_limit = {size_limit}
header_checks = regexp:{folder}/config/header_checks
# So that the hundredth mail of a test arrives as soon as the first.
in_flow_delay = 0

smtpd_tls_chain_files = {folder}/server.pem
smtpd_tls_CAfile = {folder}/ca.pem
smtpd_tls_ask_ccert = yes
smtpd_tls_auth_only = yes
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes

smtpd_sasl_type = dovecot
smtpd_sasl_path = {folder}/sockets/auth
smtpd_sasl_auth_enable = yes
# The Received field names the account that logged in, for a test to read.
smtpd_sasl_authenticated_header = yes
smtpd_relay_restrictions = permit_sasl_authenticated, permit_tls_all_clientcerts, reject
smtpd_restriction_classes = delaying
delaying = check_policy_service inet:127.0.0.1:{delays_port}
smtpd_recipient_restrictions =
    check_recipient_access texthash:{folder}/config/recipients, reject_unauth_destination
"""

# No service is chrooted: the queue holds no copies of /etc.
_MASTER_CF = """\
127.0.0.1:{submission_port} inet n - n - - smtpd
  -o syslog_name=postfix/submission -o smtpd_tls_security_level=encrypt
127.0.0.1:{submissions_port} inet n - n - - smtpd
  -o syslog_name=postfix/submissions -o smtpd_tls_wrappermode=yes
127.0.0.1:{open_port} inet n - n - - smtpd
  -o syslog_name=postfix/open -o smtpd_tls_security_level=encrypt
  -o smtpd_relay_restrictions=permit_mynetworks,reject
{others}cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


_SERVICE_WITHOUT = """\
127.0.0.1:{port} inet n - n - - smtpd
  -o syslog_name=postfix/without -o smtpd_tls_security_level=encrypt
  -o smtpd_discard_ehlo_keywords={keywords},silent-discard
"""


@contextmanager
def _postfix(program: Path, server: MailServer) -> Iterator[None]:
    config = server.folder / "config"
    values = {
        "folder": server.folder,
        "host_name": HOST_NAME,
        "domain": DOMAIN,
        "uid": _MAIL_UID,
        "size_limit": SIZE_LIMIT,
        "submission_port": server.submission_port,
        "submissions_port": server.submissions_port,
        "open_port": server.open_port,
        "delays_port": server.delays.port,
        "others": "".join(
            _SERVICE_WITHOUT.format(port=port, keywords=words.replace(" ", ","))
            for words, port in server.ports_without.items()
        ),
    }
    files = {
        "main.cf": _MAIN_CF.format(**values),
        "master.cf": _MASTER_CF.format(**values),
        # The trailing slash makes it a Maildir.
        "mailboxes": "".join(f"{address} {address}/\n" for address in (*MAILBOXES, GREYLISTED)),
        "recipients": f"{GREYLISTED} {greylist.REPLY}\n{DELAYED} delaying\n",
        "header_checks": f"/^{REFUSED_AFTER_DATA}:/ REJECT 5.7.1 Content refused\n",
    }
    for name, text in files.items():
        (config / name).write_text(text, encoding="utf-8")
    # What `postfix start-fg` does, but for the shell that it leaves between us and the master.
    subprocess.run((program, "-c", config, "check"), check=True, env=daemons.ENVIRONMENT)
    libexec = subprocess.run(
        (program.with_name("postconf"), "-c", config, "-h", "daemon_directory"),
        check=True,
        env=daemons.ENVIRONMENT,
        capture_output=True,
        text=True,
    ).stdout.strip()
    with daemons.process(
        server.folder, lambda: greets(server), f"{libexec}/master", "-s", "-c", str(config)
    ):
        yield


def greets(server: MailServer) -> bool:
    """Whether it takes a caller up to STARTTLS and QUIT: to listen alone is not to run."""
    context = ssl.create_default_context(cafile=server.ca_file)
    try:
        with smtplib.SMTP(server.host, server.submission_port, timeout=5) as client:
            client.starttls(context=context)
    except (OSError, smtplib.SMTPException):
        return False
    return True
