"""Text of a configuration file -> its two lists, or every problem with its place."""

import time
from contextlib import suppress

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from chainloop_smtp.errors import OptionsError, Problem
from chainloop_smtp.model.attested import Annotation, FindingKind
from chainloop_smtp.model.entries import Conditions
from chainloop_smtp.model.facts import Outcome
from chainloop_smtp.options import configuration
from chainloop_smtp.options.configuration import document

WHOLE = """\
# yaml-language-server: $schema=configuration.json
x-relay: &relay
  host: smtp.example.com
  port: 0587
  user: no
  password: {env: RELAY_PASSWORD}

registrations:
  - name: security
    description: "Whoever is on duty, day and night"
    <<: *relay
    from: Reports <reports@example.com>
    to: [security@example.com, soc@example.com]
  - <<: *relay
    name: legal
    user: {env: LEGAL_USER}
    to: legal@example.com

attachments:
  - registration: security
    workflow: [build-*, release]
    project: harbour
    branch: main, release/*
    tag: v*
    event: push
    outcome: [blocked, violations]
    policy: cve-*
    findings: vulnerability, sast
    filter: environment=prod, sha = a=b
    send-on: violated, blocked
    cc: team@example.com
  - registration: legal
    findings: license
    created-at: 2026-11-24T22:00:00Z
"""


def problems(text: str) -> list[tuple[str, str]]:
    """Place within the file, and why, of each problem."""
    with pytest.raises(OptionsError) as caught:
        configuration.parse(text, "mail.yml")
    return [(each.where.removeprefix("mail.yml:"), each.why) for each in caught.value.problems]


def hint(text: str) -> str:
    with pytest.raises(OptionsError) as caught:
        configuration.parse(text, "mail.yml")
    return caught.value.problems[0].hint


def test_both_lists_are_read_with_what_their_anchors_stand_for() -> None:
    found = configuration.parse(WHOLE, "mail.yml")
    security, legal = found.registrations
    assert (security.name, security.description) == (
        "security",
        "Whoever is on duty, day and night",
    )
    assert security.entry.inputs == {
        "host": "smtp.example.com",
        "port": "0587",
        "user": "no",
        "from": "Reports <reports@example.com>",
        "to": "security@example.com\nsoc@example.com",
    }
    assert security.entry.variables == {"password": "RELAY_PASSWORD"}
    assert legal.entry.variables == {"password": "RELAY_PASSWORD", "user": "LEGAL_USER"}
    assert "user" not in legal.entry.inputs
    first, second = found.attachments
    assert first.conditions == Conditions(
        workflows=("build-*", "release"),
        projects=("harbour",),
        branches=("main", "release/*"),
        tags=("v*",),
        events=("push",),
        outcomes=(Outcome.BLOCKED, Outcome.VIOLATIONS),
        policies=("cve-*",),
        findings=(FindingKind.VULNERABILITY, FindingKind.SAST),
        annotations=(
            Annotation(name="environment", value="prod"),
            Annotation(name="sha", value="a=b"),
        ),
    )
    assert first.entry.inputs == {"send-on": "violated, blocked", "cc": "team@example.com"}
    assert (second.registration, second.created_at) == ("legal", "2026-11-24T22:00:00Z")
    assert first.entry.place == "mail.yml:20:5"
    assert first.entry.places["cc"] == "mail.yml:31:5"


@pytest.mark.parametrize(
    "text", ["", "# nothing yet\n", "---\n", "registrations:\nattachments: []\n", "~\n"]
)
def test_a_file_with_nothing_in_it_is_none_too_many(text: str) -> None:
    found = configuration.parse(text, "mail.yml")
    assert (found.registrations, found.attachments) == ((), ())


