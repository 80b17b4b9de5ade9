"""Mail and Delivery -> files, and receipts back. The only stage that uses the output folder."""

import json
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from chainloop_smtp import __version__, inputfile
from chainloop_smtp.errors import OptionsError, Problem, quoted_path
from chainloop_smtp.inputfile import UnreadableError
from chainloop_smtp.model.mail import (
    Delivery,
    Mail,
    RecipientResult,
    RecipientStatus,
    Reply,
    TransactionResult,
)
from chainloop_smtp.model.settings import Registration, mailbox_key

_RECEIPT = "receipt.json"
_INTERNATIONAL = ".smtputf8.eml"
_MAX_MAIL = 256 * 1024 * 1024  # bytes
_LONGEST = 80  # bytes of a subject or a label in a file's name, which has at most 255
_BETWEEN_WORDS = re.compile(r"[^\w.]+")
# Names that Windows keeps for devices, whatever the suffix.
_DEVICES = re.compile(r"(?:CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³])(?:\..*)?", re.IGNORECASE)
_MAX_RECEIPT = 64 * 1024 * 1024  # bytes
_SCHEMA = "urn:chainloop-smtp:schema:receipt:2"


def file_stem(subject: str, *labels: str) -> str:
    """A name for the files of a mail, which every system takes: ``harbour-Passed-ship-main``.

    Args:
        labels: What tells mails of one subject apart; empty ones are left out.
    """
    stem = "-".join(filter(None, map(_words, (subject, *labels))))
    return f"mail-{stem}" if _DEVICES.fullmatch(stem) else stem


def _words(text: str) -> str:
    words = _BETWEEN_WORDS.sub("-", unicodedata.normalize("NFC", text)).strip("-.")
    return words.encode("utf-8")[:_LONGEST].decode("utf-8", "ignore").strip("-.")


def write_mail(folder: Path, mail: Mail, *, keeps_others: bool = False) -> Path:
    """Write ``<stem>.eml``, ``.html`` and ``.txt``, readable by their owner only.

    ``<stem>.smtputf8.eml`` joins them, where some recipients get a form of their own.

    Args:
        keeps_others: Write beside the files of another mail with this stem, under a number, and
            not in their place.

    Returns:
        Path of the .eml: the exact bytes for the server.

    Raises:
        OptionsError: ``output-dir`` cannot be written to.
    """
    stem, number = _stem(mail), 1
    while keeps_others and _is_of_another(folder / f"{stem}.eml", mail):
        number += 1
        stem = f"{_stem(mail)}-{number}"
    _write(folder / f"{stem}.html", mail.html.encode())
    _write(folder / f"{stem}.txt", mail.text.encode())
    if mail.international:
        _write(folder / f"{stem}{_INTERNATIONAL}", mail.international)
    else:
        with suppress(OSError):
            (folder / f"{stem}{_INTERNATIONAL}").unlink(missing_ok=True)
    return _write(folder / f"{stem}.eml", mail.content)


def write_summary(folder: Path, markdown: str) -> Path:
    """Write ``summary.md``: what the job summary shows, for where there is none."""
    return _write(folder / "summary.md", markdown.encode("utf-8", "replace"))


def write_receipt(folder: Path, entries: Sequence[Mapping[str, object]], now: datetime) -> Path:
    """Write ``receipt.json``, whose shape is `schemas/receipt.json`.

    Args:
        entries: From `receipt_entry` or `read_receipt`.
        now: Aware, in UTC.
    """
    receipt = {
        "$schema": _SCHEMA,
        "version": 2,
        "time": _time(now),
        "program": f"chainloop-smtp {__version__}",
        "deliveries": entries,
    }
    text = json.dumps(receipt, indent=2) + "\n"
    return _write(folder / _RECEIPT, text.encode())


