"""Mail and Delivery -> files. The only stage that writes into the output folder."""

import json
import os
from datetime import datetime
from pathlib import Path

from chainloop_smtp.errors import OptionsError, Problem, quoted
from chainloop_smtp.model import Delivery, Mail, Registration, Reply


def write_mail(folder: Path, mail: Mail) -> Path:
    """Writes ``<id>.eml``, ``.html`` and ``.txt``, readable by their owner only.

    Returns:
        Path of the .eml: the exact octets for the server.

    Raises:
        OptionsError: ``output-dir`` cannot be written to.
    """
    stem = mail.message_id.strip("<>").partition("@")[0]
    _write(folder / f"{stem}.html", mail.html.encode())
    _write(folder / f"{stem}.txt", mail.text.encode())
    return _write(folder / f"{stem}.eml", mail.content)


def write_summary(folder: Path, markdown: str) -> Path:
    """Writes ``summary.md``: what the job summary shows, for where there is none."""
    return _write(folder / "summary.md", markdown.encode("utf-8", "replace"))


def write_receipt(
    folder: Path, mail: Mail, registration: Registration, delivery: Delivery | None, now: datetime
) -> Path:
    """Writes ``receipt.json``: what was sent to whom, and what the server said.

    Args:
        delivery: None when nothing was handed to a server.
        now: Aware, in UTC.
    """
    import hashlib

    receipt = {
        "version": 1,
        "time": now.isoformat(),
        "messageId": mail.message_id,
        "subject": mail.subject,
        "sha256": hashlib.sha256(mail.content).hexdigest(),
        "size": len(mail.content),
        "server": {"host": registration.host, "port": registration.port},
        "envelope": {"from": mail.sender, "to": list(mail.recipients)},
        "delivery": delivery
        and {
            "accepted": list(delivery.accepted),
            "refused": [
                {"recipient": each.recipient} | _reply(each.reply) for each in delivery.refused
            ],
            "reply": delivery.reply and _reply(delivery.reply),
            "tls": delivery.tls or None,
            "mechanism": delivery.mechanism or None,
            "attempts": delivery.attempts,
            "roundTrips": delivery.round_trips,
            "seconds": round(delivery.duration, 3),
        },
    }
    return _write(folder / "receipt.json", (json.dumps(receipt, indent=2) + "\n").encode())


def _reply(reply: Reply) -> dict[str, object]:
    return {"code": reply.code, "enhanced": reply.enhanced or None, "text": reply.text}


def _write(path: Path, content: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A new file that takes the name's place when it is whole: what lies there, a link that
        # somebody planted included, is neither followed nor left with its own mode.
        part = path.with_name(f".{os.urandom(8).hex()}.part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        try:
            part.replace(path)
        except OSError:
            part.unlink()
            raise
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "not a path"
        raise OptionsError(
            Problem("output-dir", f"{quoted(str(path))} cannot be written: {why.lower()}")
        ) from error
    return path