def test_ids_stay_the_same_wherever_an_entry_stands_and_differ_even_for_twins() -> None:
    head = "registrations: [{name: a}]\nattachments:\n"
    one, other = "- {registration: a, cc: b@c.de}\n", "- {registration: a, created-at: x}\n"
    first = configuration.parse(head + one + other + one, "mail.yml").attachments
    second = configuration.parse(f"# new\n{head}{other}{one}", "other.yml").attachments
    assert len({each.id for each in first}) == 3
    assert [each.id for each in second] == [first[1].id, first[0].id]
    registration = configuration.parse(head, "x").registrations[0]
    assert (
        registration.id
        == configuration.parse("registrations: [{name: a}]", "y").registrations[0].id
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "- a\n",
            (
                "1:1",
                "the file is not a mapping",
                "Write registrations: and attachments:, each with a list below.",
            ),
        ),
        (
            "mine\n",
            (
                "1:1",
                "the file is not a mapping",
                "Write registrations: and attachments:, each with a list below.",
            ),
        ),
        (
            "registrations: [{name: a}]\nattachments:\n- registration: a\n  filter: prod\n",
            (
                "4:3",
                "filter: 'prod' is not key=value",
                "Write filter: key=value; separate several by commas.",
            ),
        ),
        (
            "registrations: [{name: a}]\nattachments:\n- registration: a\n  filter: [=prod]\n",
            (
                "4:3",
                "filter: '=prod' is not key=value",
                "Write filter: key=value; separate several by commas.",
            ),
        ),
        (
            "registrations: [{name: a}]\nattachments:\n- registration: a\n  filter: a=b, a=c\n",
            (
                "4:3",
                "filter has two values for 'a', and a run has only one",
                "Add an attachment for each value.",
            ),
        ),
        (
            "registrations: [{name: a}]\nattachments:\n- registration: a\n  filter: ''\n",
            (
                "4:11",
                "filter is empty, and would match every run",
                "Omit the key to match any.",
            ),
        ),
        *(
            (
                f"registrations:\n- name: a\n  password: {{env: {variable}}}\n",
                (
                    "3:13",
                    f"{variable} is for Chainloop or the runner, not for a mail server",
                    "Write password: {env: NAME}, with the name of an environment variable.",
                ),
            )
            for variable in (
                *("CHAINLOOP_TOKEN", "Chainloop_Token", "GITHUB_TOKEN", "GH_TOKEN"),
                *("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_RUNTIME_TOKEN", "RUNNER_TOKEN"),
                *("CHAINLOOP_SIGNING_PASSWORD", "GH_ENTERPRISE_TOKEN", "CI_JOB_TOKEN"),
                *("CI_JOB_JWT_V2", "SYSTEM_ACCESSTOKEN", "CIRCLE_OIDC_TOKEN_V2"),
            )
        ),
        (
            "registrations:\n- name: a\n  to: {env: A-B}\n",
            (
                "3:7",
                "'A-B' is not a variable name",
                "Write to: {env: NAME}, with the name of an environment variable.",
            ),
        ),
        (
            "registrations:\n- name: a\n  oauth2-client-secret: hunter2\n",
            (
                "3:25",
                "oauth2-client-secret is in the file itself, where everybody can read it",
                "Change it at the server, then write oauth2-client-secret: {env: "
                "SMTP_OAUTH2_CLIENT_SECRET} and give the step env: SMTP_OAUTH2_CLIENT_SECRET: "
                "${{ secrets.SMTP_OAUTH2_CLIENT_SECRET }}.",
            ),
        ),
        (
            "registration: []\n",
            (
                "1:1",
                "'registration' is not a key of a configuration file",
                "It belongs in an attachment.",
            ),
        ),
        (
            "registrations: x\n",
            ("1:16", "registrations is not a list", "Begin each entry with a dash: - name: …"),
        ),
        (
            "registrations: {}\n",
            ("1:16", "registrations is not a list", "Begin each entry with a dash: - name: …"),
        ),
        (
            "registrations:\n- x\n",
            ("2:3", "the entry is not a mapping", "Write key: value below its dash."),
        ),
        (
            "registrations:\n- to: x\n",
            (
                "2:3",
                "has no name",
                "Write name: with at most 63 lower-case letters, digits and dashes.",
            ),
        ),
        (
            "registrations:\n- name: A\n",
            (
                "2:3",
                "'A' is not a valid registration name",
                "Write name: with at most 63 lower-case letters, digits and dashes.",
            ),
        ),
        (
            "registrations:\n- name: a..b\n",
            (
                "2:3",
                "'a..b' is not a valid registration name",
                "Write name: with at most 63 lower-case letters, digits and dashes.",
            ),
        ),
        (
            "registrations:\n- {name: a}\n- {name: a}\n",
            (
                "3:3",
                "the name 'a' is taken already, at mail.yml:2:3",
                "Give each registration its own name.",
            ),
        ),
        (
            "registrations:\n- name: a\n  hots: x\n",
            ("3:3", "'hots' is not a key of a registration", "Did you mean host?"),
        ),
        (
            "registrations:\n- name: a\n  password: ${{ secrets.SMTP_PASSWORD }}\n",
            (
                "3:13",
                "password is a workflow expression, and none is evaluated in this file",
                "Write password: {env: NAME}, and the expression into env of the step.",
            ),
        ),
        (
            "registrations:\n- name: a\n  host: ${{vars.HOST}}\n",
            (
                "3:9",
                "host is a workflow expression, and none is evaluated in this file",
                "Write host: {env: NAME}, and the expression into env of the step.",
            ),
        ),
        (
            "registrations:\n- name: a\n  password: hunter2\n",
            (
                "3:13",
                "password is in the file itself, where everybody can read it",
                (
                    "Change it at the server, then write password: {env: SMTP_PASSWORD} and give "
                    "the step env: SMTP_PASSWORD: ${{ secrets.SMTP_PASSWORD }}."
                ),
            ),
        ),
        (
            "registrations:\n- name: a\n  password: [hunter2]\n",
            (
                "3:13",
                "password is in the file itself, where everybody can read it",
                (
                    "Change it at the server, then write password: {env: SMTP_PASSWORD} and give "
                    "the step env: SMTP_PASSWORD: ${{ secrets.SMTP_PASSWORD }}."
                ),
            ),
        ),
        (
            "registrations:\n- name: a\n  proxy: http://u:hunter2@proxy.example.com:8080\n",
            (
                "3:10",
                "the proxy's password is in the file itself, where everybody can read it",
                (
                    "Change it at the server, then write proxy: {env: SMTP_PROXY} and give the "
                    "step env: SMTP_PROXY: ${{ secrets.SMTP_PROXY }}."
                ),
            ),
        ),
        (
            "registrations:\n- name: a\n  proxy: [socks5://u:hunter2@proxy.example.com:1080]\n",
            (
                "3:10",
                "the proxy's password is in the file itself, where everybody can read it",
                (
                    "Change it at the server, then write proxy: {env: SMTP_PROXY} and give the "
                    "step env: SMTP_PROXY: ${{ secrets.SMTP_PROXY }}."
                ),
            ),
        ),
        (
            "registrations:\n- name: a\nattachments:\n- {registration: a, workflow: ''}\n",
            (
                "4:31",
                "workflow is empty, and would match every run",
                "Omit the key to match any.",
            ),
        ),
        (
            "registrations:\n- name: a\nattachments:\n- {registration: a, project: []}\n",
            (
                "4:30",
                "project is empty, and would match every run",
                "Omit the key to match any.",
            ),
        ),
        (
            "registrations:\n- name: a\nattachments:\n- {registration: a, outcome: ','}\n",
            (
                "4:30",
                "outcome is empty, and would match every run",
                "Omit the key to match any.",
            ),
        ),
        (
            "registrations:\n- name: a\n  to: {env: 1x}\n",
            (
                "3:7",
                "'1x' is not a variable name",
                "Write to: {env: NAME}, with the name of an environment variable.",
            ),
        ),
        (
            "registrations:\n- name: a\n  to: {file: x}\n",
            (
                "3:7",
                "to is a mapping, but not of env to a variable's name",
                "Write to: {env: NAME}, with the name of an environment variable.",
            ),
        ),
        (
            "registrations:\n- name: {env: A}\n",
            ("2:9", "name is a mapping, but must be text", ""),
        ),
        (
            "registrations:\n- name: a\n  to: [[x]]\n",
            ("3:8", "to contains something other than text", ""),
        ),
        (
            "attachments:\n- cc: a@b.de\n",
            ("2:3", "names no registration", "Write registration: and the name of one."),
        ),
        (
            "attachments:\n- registration: a\n",
            ("2:3", "there is no registration 'a'", "There is none in this file."),
        ),
        (
            "registrations: [{name: ses}, {name: gmail}]\nattachments:\n- registration: zzz\n",
            ("3:3", "there is no registration 'zzz'", "Available: gmail, ses."),
        ),
        (
            "registrations: [{name: ses}, {name: gmail}]\nattachments:\n- registration: gmial\n",
            ("3:3", "there is no registration 'gmial'", "Did you mean gmail?"),
        ),
        (
            "attachments:\n- registration: a\n  outcome: green\n",
            (
                "3:3",
                "'green' is not a valid value of outcome",
                (
                    "Use one of: passed, violations, blocked, bypassed, failed, cancelled, "
                    "not-attested, attested."
                ),
            ),
        ),
        (
            "attachments:\n- registration: a\n  host: x\n",
            ("3:3", "'host' is not a key of an attachment", "It belongs in a registration."),
        ),
        (
            "a: 1\na: 2\n",
            ("2:1", "the key 'a' is given twice, first in line 1", "Keep one of them."),
        ),
        (
            "a: !!python/name:os.system x\n",
            (
                "1:4",
                "the tag 'tag:yaml.org,2002:python/name:os.system' is not supported",
                "Remove it: every value is text.",
            ),
        ),
        (
            "a: !own x\n",
            ("1:4", "the tag '!own' is not supported", "Remove it: every value is text."),
        ),
        (
            "a: *b\n",
            (
                "1:4",
                "the alias '*b' refers to no anchor before it",
                "Put text that begins with * or & in quotes, such as workflow: '*'.",
            ),
        ),
        (
            "a: &b [*b]\n",
            (
                "1:8",
                "the alias '*b' refers to the value that contains it",
                "Put text that begins with * or & in quotes, such as workflow: '*'.",
            ),
        ),
        ("<<: [1]\n", ("1:5", "the merge key << takes mappings only", "Write <<: *anchor.")),
        ("? [a]\n: b\n", ("1:1", "a key is not a plain word", "")),
        ("a: 1\n---\na: 2\n", ("2:1", "a second document begins", "Write one, without ---.")),
        ("a: " + "[" * 40, ("1:15", "is nested more than 12 levels deep", "")),
        (
            "a: 'b\n",
            (
                "2:1",
                "is not YAML: while scanning a quoted scalar found unexpected end of stream",
                "",
            ),
        ),
        (
            "a:\n\tb: 1\n",
            (
                "2:1",
                (
                    "is not YAML: while scanning for the next token found character that cannot "
                    "start any token"
                ),
                "Indent with spaces, not tabs. Put text that begins with @ in quotes.",
            ),
        ),
        (
            "workflow: *\n",
            (
                "1:12",
                (
                    "is not YAML: while scanning an alias did not find expected alphabetic or "
                    "numeric character"
                ),
                "Put text that begins with * or & in quotes, such as workflow: '*'.",
            ),
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_column(
    text: str, expected: tuple[str, str, str]
) -> None:
    place, why, hint = expected
    with pytest.raises(OptionsError) as caught:
        configuration.parse(text, "mail.yml")
    assert Problem(f"mail.yml:{place}", why, hint) in caught.value.problems
    assert "hunter2" not in str(caught.value)


def test_every_problem_is_told_at_once_in_the_order_of_the_file() -> None:
    text = """\
registrations:
  - name: a
    tsl: auto
  - name: B
    password: hunter2
attachments:
  - registration: b
    findings: licence
"""
    assert [place for place, _ in problems(text)] == ["3:5", "4:5", "5:15", "7:5", "8:5"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("registrations: [{name: a, hots: x}]", "Did you mean host?"),
        ("registrations: [{name: a, workflow: x}]", "It belongs in an attachment."),
        (
            "registrations: [{name: a, dry-run: x}]",
            "It is an input of the step, the same for every mail.",
        ),
        (
            "registrations: [{name: a}]\nattachments: [{registration: a, tls: none}]",
            "It belongs in a registration.",
        ),
        ("registrations: [{name: a}]\nattachments: [{registration: aa}]", "Did you mean a?"),
        (
            "a:\n\tb: 1\n",
            "Indent with spaces, not tabs. Put text that begins with @ in quotes.",
        ),
        (
            "workflow: *\n",
            "Put text that begins with * or & in quotes, such as workflow: '*'.",
        ),
        ("a: 'b", ""),
    ],
)
def test_the_next_step_is_told_too(text: str, expected: str) -> None:
    assert hint(text) == expected


