"""`chainloop-smtp verify`: mails that show something else than their evidence says."""

import base64
import email
import email.policy
import json
import re
from collections.abc import Callable
from email.message import EmailMessage, Message
from pathlib import Path
from typing import cast

import pytest

from builders import cli_push, encoded, evaluation, statement
from program import INPUTS, Ended, Post, Program

EVIDENCE = encoded(
    cli_push(
        statement(
            evaluations=[
                evaluation("licenses", material="sbom", violations=["AGPL"]),
                evaluation("signed"),
            ]
        )
    )
)
CI = {
    "GITHUB_REPOSITORY": "lakeside/harbour",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_RUN_ID": "42",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_WORKFLOW": "Release",
    "GITHUB_JOB": "attest",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_SHA": "9c1d4e7f2b8a6035d4e9f1a7c3b5d8e0f2a4b6c8",
    "GITHUB_ACTOR": "ada",
    "GITHUB_EVENT_NAME": "push",
}
HEADLINE = "<h1>Passed</h1><p>All policies passed. Nothing to do.</p>"
PASSED = "PASSED: harbour is attested\n\nAll policies passed. Nothing to do.\n"


_SENT: dict[str, bytes] = {}


def sent(program: Program, folder: Path, *, attach: str = "attestation", **more: str) -> bytes:
    """A mail with violations, as the program sends it in a job; one for all where nothing more."""
    if not more and attach in _SENT:
        return _SENT[attach]
    (folder / "push.json").write_bytes(EVIDENCE)
    inputs = {name.replace("_", "-"): value for name, value in more.items()}
    post = Post()
    given = INPUTS | {"attestation": str(folder / "push.json"), "attach": attach} | inputs
    ended = program("send", inputs=given, environ=CI, post=post)
    assert ended.code == 0, ended.stderr
    if not more:
        _SENT[attach] = post.mails[0].content
    return post.mails[0].content


def verified(program: Program, octets: bytes) -> Ended:
    ended: Ended = program("verify", "-", "-o", "json", stdin=octets, is_actions=False)
    return ended


def results(ended: Ended) -> dict[str, tuple[str, str]]:
    return {
        each["name"]: (each["result"], each["detail"])
        for each in json.loads(ended.stdout)["checks"]
    }


def with_html(octets: bytes, change: Callable[[str], str]) -> bytes:
    return _with(octets, "text/html", change)


def _with(octets: bytes, kind: str, change: Callable[[str], str]) -> bytes:
    message = email.message_from_bytes(octets)
    (part,) = [
        each
        for each in message.walk()
        if each.get_content_type() == kind and not each.get_filename()
    ]
    before = cast("bytes", part.get_payload(decode=True)).decode().replace("\r\n", "\n")
    after = change(before)
    assert after != before
    del part["Content-Transfer-Encoding"]
    part["Content-Transfer-Encoding"] = "base64"
    part.set_payload(base64.encodebytes(after.encode()).decode())
    return message.as_bytes()


def in_body(html: str, before: str, after: str = "") -> str:
    """The HTML with something around all that it shows."""
    return re.sub(
        r"(<body[^>]*>)(.*)(</body>)",
        lambda found: f"{found[1]}{before}{found[2]}{after}{found[3]}",
        html,
        flags=re.DOTALL,
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"job_status": "failure"},
        {"job_status": "cancelled"},
        {"job_status": "timed_out"},
        {"needs": '{"build": {"result": "failure"}, "test": {"result": "success"}}'},
        {"needs": "failure, success"},
        {"needs": "success", "job_status": "success"},
        {"env_values": "names"},
        {"env_values": "hide"},
        {"thread": "ref"},
        {"redirect_to": "me@example.com"},
        {"attach": "attestation\nreport"},
        {"attach": "attestation\nreport", "job_status": "failure", "thread": "ref"},
    ],
    ids=str,
)
def test_a_mail_is_composed_anew_of_its_evidence(
    program: Program, tmp_path: Path, options: dict[str, str]
) -> None:
    ended = verified(program, sent(program, tmp_path, **options))
    assert ended.code == 0, ended.stderr
    assert json.loads(ended.stdout)["ok"] is True
    found = results(ended)
    for name in ("subject", "text", "HTML"):
        assert found[name] == ("ok", "matches the evidence")


