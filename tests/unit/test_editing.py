"""Entries put into a configuration file and taken out of it again, around what its author wrote."""

import difflib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from chainloop_smtp.errors import OptionsError, Problem
from chainloop_smtp.options import configuration
from chainloop_smtp.options.configuration import editing

WRITTEN = """\
# Mail of the harbour.
registrations: # all of them
  # The people on duty.
  - name: security
    host: smtp.example.com # in the cellar
    to:
      - security@example.com

      - soc@example.com   # at night
    # Remember to ask before you change this.

  # Lawyers.
  -
    name: legal
    reply-to: |
      counsel@example.com
      records@example.com

# What goes where.
attachments:
- registration: legal
  findings: license
- registration: security  # everything
- {registration: security, cc: a@example.com}
# The end.
"""
NEW: dict[str, editing.Value] = {
    "name": "new",
    "host": "mail.example.org",
    "password": {"env": "NEW_PASSWORD"},
}


def changes(before: str, after: str) -> list[str]:
    """Lines added and removed, in their order."""
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line for line in lines if line[0] in "+-"]


def names(text: str) -> list[str]:
    return [each.name for each in configuration.parse(text, "f").registrations]


def test_a_registration_is_added_behind_the_last_and_nothing_else_moves() -> None:
    after = editing.add(WRITTEN, "f", "registrations", NEW)
    assert changes(WRITTEN, after) == [
        "+   - name: new",
        "+     host: mail.example.org",
        "+     password: {env: NEW_PASSWORD}",
    ]
    assert names(after) == ["security", "legal", "new"]
    assert after.index("records@") < after.index("- name: new") < after.index("# What goes where.")


def test_an_attachment_is_added_in_the_hand_of_the_list() -> None:
    after = editing.add(WRITTEN, "f", "attachments", {"registration": "legal", "project": "a*"})
    assert changes(WRITTEN, after) == ["+ - registration: legal", '+   project: "a*"']
    assert after.endswith('  project: "a*"\n# The end.\n')


def test_an_entry_is_taken_out_with_what_stands_in_it_and_no_more() -> None:
    without = editing.remove(WRITTEN, "f", "attachments", [1, 2])
    after = editing.remove(without, "f", "registrations", [0])
    assert changes(WRITTEN, after) == [
        "-   - name: security",
        "-     host: smtp.example.com # in the cellar",
        "-     to:",
        "-       - security@example.com",
        "- ",
        "-       - soc@example.com   # at night",
        "-     # Remember to ask before you change this.",
        "- - registration: security  # everything",
        "- - {registration: security, cc: a@example.com}",
    ]


def test_what_was_added_and_taken_out_again_leaves_no_trace() -> None:
    added = editing.add(WRITTEN, "f", "registrations", NEW)
    assert editing.remove(added, "f", "registrations", [2]) == WRITTEN


def test_an_entry_whose_dash_stands_alone_is_taken_out_with_its_dash() -> None:
    without = editing.remove(WRITTEN, "f", "attachments", [0])
    after = editing.remove(without, "f", "registrations", [1])
    assert names(after) == ["security"]
    assert "  -\n" not in after
    assert "# Lawyers." in after


def test_the_last_entry_may_go() -> None:
    text = "registrations:\n- name: a\n"
    after = editing.remove(text, "f", "registrations", [0])
    assert after == "registrations:\n"
    assert editing.add(after, "f", "registrations", {"name": "b"}) == (
        "registrations:\n  - name: b\n"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", editing._HEADER + "registrations:\n  - name: b\n"),  # noqa: SLF001  # its words
        ("# mine\n", "# mine\n\nregistrations:\n  - name: b\n"),
        ("# mine", "# mine\n\nregistrations:\n  - name: b\n"),
        ("attachments: []\n", "attachments: []\n\nregistrations:\n  - name: b\n"),
        ("registrations: [] # none\n", "registrations: # none\n  - name: b\n"),
        ("registrations: ~\nattachments:\n", "registrations:\n  - name: b\nattachments:\n"),
        ("registrations: [{name: a}]\n", 'registrations: [{name: a}, {name: "b"}]\n'),
        ("registrations:\r\n- name: a\r\n", "registrations:\r\n- name: a\r\n- name: b\r\n"),
        ("registrations:\n- name: a", "registrations:\n- name: a\n- name: b\n"),
    ],
    ids=["empty", "comment", "no end", "other list", "flow", "null", "full flow", "CRLF", "open"],
)
def test_the_first_entry_finds_its_place(before: str, after: str) -> None:
    assert editing.add(before, "f", "registrations", {"name": "b"}) == after


