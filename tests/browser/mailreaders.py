"""Mail programs and libraries, each of which opens all mails at once.

They take mails by name, each with a Message-ID of its own, and say by the same names what they
read.
"""

import base64
import email.policy
import json
import os
import pty
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any, NamedTuple, cast

import daemons
from real import require_node_modules, require_real

_READERS = Path(__file__).with_name("readers")


class Reading(NamedTuple):
    """What a reader makes of one mail.

    Attributes:
        from_: Names and addresses by `bare`, as in ``to`` and ``cc``.
        text: Lines end in LF, as in ``html``, without what is blank at the end.
        html: None where the reader shows no HTML.
        files: Names of the attached files, and what is in them; None where the reader does not say.
    """

    subject: str
    from_: str
    to: str
    cc: str
    text: str
    html: str | None
    files: Sequence[tuple[str, bytes | None]]


def python(mails: Mapping[str, bytes]) -> dict[str, Reading]:
    """The library of this Python."""

    def read(content: bytes) -> Reading:
        mail = message_from_bytes(content, policy=email.policy.default)
        text, html = mail.get_body(("plain",)), mail.get_body(("html",))
        assert text is not None
        assert html is not None
        return Reading(
            subject=mail["subject"],
            from_=bare(mail["from"]),
            to=bare(mail["to"]),
            cc=bare(mail.get("cc", "")),
            text=_lines(text.get_content()),
            html=_lines(html.get_content()),
            files=[
                (each.get_filename() or "", cast(bytes, each.get_payload(decode=True)))
                for each in mail.iter_attachments()
            ],
        )

    return {name: read(content) for name, content in mails.items()}


def node(mails: Mapping[str, bytes]) -> tuple[dict[str, Reading], dict[str, Reading]]:
    """Mailparser, then postal-mime."""
    (program,) = require_real("node")
    require_node_modules(_READERS)
    with _folder(mails) as folder:
        paths = {name: str(folder / "cur" / name) for name in mails}
        printed = _run(folder, program, _READERS / "read.mjs", *paths.values())
    readings = json.loads(printed)

    def read(fields: dict[str, Any]) -> Reading:
        from_, to, cc = (bare(", ".join(fields[key])) for key in ("from", "to", "cc"))
        files = [(name, base64.b64decode(content)) for name, content in fields["files"]]
        text, html = _lines(fields["text"]), _lines(fields["html"])
        return Reading(fields["subject"], from_, to, cc, text, html, files)

    mailparser, postal_mime = (
        {name: read(readings[reader][path]) for name, path in paths.items()}
        for reader in ("mailparser", "postal-mime")
    )
    return mailparser, postal_mime


_NOTMUCH = """\
[database]
path={folder}
[user]
primary_email=reader@example.test
[maildir]
synchronize_flags=false
"""


def notmuch(mails: Mapping[str, bytes]) -> dict[str, Reading]:
    """Notmuch, and GMime, which it reads with."""
    (program,) = require_real("notmuch")
    with _folder(mails) as folder:
        config = folder / "config"
        config.write_text(_NOTMUCH.format(folder=folder), encoding="utf-8")
        call = (program, f"--config={config}")
        _run(folder, *call, "new", "--quiet")
        printed = _run(folder, *call, "show", "--format=json", "--body=true", "--include-html", "*")

    def read(found: dict[str, Any]) -> Reading:
        parts = {"text/plain": "", "text/html": ""}
        files: list[tuple[str, bytes | None]] = []
        for part in _parts(found["body"]):
            if "filename" in part:
                files.append((part["filename"], None))
            elif part["content-type"] in parts:
                parts[part["content-type"]] = _lines(part["content"])
        headers = found["headers"]
        from_, to, cc = (bare(headers.get(key, "")) for key in ("From", "To", "Cc"))
        text, html = parts.values()
        return Reading(headers["Subject"], from_, to, cc, text, html, files)

    return {Path(each["filename"][0]).name: read(each) for each in _messages(json.loads(printed))}


def _messages(found: Any) -> Iterator[dict[str, Any]]:
    """Out of threads, which are lists of a message and of the list of its replies."""
    if isinstance(found, dict):
        yield found
    for each in found if isinstance(found, list) else ():
        yield from _messages(each)