def test_a_character_that_yaml_forbids_is_no_bug_of_ours() -> None:
    for text in ("a: \x00", "a: \x07", "a: \ud800"):
        with pytest.raises(OptionsError, match="a character that YAML does not allow"):
            configuration.parse(text, "mail.yml")


def test_a_billion_laughs_end_early() -> None:
    rows = ["a0: &a0 [" + ", ".join(["ha"] * 10) + "]"]
    for number in range(1, 30):
        rows.append(f"a{number}: &a{number} [" + ", ".join([f"*a{number - 1}"] * 10) + "]")
    started = time.monotonic()
    with pytest.raises(OptionsError, match="more than 100000 values, with aliases expanded"):
        configuration.parse("\n".join(rows), "mail.yml")
    assert time.monotonic() - started < 5


def test_too_many_values_and_too_many_bytes_are_refused() -> None:
    with pytest.raises(OptionsError, match="more than 100000 values"):
        document.compose("[" + "x," * 100_001 + "]", "mail.yml")
    with pytest.raises(OptionsError, match="is larger than 1 MiB"):
        document.compose("#" * (1024 * 1024 + 1), "mail.yml")


def test_a_file_of_1_mib_and_100000_values_is_read() -> None:
    assert document.compose("#" * (1024 * 1024), "mail.yml") is None
    read = document.compose("[" + "x," * 99_999 + "]", "mail.yml")
    assert isinstance(read, document.Sequence)
    assert (len(read.items), read.size) == (99_999, 100_000)