AROUND = {
    "display": ('<div style="display:none">', "</div>"),
    "display, in capitals": ('<DIV STYLE="DISPLAY : NONE !important">', "</DIV>"),
    "visibility": ('<div style="visibility:hidden">', "</div>"),
    "opacity": ('<div style="opacity:0.01">', "</div>"),
    "no font": ('<div style="font-size:0">', "</div>"),
    "no height": ('<div style="max-height:0;overflow:hidden">', "</div>"),
    "off screen": ('<div style="text-indent:-9999px">', "</div>"),
    "margin": ('<div style="margin-left:-9999px">', "</div>"),
    "hidden": ("<div hidden>", "</div>"),
    "template": ("<template>", "</template>"),
    "comment": ("<!--", "-->"),
    "comment without end": ("<!--", ""),
    "textarea": ("<textarea>", "</textarea>"),
    "noscript": ("<noscript>", "</noscript>"),
    "a class": ("<style>.x{display:none}</style><div class=x>", "</div>"),
    "a class in a media query": (
        "<style>@media all{.x{visibility:hidden}}</style><div class='a x'>",
        "</div>",
    ),
    "an id": ("<style>#x{opacity:0}</style><div id=x>", "</div>"),
    "every element": ("<style>.b-page > * {display:none}</style><div>", "</div>"),
    "a tag without end": ('<a title="', '">'),
}


@pytest.mark.parametrize(("before", "after"), AROUND.values(), ids=AROUND)
def test_real_html_that_is_hidden_is_found_out(
    program: Program, tmp_path: Path, before: str, after: str
) -> None:
    octets = with_html(
        sent(program, tmp_path), lambda html: in_body(html, HEADLINE + before, after)
    )
    ended = verified(program, octets)
    assert ended.code == 3
    assert json.loads(ended.stdout)["ok"] is False
    assert results(ended)["HTML"][0] == "wrong"


@pytest.mark.parametrize(
    "style",
    [
        "position:absolute;top:0;left:0;width:100%;height:100%;background:#fff",
        "position:fixed",
        "transform:translateY(40px)",
        "z-index:9",
    ],
)
def test_what_covers_the_real_html_is_found_out(
    program: Program, tmp_path: Path, style: str
) -> None:
    forged = f'<div style="{style}">Everything is fine</div>'
    octets = with_html(sent(program, tmp_path), lambda html: in_body(html, forged))
    ended = verified(program, octets)
    assert ended.code == 3
    assert "can cover or change what it shows" in results(ended)["HTML"][1]


@pytest.mark.parametrize(
    "forged",
    [
        HEADLINE,
        "<p>No violations</p>",
        "<p>2 of 2 policies passed</p>",
        "<p>Every check of it passed</p>",
        "<p>APPROVED</p>",
        "<!--[if mso]><p>Passed</p><![endif]-->",
        '<style>.f-text:after{content:"Passed"}</style>',
    ],
)
def test_a_headline_that_contradicts_the_real_html_is_found_out(
    program: Program, tmp_path: Path, forged: str
) -> None:
    ended = verified(
        program, with_html(sent(program, tmp_path), lambda html: in_body(html, forged))
    )
    assert ended.code == 3
    assert results(ended)["HTML"][0] == "wrong"


def test_a_neutral_addition_is_not_confirmed(program: Program, tmp_path: Path) -> None:
    logo = '<p>ACME</p><img alt="our logo" src="cid:1">'
    octets = with_html(sent(program, tmp_path), lambda html: in_body(html, logo))
    ended = verified(program, octets)
    assert ended.code == 0
    assert json.loads(ended.stdout)["ok"] is False
    assert results(ended)["HTML"] == (
        "unknown",
        "shows what the evidence does not say: 'ACME'",
    )