def read_receipt(folder: Path) -> dict[str, list[Mapping[str, Any]]]:
    """Read an earlier run's receipt: its entries by Message-ID; empty where none can be trusted.

    One that another user may have written is not trusted: it would keep mails from being sent.
    """
    entries: dict[str, list[Mapping[str, Any]]] = {}
    try:
        receipt = json.loads(inputfile.read(folder / _RECEIPT, _MAX_RECEIPT, must_be_own=True))
        if receipt["$schema"] == _SCHEMA:
            for each in receipt["deliveries"]:
                entries.setdefault(each["messageId"], []).append(each)
                accepted([each])
    except (UnreadableError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return entries


def accepted(entries: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Keys of the mailboxes for which a server accepted the mail."""
    recipients = (recipient for entry in entries for recipient in entry["recipients"])
    return frozenset(
        mailbox_key(each["address"])
        for each in recipients
        if each["state"] == RecipientStatus.ACCEPTED
    )


def receipt_entry(registration: Registration, delivery: Delivery) -> dict[str, object]:
    """What the receipt says about one mail: who was sent what, and what the server replied.

    A delivery without results is a mail that was not handed to a server.
    """
    mail = delivery.mail
    results = delivery.results or tuple(RecipientResult(recipient=each) for each in mail.recipients)
    return {
        "messageId": mail.message_id,
        "subject": mail.subject,
        "eml": _eml(mail, ".eml", mail.content),
        **(
            {"smtputf8": _eml(mail, _INTERNATIONAL, mail.international)}
            if mail.international
            else {}
        ),
        "from": mail.sender,
        **({"intended": list(mail.intended)} if mail.intended else {}),
        **({"signature": mail.signature} if mail.signature else {}),
        "server": {"host": registration.host, "port": registration.port},
        "interrupted": delivery.is_interrupted,
        "recipients": [
            {
                "address": result.recipient,
                "state": result.status.value if delivery.results else "untried",
                "reply": result.reply and _reply(result.reply),
                "reason": result.why or None,
                **({"hint": result.hint} if result.hint else {}),
            }
            for result in results
        ],
        "attempts": [_attempt(each) for each in delivery.transactions_by_attempt],
    }


def _eml(mail: Mail, suffix: str, content: bytes) -> dict[str, object]:
    import hashlib

    digest = hashlib.sha256(content).hexdigest()
    return {"name": _stem(mail) + suffix, "sha256": digest, "size": len(content)}


def _attempt(transactions: tuple[TransactionResult, ...]) -> dict[str, object]:
    """One attempt; what holds for it as a whole is what its last transaction says."""
    if len(transactions) == 1:
        return _transaction(transactions[0])
    last = transactions[-1]
    recipients = (each for transaction in transactions for each in transaction.recipients)
    problems = [each.why for each in transactions if each.why]
    notes = (note for transaction in transactions for note in transaction.notes)
    whole = replace(
        last,
        started=transactions[0].started,
        recipients=tuple(dict.fromkeys(recipients)),
        round_trips=sum(each.round_trips for each in transactions),
        why=problems[-1] if problems else "",
        notes=tuple(dict.fromkeys(notes)),
    )
    return {
        **_transaction(whole),
        "transactions": [_transaction(each) for each in transactions],
    }


def _transaction(transaction: TransactionResult) -> dict[str, object]:
    return {
        "started": _time(transaction.started),
        "ended": _time(transaction.ended),
        "address": transaction.address or None,
        "tls": {
            "version": transaction.tls,
            "cipher": transaction.cipher,
            "certificateSha256": transaction.certificate,
        }
        if transaction.tls
        else None,
        "mechanism": transaction.mechanism or None,
        "recipients": list(transaction.recipients),
        "roundTrips": transaction.round_trips,
        "reply": transaction.reply and _reply(transaction.reply),
        "problem": transaction.why or None,
        **({"hint": transaction.hint} if transaction.hint else {}),
        **({"notes": list(transaction.notes)} if transaction.notes else {}),
    }


def _reply(reply: Reply) -> dict[str, object]:
    return {"code": reply.code, "enhanced": reply.enhanced or None, "text": reply.text}


def _time(timestamp: datetime) -> str:
    """RFC 3339, in UTC, to the millisecond."""
    return timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _stem(mail: Mail) -> str:
    return mail.stem or mail.message_id.strip("<>").partition("@")[0]


def _is_of_another(path: Path, mail: Mail) -> bool:
    """Another mail lies there, or what cannot be read."""
    try:
        return mail.message_id.encode() not in inputfile.read(path, _MAX_MAIL)
    except UnreadableError:
        # False also where the folder is the trouble: writing then says what it is.
        return os.path.lexists(path)


def _write(path: Path, content: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A new file that takes the name's place when it is whole: what lies there, a link that
        # somebody planted included, is neither followed nor left with its own mode.
        part = path.with_name(f".{os.urandom(8).hex()}.part")
        file = os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        try:
            with file:
                file.write(content)
            part.replace(path)
        except OSError:
            part.unlink()
            raise
    except (OSError, ValueError) as error:
        why = f"{quoted_path(str(path))} cannot be written: {inputfile.reason(error)}"
        raise OptionsError(Problem("output-dir", why)) from error
    return path