def _parts(body: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for part in body:
        if part["content-type"].startswith("multipart/"):
            yield from _parts(part["content"])
        else:
            yield part


_MUTT = """\
set mbox_type=Maildir folder={folder} tmpdir={folder} charset=utf-8
set pipe_decode=yes pipe_sep="===== the next mail =====\\n" wait_key=no
set quit=yes mark_old=no
ignore *
unignore message-id subject from to cc
alternative_order text/plain
"""
_SEPARATOR = "===== the next mail =====\n"


def mutt(mails: Mapping[str, bytes], file_counts: Mapping[str, int]) -> dict[str, Reading]:
    """Mutt: a mail as it shows it, and its files under the names that it proposes.

    Args:
        file_counts: Of the mails with attached files, how many there are.
    """
    (program,) = require_real("mutt")
    with _folder(mails) as folder:
        (folder / "muttrc").write_text(_MUTT.format(folder=folder), encoding="utf-8")
        keys = "<tag-pattern>~A<enter><tag-prefix><pipe-message>"
        keys += f"cat >{folder}/shown<enter><tag-prefix><untag-pattern>~A<enter>"
        for name, count in file_counts.items():
            (folder / "files" / name).mkdir(parents=True)
            keys += f"<limit>~i {name}@example.test<enter>"
            keys += f"<enter-command>set attach_save_dir={folder}/files/{name}<enter>"
            for number in range(count):
                back = "<previous-entry>" * number
                keys += f"<view-attachments><last-entry>{back}<save-entry><enter><exit>"
            keys += "<limit>~A<enter>"
        _at_a_terminal(
            folder,
            *(program, "-n", "-F", folder / "muttrc", "-R", "-f", folder),
            *("-e", f'push "{keys}<exit>"'),
        )
        shown = (folder / "shown").read_text("utf-8").split(_SEPARATOR)
        files = {
            name: [(path.name, path.read_bytes()) for path in (folder / "files" / name).iterdir()]
            for name in file_counts
        }

    def read(shown: str) -> tuple[str, Reading]:
        head, _, text = shown.partition("\n\n")
        fields = dict(re.findall(r"^([\w-]+): (.*(?:\n\s.*)*)", head, re.MULTILINE))
        name = fields["Message-ID"].partition("@")[0].strip("<")
        from_, to, cc = (bare(fields.get(key, "")) for key in ("From", "To", "Cc"))
        found = [*files.get(name, [])]
        subject = re.sub(r"\n\s+", " ", fields["Subject"])
        return name, Reading(subject, from_, to, cc, _lines(text), None, found)

    # The separator follows the last mail, too.
    return dict(map(read, shown[:-1]))


def _at_a_terminal(folder: Path, *command: str | Path) -> None:
    """Runs what only runs at a terminal until it ends; what it draws is thrown away."""
    ours, theirs = pty.openpty()
    environment = {**daemons.ENVIRONMENT, "HOME": str(folder), "TERM": "xterm"}
    with subprocess.Popen(
        ("timeout", "60", *command),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
    ) as started:
        os.close(theirs)
        try:
            while os.read(ours, 65536):
                pass
        except OSError:  # Linux says so where the other end is closed
            pass
        os.close(ours)
        assert started.wait(timeout=60) == 0


@contextmanager
def _folder(mails: Mapping[str, bytes]) -> Iterator[Path]:
    """A Maildir with the mails as files of their names; it is also the reader's home."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in ("cur", "new", "tmp"):
            (folder / each).mkdir()
        for each, content in mails.items():
            (folder / "cur" / each).write_bytes(content)
        yield folder


def _run(folder: Path, *command: str | Path) -> bytes:
    environment = {**daemons.ENVIRONMENT, "HOME": str(folder)}
    return subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE).stdout


def bare(addresses: str) -> str:
    """Without quotes, and without blanks, which are not the same where words were folded."""
    return re.sub(r'[\s"\\]', "", addresses)


def _lines(text: str) -> str:
    return "\n".join(text.splitlines()).rstrip()
