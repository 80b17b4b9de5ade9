"""Recipients from a file, from a commit, from GitHub; a fence around them, and rehearsals."""

import json
from pathlib import Path
from typing import Any

import pytest

from builders import cli_describe, cli_push, encoded, statement
from gitrepository import commit, git
from inputs import RELAY
from program import Ended, Post, Program, never, parsed, refusal, text_of
from website import Site, github


def sent(program: Program, post: Any, environ: dict[str, str] | None = None, **more: str) -> Ended:
    inputs = RELAY | {"attestation": encoded(cli_push(statement())).decode()}
    inputs |= {name.replace("_", "-"): text for name, text in more.items()}
    return program("send", inputs=inputs, environ=environ, post=post)


def test_recipients_come_from_a_file_too(program: Program) -> None:
    Path("people.txt").write_text(
        "# On duty\nOn Duty <duty@example.com>, soc@example.com\n\n  x@y.de # she\n"
    )
    post = Post()
    assert sent(program, post, to="a@b.de, file:people.txt\nc@d.fr").code == 0
    assert post.mails[0].recipients == (
        "a@b.de",
        "duty@example.com",
        "soc@example.com",
        "x@y.de",
        "c@d.fr",
    )


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]
)
def test_a_list_may_be_as_windows_saves_it(program: Program, encoding: str) -> None:
    text = "# Größe…\r\nJörg Müller <joerg@example.com> # der Chef\r\nx#y@example.com\r\n"
    Path("people.txt").write_bytes(text.encode(encoding))
    post = Post()
    assert sent(program, post, to="file:people.txt").code == 0
    jörg, other = parsed(post.mails[0].content)["To"].addresses
    assert (jörg.display_name, jörg.addr_spec) == ("Jörg Müller", "joerg@example.com")
    assert other.addr_spec == "x#y@example.com"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (
            None,
            "there is no such file\n    Paths are relative to the workspace: does a step before "
            "this one check it out?\n",
        ),
        (b"nobody\xff", "'nobodyÿ' is not an address"),
        (b"a@b.de\x81", "is neither UTF-8, UTF-16 nor Windows-1252\n    Save it as UTF-8."),
        (b"\xff\xfea@b", "is neither UTF-8, UTF-16 nor Windows-1252\n    Save it as UTF-8.\n"),
        (b"\xef\xbb\xbfJ\xf6rg <a@b.de>", "is neither UTF-8, UTF-16 nor Windows-1252"),
        (b"a" * (256 * 1024 + 1), "is larger than 256 KiB"),
        (b"nobody\n", "'nobody' is not an address"),
    ],
    ids=["missing", "no address either", "no character", "odd", "no UTF-8", "large", "no address"],
)
def test_a_file_that_holds_no_recipients_is_an_error(
    program: Program, content: bytes | None, why: str
) -> None:
    if content is not None:
        Path("people.txt").write_bytes(content)
    ended = sent(program, never, cc="file:people.txt", to="a@b.de")
    assert ended.code == 2
    where = "cc" if "not an address" in why else "cc 'file:people.txt'"
    assert f"  {where}: {why}" in ended.stderr


def test_a_comma_in_a_name_beside_a_file_is_still_a_part_of_the_name(program: Program) -> None:
    Path("people.txt").write_text("duty@example.com\n")
    post = Post()
    assert sent(program, post, to='file:people.txt\n"Doe, Jane" <jane@example.com>').code == 0
    assert post.mails[0].recipients == ("duty@example.com", "jane@example.com")


