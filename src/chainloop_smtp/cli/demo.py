"""The command ``demo``: the whole program on this machine alone, with an embedded mail server."""

import sys
import tempfile
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from chainloop_smtp import cli
from chainloop_smtp.cli.run import Run
from chainloop_smtp.errors import OptionsError, Problem

if TYPE_CHECKING:
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

USER, PASSWORD = "demo", "a password of the demo's own"
_TO, _CC, _BCC = "security@example.test", "ledger-team@example.test", "audit@example.test"


def demo(run: Run) -> int:
    """Send a sample attestation to the embedded server, and show what has arrived.

    Raises:
        OptionsError: The server's two libraries are not installed.
    """
    inbox: list[Envelope] = []
    folder = Path(tempfile.mkdtemp(prefix="chainloop-smtp-demo-"))
    server = serve(folder, inbox)
    server.start()
    try:
        run.console.say(f"An ESMTP server listens on 127.0.0.1:{server.port} (STARTTLS, AUTH).\n")
        with as_file(files("chainloop_smtp").joinpath("samples/attestation.json")) as sample:
            arguments = {
                "host": "127.0.0.1",
                "port": str(server.port),
                "user": USER,
                "from": "Attestation reports <reports@example.test>",
                "to": f"Security <{_TO}>",
                "cc": _CC,
                "bcc": _BCC,
                "tls-ca-file": str(folder / "ca.pem"),
                "attestation": str(sample),
                "job-status": "failure",
                "output-dir": str(folder),
            }
            flags = [word for name, value in arguments.items() for word in (f"--{name}", value)]
            run.console.say(f"$ chainloop-smtp send --attestation {sample.name} --to {_TO} …")
            code = cli.main(["send", *flags], {"CHAINLOOP_SMTP_PASSWORD": PASSWORD})
    finally:
        server.stop()
    if code or not inbox:
        return code or 5
    run.console.say(f"\nIn the mailboxes of {', '.join(inbox[0].rcpt_tos)}:\n")
    run.console.say("\n".join(f"  | {line}" for line in _excerpt(inbox[0].content)))
    (eml,) = folder.glob("*.eml")
    run.console.say(f"\nOpen the mail in a mail program:  {eml}")
    run.console.say(f"Open what it shows in a browser:  {eml.with_suffix('.html')}")
    run.console.say(_next_steps(run.environ.get("PATH", "")))
    return 0


def _next_steps(path: str) -> str:
    """Two commands to go on with, the first of which works as it stands."""
    import shlex
    from shutil import which

    name = "chainloop-smtp"
    # `make demo` made a .venv for it, which is not on PATH.
    beside = Path(sys.executable).with_name(name)
    command = name if which(name, path=path) or not beside.exists() else shlex.quote(str(beside))
    sample = shlex.quote(str(files("chainloop_smtp").joinpath("samples/attestation.json")))
    server = "--host smtp.example.com --port 587"
    return (
        "\nNext, compose the mail for your own attestation (here the sample), without sending "
        "it:\n\n"
        f"  {command} send --dry-run --output-dir out {server} --auth none \\\n"
        f"    --from me@example.com --to me@example.com --job-status failure "
        f"--attestation {sample}\n\n"
        "Then check your own mail server, step by step, without sending a mail:\n\n"
        f"  CHAINLOOP_SMTP_PASSWORD=... {command} check {server} \\\n"
        "    --user NAME --from me@example.com --to me@example.com"
    )


def _excerpt(content: str | bytes | None) -> list[str]:
    """What the server received, as a mail program shows it: some headers and the text part."""
    from email import message_from_bytes
    from email.policy import default

    received = message_from_bytes(content if isinstance(content, bytes) else b"", policy=default)
    headers = [f"{name}: {received[name]}" for name in ("From", "To", "Cc", "Date", "Subject")]
    part = received.get_body(("plain",))
    return [*headers, "", *(part.get_content().splitlines() if part else ())]


def serve(folder: Path, inbox: "list[Envelope]") -> "Controller":
    """An ESMTP server that wants TLS and a login, with a certificate of a new authority."""
    try:
        import logging
        import ssl

        import trustme
        from aiosmtpd.controller import Controller
        from aiosmtpd.smtp import AuthResult, LoginPassword
    except ImportError as error:
        raise OptionsError(
            Problem(
                "demo",
                f"the library {error.name} is not installed",
                "Install the libraries that it needs: pip install aiosmtpd trustme",
            )
        ) from error

    class Inbox:
        async def handle_DATA(  # noqa: N802  # aiosmtpd's name for it
            self, server: "SMTP", session: "Session", envelope: "Envelope"
        ) -> str:
            del server, session
            inbox.append(envelope)
            return "250 2.0.0 accepted by the demo"

    def authenticate(
        server: "SMTP", session: "Session", envelope: "Envelope", mechanism: str, data: object
    ) -> "AuthResult":
        del server, session, envelope, mechanism
        known = LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=data == known, handled=False)

    # aiosmtpd warns about its own use of a deprecated attribute.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return Controller(
        Inbox(),
        hostname="127.0.0.1",
        port=_free_port(),
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=authenticate,
    )


def _free_port() -> int:
    """A port that nothing listens on; with port 0, the controller does not say which it got."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