def test_twelve_levels_are_read() -> None:
    assert document.compose("[" * 12 + "]" * 12, "mail.yml") is not None


def test_problems_are_in_the_order_of_the_file_wherever_it_is() -> None:
    rows = "".join(f"- {{name: A{number}}}\n" for number in range(10))
    with pytest.raises(OptionsError) as caught:
        configuration.parse(f"registrations:\n{rows}", "C:\\a:b.yml")
    assert [each.where for each in caught.value.problems] == [
        f"C:\\a:b.yml:{number}:3" for number in range(2, 12)
    ]
    line = "registrations: [{a: x, b: y, name: n}]"
    with pytest.raises(OptionsError) as caught:
        configuration.parse(f"  {line}", "9:9:9")
    assert [each.where for each in caught.value.problems] == ["9:9:9:1:20", "9:9:9:1:26"]


def test_a_description_may_have_commas_and_lists_are_words() -> None:
    text = (
        "registrations: [{name: a, description: 'One, two'}]\n"
        "attachments: [{registration: a, workflow: ' x , y ,x'}]"
    )
    found = configuration.parse(text, "mail.yml")
    assert found.registrations[0].description == "One, two"
    assert found.attachments[0].conditions.workflows == ("x", "y")


def test_a_condition_that_is_null_is_none() -> None:
    text = "registrations: [{name: a}]\nattachments: [{registration: a, workflow: ~}]"
    assert configuration.parse(text, "mail.yml").attachments[0].conditions == Conditions()