def test_a_list_in_the_workspace_is_no_link_to_somebody_elses_file(
    program: Program, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / ".netrc"
    netrc.write_text("login jane password hunter2")
    Path("people.txt").symlink_to(netrc)
    environ = {"GITHUB_WORKSPACE": str(Path.cwd())}
    ended = sent(program, never, environ, to="file:people.txt")
    assert ended.code == 2
    assert "it is a link out of the workspace" in ended.stderr
    assert "hunter2" not in ended.stdout + ended.stderr


def test_an_empty_file_adds_nobody_and_is_not_enough_alone(program: Program) -> None:
    Path("people.txt").write_text("# nobody\n")
    post = Post()
    assert sent(program, post, cc="file:people.txt").code == 0
    assert post.mails[0].recipients == ("security@example.com",)
    assert "to: is missing" in sent(program, never, to="file:people.txt").stderr


def test_a_path_that_is_none_is_an_error(program: Program) -> None:
    assert "not a path" in sent(program, never, to="file:a\0b").stderr


def test_lists_of_a_configuration_file_may_be_files(program: Program) -> None:
    Path("people.txt").write_text("duty@example.com\n")
    Path("chainloop-smtp.yml").write_text(
        "registrations: [{name: a, to: 'file:people.txt'}]\n"
        "attachments: [{registration: a}, {registration: a, cc: 'file:none.txt'}]\n"
    )
    inputs = {name: text for name, text in RELAY.items() if name != "to"}
    inputs["config"] = "chainloop-smtp.yml"
    ended = program("send", inputs=inputs, post=never)
    assert "cc 'file:none.txt': there is no such file" in ended.stderr
    Path("none.txt").write_text("x@example.com\n")
    post = Post()
    assert program("send", inputs=inputs, post=post).code == 0
    assert [mail.recipients for mail in post.mails] == [("duty@example.com",), ("x@example.com",)]


def test_the_author_of_the_attested_commit_is_written_to(program: Program) -> None:
    post = Post()
    attestation = encoded(cli_describe(statement())).decode()
    ended = sent(program, post, to="author", cc="author", attestation=attestation)
    assert ended.code == 0
    author = statement()["subject"][1]["annotations"]["author.email"]
    assert post.mails[0].recipients == (author,)
    assert parsed(post.mails[0].content)["To"].addresses[0].addr_spec == author


def without_commit() -> str:
    return encoded(cli_describe(statement(has_commit=False))).decode()


def test_where_the_attestation_names_no_author_the_event_does(program: Program) -> None:
    author = {"name": "Robin  Quay", "email": "robin@example.com"}
    Path("event.json").write_text(json.dumps({"head_commit": {"author": author}}))
    post = Post()
    environ = {"GITHUB_EVENT_PATH": "event.json"}
    sent(program, post, environ, cc="author", attestation=without_commit())
    (box,) = parsed(post.mails[0].content)["Cc"].addresses
    assert (box.display_name, box.addr_spec) == ("Robin Quay", "robin@example.com")


@pytest.mark.parametrize("email", ["1+x@users.noreply.github.com", "no address", ""])
def test_where_nobody_can_be_found_nothing_is_sent_and_that_is_said(
    program: Program, email: str
) -> None:
    author = {"name": "Robin", "email": email}
    Path("event.json").write_text(json.dumps({"head_commit": {"author": author}}))
    environ = {"GITHUB_EVENT_PATH": "event.json" if email else "none.json"}
    ended = sent(program, never, environ, to="author", attestation=without_commit())
    assert ended.code == 0
    assert ended.outputs["skipped"].startswith("there are no recipients")
    assert ("warning", "no recipients") in ended.annotations
    assert (("notice", "no author") in ended.annotations) is not bool(email)
    if not email:
        assert ended.annotation("no author") == (
            "Neither the event nor the attestation names the author of the commit, and the commit "
            "is not in the workspace: add a step with actions/checkout."
        )


def test_of_many_mails_one_may_be_to_nobody(program: Program) -> None:
    Path("chainloop-smtp.yml").write_text(
        "registrations: [{name: a}]\n"
        "attachments: [{registration: a, to: author}, {registration: a, to: x@y.de, cc: author}]\n"
    )
    inputs = {name: text for name, text in RELAY.items() if name != "to"}
    inputs["config"] = "chainloop-smtp.yml"
    post = Post()
    inputs |= {"attestation": without_commit()}
    ended = program("send", inputs=inputs, post=post)
    assert ended.code == 0
    assert [mail.recipients for mail in post.mails] == [("x@y.de",)]
    assert "not sent: nobody was found" in ended.stdout
    assert [text for _, text in ended.annotations] == ["no author", "no recipients"]
    warning = "No mail is sent for chainloop-smtp.yml:2: nobody was found."
    assert f"no recipients::{warning}\n" in ended.stdout


EVENT, WORKSPACE, ATTESTED = "event@example.com", "git@example.com", "attested@example.com"
OWN, OTHER = "9000000042", "43"


def attested_by(address: str, sha: str = "") -> str:
    """Evidence of a commit whose author has this address, or none; of CI run `OWN`."""
    told = statement()
    head = told["subject"][1]
    head["annotations"]["author.email"] = address
    if sha:
        head["digest"] = {"sha1": sha}
    return encoded(cli_describe(told)).decode()


@pytest.mark.parametrize(
    ("run_id", "has_event", "sha", "address", "author"),
    [
        # On the job's own run, GitHub's word goes first, then the commit, then the evidence.
        (OWN, True, "head", ATTESTED, EVENT),
        (OWN, False, "head", ATTESTED, WORKSPACE),
        (OWN, False, "gone", ATTESTED, ATTESTED),
        (OWN, False, "gone", "", WORKSPACE),
        # On another one, only the evidence can say, with the repository's help.
        (OTHER, True, "head", ATTESTED, ATTESTED),
        (OTHER, True, "head", "", ""),
        (OTHER, True, "attested", "", WORKSPACE),
        # Without a CI run, too.
        ("", True, "head", ATTESTED, ATTESTED),
        ("", True, "head", "", EVENT),
        ("", False, "head", "", WORKSPACE),
    ],
)
def test_whose_word_counts_for_the_author(
    program: Program, run_id: str, has_event: bool, sha: str, address: str, author: str
) -> None:
    workspace = Path.cwd() / "workspace"
    workspace.mkdir()
    head = commit(workspace, f"Gita <{WORKSPACE}>")
    git(workspace, "remote", "add", "origin", "https://github.com/lakeside/harbour")
    event = {"head_commit": {"author": {"name": "Eve", "email": EVENT}}} if has_event else {}
    Path("event.json").write_text(json.dumps(event))
    environ = {
        "GITHUB_EVENT_PATH": "event.json",
        "GITHUB_WORKSPACE": str(workspace),
        "GITHUB_REPOSITORY": "lakeside/harbour",
        "GITHUB_RUN_ID": run_id,
        "GITHUB_SHA": "0" * 40 if sha == "gone" else head,
    }
    evidence = attested_by(address, head if sha == "attested" else "")
    post = Post()
    ended = sent(program, post, environ, cc="author", attestation=evidence)
    assert ended.code == 0
    assert post.mails[0].recipients == tuple(filter(None, ("security@example.com", author)))
    assert (("notice", "no author") in ended.annotations) is not bool(author)


def test_the_author_of_what_is_checked_out_has_no_part_in_another_run(program: Program) -> None:
    workspace = Path.cwd() / "workspace"
    workspace.mkdir()
    commit(workspace, f"Gita <{WORKSPACE}>")
    git(workspace, "remote", "add", "origin", "https://github.com/lakeside/harbour")
    event = {"workflow_run": {"id": 99, "name": "Release", "conclusion": "failure"}}
    Path("event.json").write_text(json.dumps(event))
    environ = {
        "GITHUB_EVENT_NAME": "workflow_run",
        "GITHUB_EVENT_PATH": "event.json",
        "GITHUB_WORKSPACE": str(workspace),
        "GITHUB_REPOSITORY": "lakeside/harbour",
        "GITHUB_RUN_ID": "100",
    }
    post = Post()
    ended = sent(program, post, environ, cc="author", attestation="")
    assert ended.code == 0
    assert post.mails[0].recipients == ("security@example.com",)
    assert ("notice", "no author") in ended.annotations


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("t0k3n", "There is no commit since the last good run"),
        ("", "There is no GitHub run, or no github-token to ask for it"),
    ],
)
@pytest.mark.parametrize("has_author", [True, False])
def test_contributors_that_github_does_not_name_are_those_of_the_push_or_nobody(
    program: Program, site: Site, token: str, why: str, has_author: bool
) -> None:
    commits = [{"author": {"name": "Pia", "email": "pia@example.com"}}] if has_author else []
    Path("event.json").write_text(json.dumps({"commits": commits}))
    environ = {
        **github(site, 100, "b"),
        "GITHUB_EVENT_PATH": "event.json",
        "GITHUB_REPOSITORY": "lakeside/harbour",
        "GITHUB_RUN_ID": "100",
        "GITHUB_SHA": "b",
    }
    post = Post()
    evidence = {"attestation": without_commit()}
    ended = sent(program, post, environ, cc="contributors", github_token=token, **evidence)
    people = ("pia@example.com",) if has_author else ()
    assert post.mails[0].recipients == ("security@example.com", *people)
    used = "the authors of the last commits are" if has_author else "nobody is"
    assert ended.annotation("no contributors") == f"{why}; {used} used instead."


