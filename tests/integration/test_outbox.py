"""What is left in the output folder, and who may read it."""

import hashlib
import json
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from chainloop_smtp import __version__, outbox
from chainloop_smtp.errors import OptionsError, quoted_path
from chainloop_smtp.model.mail import (
    Delivery,
    Mail,
    RecipientResult,
    RecipientStatus,
    Reply,
    TransactionResult,
)
from chainloop_smtp.model.settings import Mailbox, Registration
from refusal import error_of

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
NOW = datetime(2026, 9, 1, 8, 9, 10, 4_321, tzinfo=UTC)
NOBODY = Reply(code=550, enhanced="5.1.1", text="no such mailbox\nsorry")
QUEUED = Reply(code=250, text="queued as 42")
ATTEMPT = TransactionResult(
    started=NOW,
    ended=NOW + timedelta(seconds=1.5),
    server="smtp.example.com:587",
    address="192.0.2.7",
    tls="TLSv1.3",
    cipher="TLS_AES_256_GCM_SHA384",
    certificate="c" * 64,
    mechanism="PLAIN",
    recipients=MAIL.recipients,
    round_trips=9,
    reply=QUEUED,
)
BROKEN = TransactionResult(
    started=NOW, ended=NOW, server="smtp.example.com:587", why="the connection was refused"
)
DELIVERY = Delivery(
    mail=MAIL,
    results=(
        RecipientResult(
            recipient="security@example.com", status=RecipientStatus.ACCEPTED, reply=QUEUED
        ),
        RecipientResult(
            recipient="audit@example.com", status=RecipientStatus.REFUSED, reply=NOBODY
        ),
    ),
    transactions=(BROKEN, ATTEMPT),
)
UNTRIED = Delivery(mail=MAIL, results=())
SCHEMA = json.loads(files("chainloop_smtp").joinpath("schemas/receipt.json").read_bytes())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def receipt(folder: Path, *deliveries: Delivery) -> dict[str, Any]:
    """What is in the file, which is what its schema says."""
    entries = [outbox.receipt_entry(REGISTRATION, each) for each in deliveries]
    path = outbox.write_receipt(folder, entries, NOW)
    assert path == folder / "receipt.json"
    written: dict[str, Any] = json.loads(path.read_bytes())
    jsonschema.Draft202012Validator(SCHEMA).validate(written)
    return written