def by_hand(why: str) -> Problem:
    hint = "Edit the file by hand, or write its lists one entry below the other, each with a dash."
    return Problem("f", f"cannot be edited without touching the rest: {why}", hint)


NODE = "is not YAML: while parsing a flow node did not find expected node content"
START = "is not YAML: did not find expected <document start>"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("registrations: [\n{name: a},\n]\n", f"the result would be wrong at f:3:1: {NODE}"),
        ("{}\n", f"the result would be wrong at f:3:1: {START}"),
        ("registrations: [\n]\n", f"the result would be wrong at f:2:3: {NODE}"),
        ("attachments:\n...\n", f"the result would be wrong at f:4:1: {START}"),
    ],
    ids=["comma", "flow", "two lines", "ended"],
)
def test_what_cannot_be_extended_is_left_to_its_author(text: str, why: str) -> None:
    with pytest.raises(OptionsError) as caught:
        editing.add(text, "f", "registrations", {"name": "b", "password": {"env": "B"}})
    assert caught.value.problems == (by_hand(why),)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "registrations:\n- &a {name: a}\n- {<<: *a, name: b}\n",
            "the result would be wrong at f:2:8: the alias '*a' refers to no anchor before it",
        ),
        ("registrations: [{name: a}, {name: b}]\n", "the entry would stay"),
        (
            "x-l: &l\n- name: a\nregistrations: *l\n",
            "the result would be wrong at f:1:16: the alias '*l' refers to no anchor before it",
        ),
        (
            "registrations:\n- name: a\nattachments:\n- registration: a\n",
            "the result would be wrong at f:3:3: there is no registration 'a'",
        ),
    ],
    ids=["anchor", "flow", "alias", "attached"],
)
def test_what_cannot_be_taken_out_is_left_to_its_author(text: str, why: str) -> None:
    with pytest.raises(OptionsError) as caught:
        editing.remove(text, "f", "registrations", [0])
    assert caught.value.problems == (by_hand(why),)


def test_an_entry_that_is_wrong_itself_is_told_at_its_place() -> None:
    with pytest.raises(OptionsError) as caught:
        editing.add("", "f", "registrations", {"name": "b", "hots": "x"})
    assert caught.value.problems == (
        Problem("f:4:5", "'hots' is not a key of a registration", "Did you mean host?"),
    )


def test_a_comment_set_in_below_the_last_entry_goes_with_it() -> None:
    text = "registrations:\n- name: a\n  # mine\n"
    assert editing.remove(text, "f", "registrations", [0]) == "registrations:\n"
    text = "registrations:\n- name: a\n  # mine\n  # too\n# not mine\n"
    assert editing.remove(text, "f", "registrations", [0]) == "registrations:\n# not mine\n"


def test_nothing_to_take_out_changes_nothing() -> None:
    assert editing.remove("", "f", "attachments", []) == ""
    assert editing.remove(WRITTEN, "f", "attachments", []) == WRITTEN


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30)


@given(st.lists(TEXT.map(str.strip).filter(bool), min_size=1, max_size=3))
def test_any_text_is_read_again_as_it_was_written(texts: list[str]) -> None:
    lines = [" ".join(each.split()) for each in texts]
    entry: dict[str, editing.Value] = {
        "name": "new",
        "to": "\n".join(filter(None, lines)) or "x",
        "user": "no",
    }
    text = editing.add(WRITTEN, "f", "registrations", entry)
    assert configuration.parse(text, "f").registrations[-1].entry.inputs == {
        "to": entry["to"],
        "user": "no",
    }


@pytest.mark.parametrize(
    "text",
    [
        *("no", "null", "~", "1e3", "12:30", "0587", "0x1f", "a: b", "a #b", "-", "- a"),
        *("*", "&a", "@x", "é", "\x7f", "a\u2028b", "a\x85b", 'a"\\b', "\U0001f680", "\U00018cd6"),
    ],
)
def test_what_yaml_would_take_for_something_else_is_quoted(text: str) -> None:
    written = editing.add("", "f", "registrations", {"name": "b", "user": text})
    assert yaml.safe_load(written)["registrations"][0]["user"] == text
    assert configuration.parse(written, "f").registrations[0].entry.inputs["user"] == text