def test_contributors_are_asked_for_at_github(program: Program, site: Site) -> None:
    commits = [{"commit": {"author": {"name": "Kim", "email": "kim@example.com"}}}]
    environ = {
        **github(site, 100, "b", commits=commits),
        "GITHUB_REPOSITORY": "lakeside/harbour",
        "GITHUB_RUN_ID": "100",
        "GITHUB_SHA": "b",
    }
    post = Post()
    ended = sent(program, post, environ, bcc="contributors", github_token="t0k3n")
    assert ended.code == 0
    assert post.mails[0].recipients == ("security@example.com", "kim@example.com")
    assert b"kim@" not in post.mails[0].content


def test_a_rehearsal_names_those_who_would_have_got_it(program: Program) -> None:
    post = Post()
    ended = sent(program, post, cc="team@example.com", redirect_to="me@example.com")
    (mail,) = post.mails
    assert mail.recipients == ("me@example.com",)
    received = parsed(mail.content)
    assert received["To"] == "me@example.com"
    assert received["Cc"] is None
    text = " ".join(text_of(mail.content).split())
    assert "Redirected: it would have gone to security@example.com, team@example.com." in text
    receipt = json.loads(Path(ended.outputs["receipt"]).read_text())
    assert receipt["deliveries"][0]["intended"] == ["security@example.com", "team@example.com"]


