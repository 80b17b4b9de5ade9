"""What is left in the output folder, and who may read it."""

import hashlib
import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chainloop_smtp import outbox
from chainloop_smtp.errors import OptionsError
from chainloop_smtp.model import Delivery, Mail, Mailbox, Refusal, Registration, Reply

MAIL = Mail(
    sender="bounces@example.com",
    recipients=("security@example.com", "audit@example.com"),
    message_id="<0123abcd@example.com>",
    subject="✓ Ferry",
    content=b"Subject: x\r\n\r\n.dots and\r\nCRLF\r\n",
    text="Fähre\n",
    html="<p>Fähre</p>\n",
)
REGISTRATION = Registration(
    host="smtp.example.com",
    port=587,
    user="jane",
    password="correct horse",
    from_=Mailbox(addr_spec="reports@example.com"),
    to=(Mailbox(addr_spec="security@example.com"),),
)
DELIVERY = Delivery(
    accepted=("security@example.com",),
    refused=(
        Refusal(
            recipient="audit@example.com",
            reply=Reply(code=550, enhanced="5.1.1", text="no such mailbox\nsorry"),
        ),
    ),
    reply=Reply(code=250, text="queued as 42"),
    attempts=2,
    server="smtp.example.com:587",
    tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
    mechanism="PLAIN",
    round_trips=9,
    duration=0.123456,
)
NOW = datetime(2026, 9, 1, 8, 9, 10, tzinfo=UTC)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def receipt(folder: Path, delivery: Delivery | None) -> dict[str, object]:
    path = outbox.write_receipt(folder, MAIL, REGISTRATION, delivery, NOW)
    assert path == folder / "receipt.json"
    written: dict[str, object] = json.loads(path.read_bytes())
    return written


def test_the_mail_is_written_octet_for_octet_with_its_two_parts_beside_it(tmp_path: Path) -> None:
    eml = outbox.write_mail(tmp_path / "out", MAIL)
    assert eml == tmp_path / "out" / "0123abcd.eml"
    assert {path.name: path.read_bytes() for path in eml.parent.iterdir()} == {
        "0123abcd.eml": MAIL.content,
        "0123abcd.html": MAIL.html.encode(),
        "0123abcd.txt": MAIL.text.encode(),
    }


def test_a_new_folder_and_every_file_are_their_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    previous = os.umask(0)
    try:
        outbox.write_mail(folder, MAIL)
        outbox.write_receipt(folder, MAIL, REGISTRATION, None, NOW)
    finally:
        os.umask(previous)
    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir()} == {
        "0123abcd.eml": 0o600,
        "0123abcd.html": 0o600,
        "0123abcd.txt": 0o600,
        "receipt.json": 0o600,
    }


def test_a_folder_that_is_there_keeps_its_mode_and_what_it_holds(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "other.txt").write_bytes(b"other")
    outbox.write_mail(tmp_path, MAIL)
    assert mode(tmp_path) == 0o755
    assert (tmp_path / "other.txt").read_bytes() == b"other"


def test_the_receipt_says_what_was_sent_to_whom_and_what_the_server_said(tmp_path: Path) -> None:
    assert receipt(tmp_path, DELIVERY) == {
        "version": 1,
        "time": "2026-09-01T08:09:10+00:00",
        "messageId": "<0123abcd@example.com>",
        "subject": "✓ Ferry",
        "sha256": hashlib.sha256(MAIL.content).hexdigest(),
        "size": len(MAIL.content),
        "server": {"host": "smtp.example.com", "port": 587},
        "envelope": {
            "from": "bounces@example.com",
            "to": ["security@example.com", "audit@example.com"],
        },
        "delivery": {
            "accepted": ["security@example.com"],
            "refused": [
                {
                    "recipient": "audit@example.com",
                    "code": 550,
                    "enhanced": "5.1.1",
                    "text": "no such mailbox\nsorry",
                }
            ],
            "reply": {"code": 250, "enhanced": None, "text": "queued as 42"},
            "tls": "TLSv1.3 TLS_AES_256_GCM_SHA384",
            "mechanism": "PLAIN",
            "attempts": 2,
            "roundTrips": 9,
            "seconds": 0.123,
        },
    }


def test_what_did_not_happen_is_null_in_the_receipt(tmp_path: Path) -> None:
    assert receipt(tmp_path, None)["delivery"] is None
    refused = Delivery(refused=DELIVERY.refused)
    told = receipt(tmp_path, refused)["delivery"]
    assert isinstance(told, dict)
    assert told["accepted"] == []
    assert (told["reply"], told["tls"], told["mechanism"]) == (None, None, None)


def test_a_second_receipt_takes_the_place_of_the_first(tmp_path: Path) -> None:
    receipt(tmp_path, DELIVERY)
    assert receipt(tmp_path, None)["delivery"] is None


def test_no_file_holds_the_password(tmp_path: Path) -> None:
    outbox.write_mail(tmp_path, MAIL)
    outbox.write_receipt(tmp_path, MAIL, REGISTRATION, DELIVERY, NOW)
    assert all(b"correct horse" not in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("file/out", "not a directory"),
        ("file", "file exists"),
        ("a\0b", "not a path"),
        ("\ud800", "not a path"),
        ("x" * 300, "file name too long"),
    ],
    ids=["below a file", "a file", "NUL", "half a surrogate pair", "too long"],
)
def test_a_folder_that_cannot_be_written_to_is_an_options_error(
    tmp_path: Path, name: str, why: str
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OptionsError) as refused:
        outbox.write_mail(tmp_path / name, MAIL)
    (problem,) = refused.value.problems
    assert problem.where == "output-dir"
    assert problem.why.endswith(f"cannot be written: {why}")
    assert problem.why.isprintable()


def test_a_file_whose_place_is_taken_is_an_options_error(tmp_path: Path) -> None:
    (tmp_path / "receipt.json").mkdir()
    with pytest.raises(OptionsError, match=r"output-dir: .* cannot be written: is a directory"):
        receipt(tmp_path, None)