def test_a_disk_that_takes_no_more_is_told_and_left_as_it_was(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits are POSIX's")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        said = error_of(
            lambda: outbox.write_summary(tmp_path, "more than ten octets"), OptionsError
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    path = tmp_path / "summary.md"
    assert said == ("output-dir", f"{quoted_path(str(path))} cannot be written: file too large", "")
    assert list(tmp_path.iterdir()) == []


def test_the_mail_is_written_octet_for_octet_with_its_two_parts_beside_it(tmp_path: Path) -> None:
    eml = outbox.write_mail(tmp_path / "out", MAIL)
    assert eml == tmp_path / "out" / "0123abcd.eml"
    assert {path.name: path.read_bytes() for path in eml.parent.iterdir()} == {
        "0123abcd.eml": MAIL.content,
        "0123abcd.html": MAIL.html.encode(),
        "0123abcd.txt": MAIL.text.encode(),
    }


@pytest.mark.parametrize(
    ("words", "stem"),
    [
        (
            ("[harbour] Failed: ship main@9c1d4e7 (job build failed)",),
            "harbour-Failed-ship-main-9c1d4e7-job-build-failed",
        ),
        (("[harbour] Passed: ship v2.14.0", "", "on call"), "harbour-Passed-ship-v2.14.0-on-call"),
        (("✓ Fa\u0308hre: 港 <b>", "a/../b"), "Fähre-港-b-a-..-b"),
        (("..\\..\\x:y\0z\n", "CON"), "x-y-z-CON"),
        (("com1", "", ""), "mail-com1"),
        (("NUL.txt",), "mail-NUL.txt"),
        (("!?",), ""),
        (("\ud800\u202e",), ""),
        (("x" * 300, "y" * 300), f"{'x' * 80}-{'y' * 80}"),
        (("港" * 300,), "港" * 26),
    ],
    ids=[
        *("subject", "label", "Unicode", "path", "device", "device with a suffix", "nothing"),
        *("surrogate and override", "long", "long in bytes"),
    ],
)
def test_files_are_called_by_what_the_mail_says(words: tuple[str, ...], stem: str) -> None:
    assert outbox.file_stem(*words) == stem


def test_a_mail_that_is_written_again_takes_its_own_place(tmp_path: Path) -> None:
    mail = replace(MAIL, stem="Ferry", content=b"Message-ID: <0123abcd@example.com>\r\n\r\n")
    both = replace(mail, international=b"x")
    for each in (both, mail):
        assert outbox.write_mail(tmp_path, each, keeps_others=True) == tmp_path / "Ferry.eml"
    assert {path.name for path in tmp_path.iterdir()} == {"Ferry.eml", "Ferry.html", "Ferry.txt"}


def test_another_mail_of_the_same_name_is_written_beside_the_first(tmp_path: Path) -> None:
    def written(number: int, *, keeps_others: bool = True) -> str:
        id_ = f"<{number}@example.com>"
        content = f"Message-ID: {id_}\r\n\r\n".encode()
        mail = replace(MAIL, stem="Ferry", message_id=id_, content=content)
        return outbox.write_mail(tmp_path, mail, keeps_others=keeps_others).name

    assert [written(each) for each in (1, 2, 3, 2, 1)] == [
        *("Ferry.eml", "Ferry-2.eml", "Ferry-3.eml", "Ferry-2.eml", "Ferry.eml")
    ]
    assert written(4, keeps_others=False) == "Ferry.eml"
    (tmp_path / "Ferry-2.eml").unlink()
    (tmp_path / "Ferry-2.eml").mkdir()
    assert written(5) == "Ferry-4.eml"


def test_a_new_folder_and_every_file_are_their_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    previous = os.umask(0)
    try:
        outbox.write_mail(folder, MAIL)
        receipt(folder, UNTRIED)
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


def test_the_schema_of_the_receipt_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_receipt_says_what_was_sent_to_whom_and_what_the_server_said(tmp_path: Path) -> None:
    queued = {"code": 250, "enhanced": None, "text": "queued as 42"}
    assert receipt(tmp_path, DELIVERY) == {
        "$schema": SCHEMA["$id"],
        "version": 2,
        "time": "2026-09-01T08:09:10.004Z",
        "program": f"chainloop-smtp {__version__}",
        "deliveries": [
            {
                "messageId": "<0123abcd@example.com>",
                "subject": "✓ Ferry",
                "eml": {
                    "name": "0123abcd.eml",
                    "sha256": hashlib.sha256(MAIL.content).hexdigest(),
                    "size": len(MAIL.content),
                },
                "from": "bounces@example.com",
                "server": {"host": "smtp.example.com", "port": 587},
                "interrupted": False,
                "recipients": [
                    {
                        "address": "security@example.com",
                        "state": "accepted",
                        "reply": queued,
                        "reason": None,
                    },
                    {
                        "address": "audit@example.com",
                        "state": "refused",
                        "reply": {
                            "code": 550,
                            "enhanced": "5.1.1",
                            "text": "no such mailbox\nsorry",
                        },
                        "reason": None,
                    },
                ],
                "attempts": [
                    {
                        "started": "2026-09-01T08:09:10.004Z",
                        "ended": "2026-09-01T08:09:10.004Z",
                        "address": None,
                        "tls": None,
                        "mechanism": None,
                        "recipients": [],
                        "roundTrips": 0,
                        "reply": None,
                        "problem": "the connection was refused",
                    },
                    {
                        "started": "2026-09-01T08:09:10.004Z",
                        "ended": "2026-09-01T08:09:11.504Z",
                        "address": "192.0.2.7",
                        "tls": {
                            "version": "TLSv1.3",
                            "cipher": "TLS_AES_256_GCM_SHA384",
                            "certificateSha256": "c" * 64,
                        },
                        "mechanism": "PLAIN",
                        "recipients": ["security@example.com", "audit@example.com"],
                        "roundTrips": 9,
                        "reply": queued,
                        "problem": None,
                    },
                ],
            }
        ],
    }


def test_the_receipt_says_whether_the_evidence_was_signed_by_whom_it_should(tmp_path: Path) -> None:
    (entry,) = receipt(tmp_path, Delivery(mail=replace(MAIL, signature="failed"), results=()))[
        "deliveries"
    ]
    assert entry["signature"] == "failed"


def test_the_transactions_of_one_attempt_are_summed_up(tmp_path: Path) -> None:
    put_off = Reply(code=452, enhanced="4.5.3", text="too many recipients")
    one = replace(ATTEMPT, number=1, why="half of it", notes=("no DSN", "slow"))
    two = replace(
        ATTEMPT,
        number=1,
        started=NOW + timedelta(seconds=2),
        ended=NOW + timedelta(seconds=3),
        address="192.0.2.8",
        recipients=("audit@example.com",),
        round_trips=2,
        reply=put_off,
        notes=("no DSN", "no TLS"),
    )
    three = replace(two, number=2)
    delivery = replace(DELIVERY, transactions=(one, two, three))
    assert delivery.attempts == 2
    (told,) = receipt(tmp_path, delivery)["deliveries"]
    first, second = told["attempts"]
    assert first == first["transactions"][1] | {
        "started": "2026-09-01T08:09:10.004Z",
        "recipients": ["security@example.com", "audit@example.com"],
        "roundTrips": 11,
        "problem": "half of it",
        "notes": ["no DSN", "slow", "no TLS"],
        "transactions": first["transactions"],
    }
    assert [each["address"] for each in first["transactions"]] == ["192.0.2.7", "192.0.2.8"]
    assert second == first["transactions"][1]


def test_an_attempt_whose_transactions_all_went_well_has_no_problem(tmp_path: Path) -> None:
    delivery = replace(DELIVERY, transactions=(replace(ATTEMPT, number=1),) * 2)
    (entry,) = receipt(tmp_path, delivery)["deliveries"]
    (attempt,) = entry["attempts"]
    assert (attempt["problem"], len(attempt["transactions"])) == (None, 2)


def test_a_mail_that_was_not_sent_is_untried_for_everybody(tmp_path: Path) -> None:
    (told,) = receipt(tmp_path, UNTRIED)["deliveries"]
    assert [each["state"] for each in told["recipients"]] == ["untried", "untried"]
    assert told["attempts"] == []


def test_one_receipt_lists_every_delivery(tmp_path: Path) -> None:
    assert len(receipt(tmp_path, DELIVERY, UNTRIED)["deliveries"]) == 2


def test_a_second_receipt_takes_the_place_of_the_first(tmp_path: Path) -> None:
    receipt(tmp_path, DELIVERY, UNTRIED)
    assert len(receipt(tmp_path, UNTRIED)["deliveries"]) == 1


def test_no_file_holds_the_password(tmp_path: Path) -> None:
    outbox.write_mail(tmp_path, MAIL)
    receipt(tmp_path, DELIVERY)
    assert all(b"correct horse" not in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("file/out", "not a directory"),
        ("file", "file exists"),
        ("a\0b", "not a path"),
        ("\ud800", "not a path"),
        ("x" * 300, "file name too long"),
        ("loop/out", "too many levels of symbolic links"),
    ],
    ids=["below a file", "a file", "NUL", "half a surrogate pair", "too long", "a link to itself"],
)
@pytest.mark.parametrize("keeps_others", [False, True])
def test_a_folder_that_cannot_be_written_to_is_an_options_error(
    tmp_path: Path, name: str, why: str, keeps_others: bool
) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "loop").symlink_to("loop")
    path = quoted_path(str(tmp_path / name / "0123abcd.html"))
    assert path.isprintable()

    def write() -> Path:
        return outbox.write_mail(tmp_path / name, MAIL, keeps_others=keeps_others)

    assert error_of(write, OptionsError) == (
        "output-dir",
        f"{path} cannot be written: {why}",
        "",
    )


