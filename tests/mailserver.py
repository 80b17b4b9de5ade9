"""A private mail server for one test run: Postfix to submit to, Dovecot to log in with.

Both come from the machine's packages and run as a site would run them, but on free loopback
ports, with every file in a temporary folder: the machine's own instances, and /etc, are neither
read nor written. Mails end in one Maildir for each address of `MAILBOXES`, where
`MailServer.mailbox` reads them.

The configuration is written for Postfix 3.4 and up and Dovecot 2.3. Needs root.
"""

import os
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trustme

from real import require_real

DOMAIN = "example.test"
HOST_NAME = f"mail.{DOMAIN}"

MAILBOXES = tuple(
    f"{name}@{DOMAIN}"
    for name in ("ci", "security", "release", "audit", "compliance", "board", "builds")
)
"""Every mailbox there is. Another address of `DOMAIN` is refused with 550 5.1.1, one of another
domain with 554 5.7.1."""

GREYLISTED = f"greylisted@{DOMAIN}"
"""A recipient that is always put off: 450 4.2.0."""

REFUSED_AFTER_DATA = "Refuse-After-Data"
"""A header: a mail that carries it, whatever its value, is refused after the final dot."""

SIZE_LIMIT = 2_000_000
"""Octets; announced by SIZE, and a longer mail is refused."""

# Owns the mails. A bare number, so that no account has to be made.
_MAIL_UID = 5000

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}

# A whole start, and a whole stop, takes about a second.
_PATIENCE = 20.0


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
        ca: Made the server's certificate. One it makes for a client is accepted instead of a login.
        ca_file: The certificate of `ca`, PEM.
        user: Of the ordinary account.
        password: Of the ordinary account.
        folder: Holds every file of both servers.
    """

    host: str
    submission_port: int
    submissions_port: int
    ca: trustme.CA
    ca_file: Path
    user: str
    password: str
    folder: Path

    def mailbox(self, address: str, count: int = 1, timeout: float = 10.0) -> list[bytes]:
        """What lies in a mailbox, oldest first, once there are at least `count` mails.

        Lines end in LF, as Maildir stores them, and the mail starts with what delivery put before
        it: Return-Path, X-Original-To, Delivered-To, Received.

        Raises:
            AssertionError: After `timeout` seconds with fewer mails; carries the servers' logs.
        """
        folder = self._maildir(address)
        if not _within(timeout, lambda: len(_files(folder)) >= count):
            raise AssertionError(
                f"{len(_files(folder))} mails for {address} after {timeout} s, not {count}\n"
                + self.log()
            )
        return [path.read_bytes() for path in _files(folder)]

    def settle(self, timeout: float = 10.0) -> None:
        """Waits until Postfix holds no mail of its own: what is not delivered now, never will be.

        Raises:
            AssertionError: After `timeout` seconds; carries the servers' logs.
        """
        queue = self.folder / "queue"
        held = [queue / name for name in ("incoming", "active", "deferred")]
        if not _within(timeout, lambda: not any(_files(folder) for folder in held)):
            raise AssertionError(f"mail still queued after {timeout} s\n{self.log()}")

    def empty(self) -> None:
        """Empties every mailbox."""
        self.settle()
        for address in MAILBOXES:
            for path in _files(self._maildir(address)):
                path.unlink()

    def log(self) -> str:
        """What both servers wrote down, from their start to now."""
        return _log(self.folder)

    def _maildir(self, address: str) -> Path:
        if address not in MAILBOXES:
            raise ValueError(f"{address} is not one of {MAILBOXES}")
        return self.folder / "mail" / address / "new"


@contextmanager
def running() -> Iterator[MailServer]:
    """Starts the two servers, and leaves neither a process nor a file behind."""
    postfix, dovecot = require_real("postfix", "dovecot")
    with ExitStack() as stack:
        # Below /tmp itself and not pytest's tmp_path: that is closed to the servers' own users,
        # and a socket's path may not be longer than 107 bytes.
        folder = Path(tempfile.mkdtemp(prefix="mailserver-"))
        stack.callback(shutil.rmtree, folder)
        folder.chmod(0o711)
        server = _prepare(folder)
        stack.enter_context(_dovecot(dovecot, folder))
        stack.enter_context(_postfix(postfix, server))
        yield server


def _prepare(folder: Path) -> MailServer:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    leaf = ca.issue_cert(HOST_NAME, "localhost", "127.0.0.1")
    leaf.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    (folder / "server.pem").chmod(0o600)
    for name, owner in (("mail", _MAIL_UID), ("data", "postfix")):
        (folder / name).mkdir(mode=0o700)
        shutil.chown(folder / name, owner)
    for name in ("queue", "config", "sockets"):
        (folder / name).mkdir(mode=0o755)
    submission_port, submissions_port = _free_ports(2)
    return MailServer(
        host="127.0.0.1",
        submission_port=submission_port,
        submissions_port=submissions_port,
        ca=ca,
        ca_file=folder / "ca.pem",
        user=ACCOUNT.user,
        password=ACCOUNT.password,
        folder=folder,
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
auth_mechanisms = plain login cram-md5 scram-sha-256
# A wrong password is answered at once, and so is the right one after it.
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
passdb {{
  driver = passwd-file
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


@contextmanager
def _dovecot(program: Path, folder: Path) -> Iterator[None]:
    passwords = folder / "config" / "passwords"
    passwords.write_text(
        "".join(f"{a.user}:{a.password}::::::\n" for a in (ACCOUNT, AWKWARD_ACCOUNT)),
        encoding="utf-8",
    )
    passwords.chmod(0o640)
    shutil.chown(passwords, group="dovecot")
    conf = folder / "config" / "dovecot.conf"
    conf.write_text(_DOVECOT_CONF.format(folder=folder, uid=_MAIL_UID), encoding="utf-8")
    ready = (folder / "sockets" / "auth").is_socket
    with _process(folder, ready, str(program), "-F", "-c", str(conf)):
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
smtpd_recipient_restrictions =
    check_recipient_access texthash:{folder}/config/recipients, reject_unauth_destination
"""