HIDDEN = {
    "to": "security@example.com",
    "cc": "Team@example.com",
    "bcc": "one@example.com, Security@example.com, TWO@example.com",
}


def test_a_rehearsal_counts_those_in_bcc(program: Program) -> None:
    post = Post()
    for more in ({}, {"dry_run": "true"}):
        ended = sent(program, post, None, redirect_to="me@example.com", **HIDDEN, **more)
        assert ended.code == 0
        note = "it would have gone to security@example.com, Team@example.com and 2 in bcc."
        text = " ".join(text_of(Path(ended.outputs["eml"]).read_bytes()).split())
        assert note in text
        assert "would have gone to" in ended.summary
        for said in (text, ended.log, ended.summary):
            assert "one@example.com" not in said.lower()
            assert "two@example.com" not in said.lower()
        receipt = json.loads(Path(ended.outputs["receipt"]).read_text())
        assert receipt["deliveries"][0]["intended"] == [
            "security@example.com",
            "Team@example.com",
            "one@example.com",
            "TWO@example.com",
        ]
    assert [mail.recipients for mail in post.mails] == [("me@example.com",)]


@pytest.mark.parametrize("require", ["all", "any"])
@pytest.mark.parametrize("has_file", [False, True])
def test_who_is_in_bcc_stands_in_outputs_and_receipt_alone(
    program: Program, require: str, has_file: bool
) -> None:
    refused = (
        refusal("TWO@example.com", "<two@example.com>: two is unknown here"),
        refusal("Team@example.com", "team is full; so is one@example.com."),
    )
    post, more = Post(refused=refused), {"require": require}
    if has_file:
        lines = ", ".join(f"{name}: '{text}'" for name, text in HIDDEN.items())
        Path("mail.yml").write_text(
            f"registrations: [{{name: a}}]\nattachments: [{{registration: a, {lines}}}]\n"
        )
        ended = sent(program, post, None, config="mail.yml", **more)
    else:
        ended = sent(program, post, None, **HIDDEN, **more)
    assert ended.code == (5 if require == "all" else 0)
    for text in (ended.log, ended.summary):
        assert "two@" not in text.lower()
        assert "two is" not in text
        assert "one@" not in text
    # What is said of the others is said as before.
    if require == "all" or not has_file:
        assert "bcc recipient 2: " in ended.log
        assert "550 5.1.1 team is full; so is (bcc)." in ended.log
    assert json.loads(ended.outputs["accepted"]) == ["security@example.com", "one@example.com"]
    assert json.loads(ended.outputs["refused"]) == ["Team@example.com", "TWO@example.com"]
    receipt = json.loads(Path(ended.outputs["receipt"]).read_text())
    (two,) = [
        e for e in receipt["deliveries"][0]["recipients"] if e["address"] == "TWO@example.com"
    ]
    assert two["reply"]["text"] == "<two@example.com>: two is unknown here"