@pytest.mark.parametrize("keeps_others", [False, True])
def test_a_folder_of_another_user_is_an_options_error(tmp_path: Path, keeps_others: bool) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    # As a step in a container, which runs as root, leaves it to one that does not.
    is_root = os.geteuid() == 0
    folder.chmod(0o700 if is_root else 0)
    if is_root:
        os.seteuid(65534)
    try:
        where, why, _ = error_of(
            lambda: outbox.write_mail(folder, MAIL, keeps_others=keeps_others), OptionsError
        )
    finally:
        if is_root:
            os.seteuid(0)
    assert where == "output-dir"
    assert why.endswith(" cannot be written: permission denied")


def test_a_file_whose_place_is_taken_is_an_options_error(tmp_path: Path) -> None:
    (tmp_path / "receipt.json").mkdir()
    path = quoted_path(str(tmp_path / "receipt.json"))
    assert error_of(lambda: receipt(tmp_path, UNTRIED), OptionsError) == (
        "output-dir",
        f"{path} cannot be written: is a directory",
        "",
    )
    assert [each.name for each in tmp_path.iterdir()] == ["receipt.json"]


# --- what an earlier run left ------------------------------------------------------------------


def test_a_receipt_is_a_text_that_people_read(tmp_path: Path) -> None:
    receipt(tmp_path, DELIVERY)
    text = (tmp_path / "receipt.json").read_text("utf-8")
    assert text.startswith('{\n  "$schema": ')
    assert text.endswith("\n}\n")