# No service is chrooted: the queue holds no copies of /etc.
_MASTER_CF = """\
127.0.0.1:{submission_port} inet n - n - - smtpd
  -o syslog_name=postfix/submission -o smtpd_tls_security_level=encrypt
127.0.0.1:{submissions_port} inet n - n - - smtpd
  -o syslog_name=postfix/submissions -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
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
    }
    files = {
        "main.cf": _MAIN_CF.format(**values),
        "master.cf": _MASTER_CF.format(**values),
        # The trailing slash makes it a Maildir.
        "mailboxes": "".join(f"{address} {address}/\n" for address in (*MAILBOXES, GREYLISTED)),
        "recipients": f"{GREYLISTED} 450 4.2.0 Greylisted, come back later\n",
        "header_checks": f"/^{REFUSED_AFTER_DATA}:/ REJECT 5.7.1 Content refused\n",
    }
    for name, text in files.items():
        (config / name).write_text(text, encoding="utf-8")
    # What `postfix start-fg` does, but for the shell that it leaves between us and the master.
    subprocess.run((program, "-c", config, "check"), check=True, env=_ENVIRONMENT)
    daemons = subprocess.run(
        (program.with_name("postconf"), "-c", config, "-h", "daemon_directory"),
        check=True,
        env=_ENVIRONMENT,
        capture_output=True,
        text=True,
    ).stdout.strip()
    with _process(
        server.folder, lambda: _greets(server), f"{daemons}/master", "-s", "-c", str(config)
    ):
        yield


def _greets(server: MailServer) -> bool:
    # Up to STARTTLS and QUIT: a listening socket alone does not say that smtpd can run.
    context = ssl.create_default_context(cafile=server.ca_file)
    try:
        with smtplib.SMTP(server.host, server.submission_port, timeout=5) as client:
            client.starttls(context=context)
    except (OSError, smtplib.SMTPException):
        return False
    return True


# -------------------------------------------------------------------------------- processes


# Runs a server, and ends it and its children once our end of the pipe is closed: by us, or by the
# kernel when the test run was killed and could not clean up. Dovecot's processes are of one group;
# Postfix's master makes a group of its own, and ends that with itself.
_GUARDED = """
exec 3<&0
"$@" 3<&- & server=$!
{ cat <&3; kill $server; } &
wait $server
kill 0
"""


@contextmanager
def _process(folder: Path, ready: Callable[[], bool], *command: str) -> Iterator[None]:
    with (
        (folder / "start.log").open("ab") as log,
        subprocess.Popen(
            ("sh", "-c", _GUARDED, "sh", *command),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=_ENVIRONMENT,
        ) as process,
    ):
        try:
            if not _within(_PATIENCE, lambda: process.poll() is not None or ready()):
                raise RuntimeError(f"{command} is not ready after {_PATIENCE} s\n{_log(folder)}")
            if process.poll() is not None:
                raise RuntimeError(f"{command} ended at once\n{_log(folder)}")
            yield
        finally:
            _end_all(folder)


def _end_all(folder: Path) -> None:
    """Ends every process that works in `folder`: first asked, then made to."""
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, _PATIENCE)):
        for pid in processes_of(folder):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if _within(patience, lambda: not processes_of(folder)):
            return
    raise RuntimeError(f"processes {processes_of(folder)} of {folder} cannot be ended")


def processes_of(folder: Path) -> list[int]:
    # Both servers' processes stand in their queue or base folder, or name the folder they were
    # started with.
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                line = (entry / "cmdline").read_bytes()
                if not line:
                    continue  # a zombie, which is ours to wait for, or a thread of the kernel
                if (entry / "cwd").readlink().is_relative_to(folder) or bytes(folder) in line:
                    found.append(int(entry.name))
    return found


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _within(timeout: float, holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _files(folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    return sorted(files, key=lambda path: path.stat().st_mtime_ns)


def _log(folder: Path) -> str:
    return "".join(
        f"--- {path.name}\n{path.read_text(encoding='utf-8', errors='replace')}"
        for path in (folder / name for name in ("start.log", "dovecot.log", "postfix.log"))
        if path.is_file()
    )