def test_a_bcc_address_that_is_wrong_is_told_by_its_number(program: Program) -> None:
    ended = sent(program, never, bcc="one@example.com, two@example..com")
    assert ended.code == 2
    assert "  bcc: number 2 is not an address: " in ended.stderr
    ended = sent(
        program,
        never,
        bcc="a@example.com, two@b.de, x%y@example.com",
        allowed_domains="example.com",
    )
    assert "  bcc: number 2: not in the domains of allowed-domains\n" in ended.stderr
    assert "  bcc: number 3: some mail servers route by the part before the @\n" in ended.stderr
    assert "two@" not in ended.log


def test_a_commits_author_cannot_have_the_mail_routed_out_of_the_fence(program: Program) -> None:
    for address in ("victim%evil.test@example.com", "evil.test!victim@example.com"):
        author = {"name": "Robin", "email": address}
        Path("event.json").write_text(json.dumps({"head_commit": {"author": author}}))
        environ = {"GITHUB_EVENT_PATH": "event.json"}
        for more in ({}, {"allowed_domains": "example.com"}):
            post = Post()
            ended = sent(program, post, environ, cc="author", attestation=without_commit(), **more)
            assert ended.code == 0
            assert post.mails[0].recipients == ("security@example.com",)
            assert ended.annotation("author left out") == (
                "1 of 1 looked-up addresses may be routed elsewhere or cannot be parsed, so no "
                "mail is sent to them. To send to one anyway, write it in to, cc or bcc."
            )


def test_a_commits_author_brings_no_character_that_turns_text_around(program: Program) -> None:
    author = {"name": "Ro\u202ebin\x1b \u2066Quay\u2069", "email": "robin@example.com"}
    Path("event.json").write_text(json.dumps({"head_commit": {"author": author}}))
    post = Post()
    environ = {"GITHUB_EVENT_PATH": "event.json"}
    sent(program, post, environ, cc="author", attestation=without_commit())
    (box,) = parsed(post.mails[0].content)["Cc"].addresses
    assert (box.display_name, box.addr_spec) == ("Robin Quay", "robin@example.com")


def test_a_mailbox_that_has_the_mail_does_not_get_it_in_another_spelling(program: Program) -> None:
    post, environ = Post(), {"GITHUB_RUN_ID": "7", "GITHUB_REPOSITORY": "lakeside/harbour"}
    assert sent(program, post, environ, bcc="Jane@example.com").code == 0
    again = {"to": "Security@Example.com", "bcc": "jANE@EXAMPLE.com, new@example.com"}
    ended = sent(program, post, environ, **again)
    assert ended.code == 0
    assert [mail.recipients for mail in post.mails] == [
        ("security@example.com", "Jane@example.com"),
        ("new@example.com",),
    ]


def test_of_many_mails_one_mailbox_gets_each_once_however_it_is_spelt(program: Program) -> None:
    Path("mail.yml").write_text(
        "registrations: [{name: a}]\nattachments:\n"
        "- {registration: a, to: Jane@example.com}\n"
        "- {registration: a, to: 'jane@EXAMPLE.com, joe@example.com'}\n"
    )
    post = Post()
    ended = sent(program, post, config="mail.yml", to="")
    assert [mail.recipients for mail in post.mails] == [
        ("Jane@example.com",),
        ("joe@example.com",),
    ]
    assert json.loads(ended.outputs["accepted"]) == ["Jane@example.com", "joe@example.com"]


def test_an_address_outside_of_the_fence_is_refused_by_name(program: Program) -> None:
    ended = sent(program, never, allowed_domains="example.com", cc="x@other.test")
    assert ended.code == 2
    assert "cc: x@other.test: not in the domains of allowed-domains" in ended.stderr