def test_the_summary_is_a_file_of_its_own(tmp_path: Path) -> None:
    path = outbox.write_summary(tmp_path, "half a \ud800 character")
    assert path == tmp_path / "summary.md"
    assert path.read_bytes() == b"half a ? character"


def test_a_form_for_some_recipients_lies_beside_the_mail(tmp_path: Path) -> None:
    both = replace(MAIL, international=b"Subject: \xc3\xa4\r\n\r\n")
    outbox.write_mail(tmp_path, both)
    assert (tmp_path / "0123abcd.smtputf8.eml").read_bytes() == both.international
    (told,) = receipt(tmp_path, replace(UNTRIED, mail=both))["deliveries"]
    assert told["smtputf8"] == {
        "name": "0123abcd.smtputf8.eml",
        "sha256": hashlib.sha256(both.international).hexdigest(),
        "size": len(both.international),
    }


def test_why_and_hint_stand_in_the_receipt_beside_what_they_are_about(tmp_path: Path) -> None:
    result = RecipientResult(
        recipient="audit@example.com",
        status=RecipientStatus.REFUSED,
        why="no reply",
        hint="Ask them.",
    )
    tried = replace(BROKEN, hint="Is it up?", notes=("no DSN",))
    delivery = replace(DELIVERY, results=(result,), transactions=(tried,))
    (told,) = receipt(tmp_path, delivery)["deliveries"]
    assert told["recipients"] == [
        {
            "address": "audit@example.com",
            "state": "refused",
            "reply": None,
            "reason": "no reply",
            "hint": "Ask them.",
        }
    ]
    (attempt,) = told["attempts"]
    assert (attempt["problem"], attempt["hint"], attempt["notes"]) == (
        "the connection was refused",
        "Is it up?",
        ["no DSN"],
    )


def test_an_earlier_receipt_is_read_again_by_message_id(tmp_path: Path) -> None:
    written = receipt(tmp_path, DELIVERY, UNTRIED, DELIVERY)["deliveries"]
    found = outbox.read_receipt(tmp_path)
    assert found == {MAIL.message_id: written}
    assert outbox.accepted(found[MAIL.message_id]) == {"security@example.com"}
    assert outbox.accepted(written[1:2]) == set()


@pytest.mark.parametrize(
    "damage",
    [
        {"$schema": "urn:chainloop-smtp:schema:receipt:1"},
        {"deliveries": [{"messageId": "x"}]},
        {"deliveries": [{"recipients": []}]},
        {"deliveries": [{"messageId": "x", "recipients": [{"address": "a@b.c"}]}]},
        {"deliveries": [3]},
        {"deliveries": 3},
        {"deliveries": [{"messageId": [], "recipients": []}]},
    ],
)
def test_a_receipt_that_is_not_ours_is_none(tmp_path: Path, damage: dict[str, Any]) -> None:
    whole = receipt(tmp_path, DELIVERY)
    assert outbox.read_receipt(tmp_path)
    (tmp_path / "receipt.json").write_text(json.dumps(whole | damage))
    assert outbox.read_receipt(tmp_path) == {}


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"3", b"[" * 100_000, b"\xff"])
def test_what_is_no_receipt_is_none(tmp_path: Path, content: bytes) -> None:
    assert outbox.read_receipt(tmp_path) == {}
    (tmp_path / "receipt.json").write_bytes(content)
    assert outbox.read_receipt(tmp_path) == {}


@pytest.mark.parametrize("more", [0, 1])
def test_a_receipt_has_a_largest_size(tmp_path: Path, more: int) -> None:
    receipt(tmp_path, DELIVERY)
    path = tmp_path / "receipt.json"
    path.write_bytes(path.read_bytes().ljust(64 * 1024**2 + more))
    assert bool(outbox.read_receipt(tmp_path)) is not bool(more)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_a_receipt_that_others_may_write_is_none(tmp_path: Path) -> None:
    receipt(tmp_path, DELIVERY)
    (tmp_path / "receipt.json").chmod(0o622)
    assert outbox.read_receipt(tmp_path) == {}