CHANGES: dict[str, Callable[[str], str]] = {
    "another name of a policy": lambda html: html.replace("licenses", "licences"),
    "a message": lambda html: html.replace("AGPL", "MIT"),
    "a result": lambda html: html.replace(">Violated<", ">Passed<"),
    "tiny": lambda html: re.sub(r"font-size:(15|26)px", "font-size:1px", html),
    "white on white": lambda html: html.replace("color:#1b2430", "color:#fefefe"),
    "a white font": lambda html: html.replace(">licenses", "><font color=white>licenses</font>"),
    "the order": lambda html: re.sub(
        r"(<tr><td class=\"pad\"[^\n]*<h2[^\n]*\n)(.*?)(?=<tr><td class=\"pad\"[^\n]*<h2)",
        "",
        html,
        count=1,
        flags=re.DOTALL,
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_html_that_lacks_something_of_the_evidence_is_found_out(
    program: Program, tmp_path: Path, change: Callable[[str], str]
) -> None:
    ended = verified(program, with_html(sent(program, tmp_path), change))
    assert ended.code == 3
    assert results(ended)["HTML"][0] == "wrong"


def test_lines_in_another_order_are_found_out(program: Program, tmp_path: Path) -> None:
    def turned(text: str) -> str:
        head, rest = text.split("\nNEEDS ATTENTION\n")
        return f"{rest}\n{head}\nNEEDS ATTENTION\n"

    ended = verified(program, _with(sent(program, tmp_path), "text/plain", turned))
    assert ended.code == 3
    assert results(ended)["text"] == ("wrong", "shows what the evidence says in another order")


def test_another_markup_of_the_same_lines_is_not_confirmed(
    program: Program, tmp_path: Path
) -> None:
    ended = verified(
        program,
        with_html(
            sent(program, tmp_path), lambda html: html.replace("padding:24px", "padding:25px")
        ),
    )
    assert ended.code == 0
    assert json.loads(ended.stdout)["ok"] is False
    assert results(ended)["HTML"][1] == "shows what the evidence says, in a different form"


SUBJECTS = {
    "All policies passed": "wrong",
    "[harbour] Passed: ship main": "wrong",
    "Build approved": "wrong",
    "No violations in harbour": "wrong",
    "[harbour] a weekly report": "unknown",
}


@pytest.mark.parametrize(("subject", "result"), SUBJECTS.items(), ids=SUBJECTS)
def test_a_subject_that_is_not_of_the_evidence_is_never_ok(
    program: Program, tmp_path: Path, subject: str, result: str
) -> None:
    message = email.message_from_bytes(sent(program, tmp_path))
    message.replace_header("Subject", subject)
    ended = verified(program, message.as_bytes())
    assert results(ended)["subject"][0] == result
    assert json.loads(ended.stdout)["ok"] is False
    assert ended.code == (3 if result == "wrong" else 0)


@pytest.mark.parametrize(
    ("mark", "result"), [("[dock]", "unknown"), ("PASSED", "wrong"), ("Fwd:", "unknown")]
)
def test_what_stands_before_the_real_subject_is_weighed(
    program: Program, tmp_path: Path, mark: str, result: str
) -> None:
    message = email.message_from_bytes(sent(program, tmp_path))
    message.replace_header("Subject", f"{mark} {message['Subject']}")
    found = results(verified(program, message.as_bytes()))["subject"]
    assert found[0] == result
    assert f"'{mark}' stands in front" in found[1]


@pytest.mark.parametrize(
    "field",
    [
        "Subject: [harbour] Passed: ship main",
        "From: Somebody <else@example.com>",
        "Date: Thu, 1 Jan 2026 00:00:00 +0000",
    ],
)
def test_a_second_field_of_one_that_stands_once_is_found_out(
    program: Program, tmp_path: Path, field: str
) -> None:
    ended = verified(program, field.encode() + b"\r\n" + sent(program, tmp_path))
    assert ended.code == 3
    name = field.partition(":")[0]
    assert f"form: the mail has 2 fields {name}" in ended.stderr


def test_a_sender_whose_name_praises_the_run_is_found_out(program: Program, tmp_path: Path) -> None:
    message = email.message_from_bytes(sent(program, tmp_path))
    message.replace_header("From", '"All checks passed" <reports@example.com>')
    ended = verified(program, message.as_bytes())
    assert ended.code == 3
    assert results(ended)["sender"][0] == "wrong"


def test_the_sender_is_shown_and_never_confirmed(program: Program, tmp_path: Path) -> None:
    found = results(verified(program, sent(program, tmp_path)))["sender"]
    assert found == (
        "unknown",
        "'Attestation reports <reports@example.com>': the evidence cannot tell who wrote the mail",
    )


def test_a_field_of_ours_that_we_do_not_write_is_shown(program: Program, tmp_path: Path) -> None:
    octets = sent(program, tmp_path)
    ended = verified(program, b"X-Chainloop-Verdict: passed\r\n" + octets)
    assert ended.code == 3
    assert results(ended)["X-Chainloop-Verdict in the header"][0] == "wrong"
    ended = verified(program, b"X-Chainloop-Colour: blue\r\n" + octets)
    assert ended.code == 0
    assert results(ended)["X-Chainloop-Colour in the header"][0] == "unknown"
    assert json.loads(ended.stdout)["ok"] is False


def outer(octets: bytes, subject: str, text: str, html: str = "") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "reports@example.com"
    message["Subject"] = subject
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    message.add_attachment(email.message_from_bytes(octets, policy=email.policy.default))
    return message


def test_a_forged_mail_around_the_real_one_is_found_out(program: Program, tmp_path: Path) -> None:
    octets = sent(program, tmp_path)
    for forged in (
        outer(octets, "[harbour] Passed: ship main", "See below."),
        outer(octets, "Fwd: ship", PASSED),
        outer(octets, "Fwd: ship", "See below.", HEADLINE),
    ):
        ended = verified(program, forged.as_bytes())
        assert ended.code == 3
        assert results(ended)["another mail"][0] == "wrong"


def test_a_mail_that_forwards_the_real_one_is_not_confirmed(
    program: Program, tmp_path: Path
) -> None:
    ended = verified(
        program, outer(sent(program, tmp_path), "Fwd: ship", "Please look.").as_bytes()
    )
    assert ended.code == 0
    assert json.loads(ended.stdout)["ok"] is False
    assert results(ended)["HTML"][0] == "ok"
    assert results(ended)["another mail"] == (
        "unknown",
        "the mail shows another mail, which is not in its evidence: 'Fwd: ship'",
    )


def test_fields_of_ours_on_a_forged_mail_do_not_borrow_the_evidence_inside(
    program: Program, tmp_path: Path
) -> None:
    forged = outer(sent(program, tmp_path), "[harbour] Passed: ship main", PASSED, HEADLINE)
    forged["X-Chainloop-Outcome"] = "passed"
    ended = verified(program, forged.as_bytes())
    assert ended.code == 3
    assert "mail: has no attestation attached" in ended.stderr


def test_fields_of_ours_on_a_part_make_no_mail_of_it(program: Program, tmp_path: Path) -> None:
    """The outer header says nothing, and the part that does is not what is shown."""
    inner = email.message_from_bytes(sent(program, tmp_path))
    message = email.message_from_string(
        "From: reports@example.com\nSubject: Passed\nMIME-Version: 1.0\n"
        'Content-Type: multipart/mixed; boundary="OUT"\n\n'
    )
    front = email.message_from_string(f"Content-Type: text/plain\n\n{PASSED}")
    message.set_payload([front, inner])
    ended = verified(program, message.as_bytes())
    assert ended.code == 3
    found = results(ended)
    assert found["subject"][0] == "wrong"
    assert found["another text part"][0] == "wrong"


def alternative(octets: bytes) -> tuple[Message, list[Message]]:
    message = email.message_from_bytes(octets)
    (part,) = [
        each for each in message.walk() if each.get_content_type() == "multipart/alternative"
    ]
    return message, cast("list[Message]", part.get_payload())


def html_part(html: str) -> Message:
    return email.message_from_string(f"Content-Type: text/html; charset=utf-8\n\n{html}")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_several_html_parts_are_found_out(program: Program, tmp_path: Path, place: int) -> None:
    message, parts = alternative(sent(program, tmp_path))
    parts.insert(place, html_part(HEADLINE))
    ended = verified(program, message.as_bytes())
    assert ended.code == 3
    assert "as one and the same" in results(ended)["form"][1]


def test_a_text_that_is_shown_in_place_of_the_html_is_found_out(
    program: Program, tmp_path: Path
) -> None:
    message, parts = alternative(sent(program, tmp_path))
    parts.reverse()
    ended = verified(program, message.as_bytes())
    assert ended.code == 3
    assert results(ended)["form"] == ("wrong", "the mail shows text/plain in place of the HTML")


def test_a_file_that_is_shown_in_place_of_the_html_is_found_out(
    program: Program, tmp_path: Path
) -> None:
    message, parts = alternative(sent(program, tmp_path))
    parts[1].add_header("Content-Disposition", "inline", filename="x.html")
    ended = verified(program, message.as_bytes())
    assert ended.code == 3
    assert results(ended)["form"] == ("wrong", "the mail shows a file in place of the text")


@pytest.mark.parametrize(
    ("part", "name", "result"),
    [
        (html_part(HEADLINE), "another HTML part", "wrong"),
        (html_part("<p>The dock list</p>"), "another HTML part", "unknown"),
        (email.message_from_string("Content-Type: image/png\n\nx"), "another part", "unknown"),
    ],
)
def test_a_part_beside_ours_is_never_ok(
    program: Program, tmp_path: Path, part: Message, name: str, result: str
) -> None:
    message = email.message_from_bytes(sent(program, tmp_path))
    cast("list[Message]", message.get_payload()).append(part)
    ended = verified(program, message.as_bytes())
    assert results(ended)[name][0] == result
    assert json.loads(ended.stdout)["ok"] is False


def test_own_templates_are_not_confirmed_and_not_accused(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    own = "{{ attestation.digest }} {{ attestation.run.id }} {{ wording.headline }}"
    (folder / "mail.html.j2").write_text(f"<p>{own}</p>")
    (folder / "mail.txt.j2").write_text(own)
    octets = sent(
        program, tmp_path, template_dir="templates", subject="News of {{ wording.headline }}"
    )
    ended = verified(program, octets)
    found = results(ended)
    assert ended.code == 0, ended.stderr
    assert json.loads(ended.stdout)["ok"] is False
    assert {found[each][0] for each in ("subject", "text", "HTML")} == {"unknown"}
    assert "cannot be compared" in found["HTML"][1]
    ended = program("verify", "-", stdin=octets, is_actions=False)
    assert "NOT CONFIRMED: HTML." in ended.stdout


def test_templates_that_extend_ours_are_not_confirmed_and_not_accused(
    program: Program, tmp_path: Path
) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "mail.html.j2").write_text(
        '{% extends "chainloop/mail.html.j2" %}'
        "{% block header %}<tr><td>ACME</td></tr>{% endblock %}"
    )
    found = results(verified(program, sent(program, tmp_path, template_dir="templates")))
    assert found["HTML"] == ("unknown", "shows what the evidence does not say: 'ACME'")
    assert found["text"][0] == "ok"


def test_own_words_that_contradict_the_evidence_are_found_out(
    program: Program, tmp_path: Path
) -> None:
    def forged(html: str) -> str:
        digests = " ".join(re.findall(r"sha256:[0-9a-f]{64}", html))
        ids = " ".join(re.findall(r"[0-9a-f-]{36}", html))
        return f"<h1>Success</h1><p>{digests} {ids}</p>"

    ended = verified(program, with_html(sent(program, tmp_path), forged))
    assert ended.code == 3
    assert "'success' is not what the evidence says" in results(ended)["HTML"][1]


def test_a_comparison_with_an_earlier_run_is_not_confirmed(
    program: Program, tmp_path: Path
) -> None:
    earlier = encoded(
        cli_push(
            statement(
                run_id="00000000-6a51-4a5b-9c1d-0e5f3c2b7a90", evaluations=[evaluation("signed")]
            )
        )
    )
    (tmp_path / "earlier.json").write_bytes(earlier)
    octets = sent(program, tmp_path, previous_attestation=str(tmp_path / "earlier.json"))
    ended = verified(program, octets)
    assert ended.code == 0, ended.stderr
    assert results(ended)["HTML"] == (
        "unknown",
        "compares with an earlier run, whose evidence is not attached",
    )


@pytest.mark.parametrize(
    "charset", ["idna", "punycode", "unicode_escape", "utf-7", "rot13", "x-none", "utf\0-8"]
)
def test_a_charset_that_is_none_for_mails_is_read_as_utf_8(
    program: Program, tmp_path: Path, charset: str
) -> None:
    octets = sent(program, tmp_path).replace(b"charset=utf-8", b"charset=" + charset.encode(), 2)
    ended = verified(program, octets)
    assert ended.code == 0, ended.stderr
    assert results(ended)["HTML"][0] == "ok"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"job_status": "failure"},
        {"needs": '{"build": {"result": "failure"}, "test": {"result": "success"}}'},
        {"env_values": "names"},
        {"env_values": "hide"},
        {"thread": "ref"},
    ],
    ids=str,
)
def test_a_mail_that_has_lost_its_html_is_not_confirmed(
    program: Program, tmp_path: Path, options: dict[str, str]
) -> None:
    message, parts = alternative(sent(program, tmp_path, **options))
    del parts[1]
    ended = verified(program, message.as_bytes())
    found = results(ended)
    assert found["HTML"] == ("unknown", "the mail has none")
    assert found["text"] == ("ok", "matches the evidence")
    assert ended.code == 0
    assert json.loads(ended.stdout)["ok"] is False