FIRST_AND_TWIN = [
    "a229acc0-cb95-5829-90c3-2c0d624c3b48",
    "5787460e-9a80-5b06-b9b8-74af5179f52a",
]


def test_an_id_that_somebody_wrote_down_stays_the_entrys() -> None:
    text = "registrations: [{name: a}]\nattachments: [{registration: a}, {registration: a}]"
    found = configuration.parse(text, "mail.yml")
    assert found.registrations[0].id == "15f5f0d0-a9ff-5329-9136-875ba1c228a0"
    assert [each.id for each in found.attachments] == FIRST_AND_TWIN
    dated = text.replace("a}]\na", "a, created-at: x}]\na").replace("a}]", "a, created-at: y}]")
    again = configuration.parse(dated, "other.yml")
    assert [each.id for each in again.attachments] == FIRST_AND_TWIN
    assert [each.created_at for each in again.attachments] == ["", "y"]
    assert again.registrations[0].created_at == "x"


def test_the_later_of_two_merged_mappings_is_the_weaker_one() -> None:
    text = (
        "x-a: &a {host: one, port: 25}\nx-b: &b {host: two, user: u}\n"
        "registrations: [{<<: [*a, *b], name: n, port: 465}]"
    )
    (registration,) = configuration.parse(text, "mail.yml").registrations
    assert registration.entry.inputs == {"host": "one", "port": "465", "user": "u"}


def test_what_is_null_is_not_given() -> None:
    text = "registrations: [{name: a, password: , user: null, to: [~, a@b.de, ' '], host: ''}]"
    (registration,) = configuration.parse(text, "mail.yml").registrations
    assert registration.entry.inputs == {"to": "a@b.de"}
    assert registration.entry.variables == {}


def test_without_libyaml_the_same_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with_it = configuration.parse(WHOLE, "mail.yml")
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert configuration.parse(WHOLE, "mail.yml") == with_it


@given(st.text(alphabet="ab:-[]{},&*!<\"'|>#\n \t~0", max_size=60))
@example("registrations:\n- name: a\n  x: |\n   b")
def test_no_text_breaks_the_reader(text: str) -> None:
    with suppress(OptionsError):
        configuration.parse(text, "mail.yml")
