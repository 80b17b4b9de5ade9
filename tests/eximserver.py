"""Exim to the same rules as `mailserver`: the second implementation that every mail has to pass.

Its package cannot be installed beside Postfix, so `.ci/run` unpacks it into ``.real/exim`` of the
checkout. Nothing there is setuid: the daemon is started by root and delivers as Exim's own user.

The configuration is written for Exim 4.96 and up, built with GnuTLS.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import daemons
import greylist
from mailserver import (
    ACCOUNT,
    AWKWARD_ACCOUNT,
    DELAYED,
    DOMAIN,
    GREYLISTED,
    HOST_NAME,
    MAILBOXES,
    REFUSED_AFTER_DATA,
    SIZE_LIMIT,
    MailServer,
    greets,
    prepared,
)
from real import require_real

# Debian's build runs as this user, and cannot start where it is not known.
USER = "Debian-exim"

_CONFIGURATION = r"""
PASSWORDS = {passwords}
exim_path = {program}
spool_directory = {folder}/spool
log_file_path = {folder}/exim-%s.log
pid_file_path = {folder}/exim.pid
keep_environment =

primary_hostname = {host_name}
local_interfaces = 127.0.0.1
daemon_smtp_ports = {submission_port} : {submissions_port} : {open_port} : {ports_without}
tls_on_connect_ports = {submissions_port}
tls_certificate = {folder}/server.pem
tls_advertise_hosts = *
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
chunking_advertise_hosts = ${{if inlist{{$received_port}}{{{without_chunking}}}{{}}{{*}}}}
pipelining_advertise_hosts = ${{if inlist{{$received_port}}{{{without_pipelining}}}{{}}{{*}}}}
smtputf8_advertise_hosts = ${{if inlist{{$received_port}}{{{without_smtputf8}}}{{}}{{*}}}}
dsn_advertise_hosts = *
message_size_limit = {size_limit}
# Nothing is asked of the DNS, or of those who connect.
host_lookup =
rfc1413_query_timeout = 0s
deliver_drop_privilege = true
queue_only = false
smtp_accept_max = 100
domainlist ours = {domain}
received_header_text = Received: from $sender_helo_name by $primary_hostname with \
  $received_protocol ($tls_in_cipher) (Authenticated sender: $authenticated_id) \
  id $message_exim_id
log_selector = +smtp_protocol_error +tls_cipher

acl_smtp_mail = sender
acl_smtp_rcpt = recipient
acl_smtp_data = content

begin acl

sender:
  deny message = 530 5.7.0 Authentication required
       !authenticated = *
       !condition = ${{if eq{{$received_port}}{{{open_port}}}}}
  accept

recipient:
  deny message = 554 5.7.1 Relay access denied
       !domains = +ours
  defer message = {reply}
        recipients = {greylisted}
  defer message = {reply}
        recipients = {delayed}
        condition = ${{if match{{${{readsocket{{inet:127.0.0.1:{delays_port}}}\
          {{recipient=$local_part@$domain\n\n}}{{5s}}}}}}{{=450}}}}
  deny message = 550 5.1.1 No such mailbox
       !verify = recipient
  accept

content:
  deny message = 550 5.7.1 Content refused
       condition = ${{if def:h_{refused_after_data}:}}
  accept

begin routers

mailboxes:
  driver = accept
  domains = +ours
  local_parts = lsearch;{folder}/config/mailboxes
  transport = maildir

begin transports

maildir:
  driver = appendfile
  directory = {folder}/mail/$local_part_data
  maildir_format
  return_path_add
  envelope_to_add
  delivery_date_add

begin authenticators

plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if eq{{$auth3}}{{${{lookup{{$auth2}}lsearch{{PASSWORDS}}}}}}}}
  server_set_id = $auth2

login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if eq{{$auth2}}{{${{lookup{{$auth1}}lsearch{{PASSWORDS}}}}}}}}
  server_set_id = $auth1

cram_md5:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{lookup{{$auth1}}lsearch{{PASSWORDS}}{{$value}}fail}}
  server_set_id = $auth1
"""


@contextmanager
def running() -> Iterator[MailServer]:
    """Starts Exim, and leaves neither a process nor a file behind."""
    (exim,) = require_real("exim4")
    with prepared("spool/input") as server:
        folder = server.folder
        # Exim writes its logs here.
        shutil.chown(folder, USER)
        shutil.chown(folder / "server.pem", USER)
        for name in ("spool", "mail", "config"):
            (folder / name).mkdir(mode=0o750)
            shutil.chown(folder / name, USER, USER)
        configuration = _configure(exim, server)
        with daemons.process(
            folder, lambda: greets(server), str(exim), "-C", str(configuration), "-bdf"
        ):
            yield server


def _configure(exim: Path, server: MailServer) -> Path:
    folder = server.folder / "config"
    passwords = folder / "passwords"
    passwords.write_text(
        "".join(f"{each.user}: {each.password}\n" for each in (ACCOUNT, AWKWARD_ACCOUNT)),
        encoding="utf-8",
    )
    mailboxes = folder / "mailboxes"
    mailboxes.write_text(
        "".join(f"{each.partition('@')[0]}: {each}\n" for each in (*MAILBOXES, GREYLISTED)),
        encoding="utf-8",
    )
    for path in (passwords, mailboxes):
        shutil.chown(path, USER)
        path.chmod(0o600)
    configuration = folder / "exim.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            program=exim,
            folder=server.folder,
            host_name=HOST_NAME,
            domain=DOMAIN,
            submission_port=server.submission_port,
            submissions_port=server.submissions_port,
            open_port=server.open_port,
            ports_without=_list(server, ""),
            without_chunking=_list(server, "CHUNKING"),
            without_pipelining=_list(server, "PIPELINING"),
            without_smtputf8=_list(server, "SMTPUTF8"),
            size_limit=SIZE_LIMIT,
            greylisted=GREYLISTED,
            delayed=DELAYED,
            delays_port=server.delays.port,
            reply=greylist.REPLY,
            refused_after_data=REFUSED_AFTER_DATA,
            passwords=passwords,
        ),
        encoding="utf-8",
    )
    return configuration


def _list(server: MailServer, extension: str) -> str:
    """Exim's list of the ports that leave the extension out; of all of them for an empty one."""
    return " : ".join(
        str(port) for words, port in server.ports_without.items() if extension in words
    )
