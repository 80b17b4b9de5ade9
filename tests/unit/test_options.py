"""Raw inputs -> Options, or every problem at once."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chainloop_smtp import options
from chainloop_smtp.errors import OptionsError, Problem, quoted
from chainloop_smtp.model.facts import JobResult, JobStatus
from chainloop_smtp.model.settings import (
    Attachment,
    Auth,
    Composition,
    EnvValues,
    Lookup,
    Mailbox,
    Options,
    Registration,
    Require,
    RunSelection,
    Secret,
    Tls,
    Transport,
    Trigger,
)
from inputs import LOGIN as INPUTS

BOOLEANS = ("fail-on-error", "dry-run")
ADDRESSES = ("from", "to", "cc", "bcc", "reply-to", "envelope-from")


def raw(**changes: object) -> dict[str, object]:
    """Inputs of a registration that is right, with changes; an empty one is as if left out."""
    return INPUTS | {name.rstrip("_").replace("_", "-"): value for name, value in changes.items()}


def problems(inputs: Mapping[str, object]) -> list[Problem]:
    with pytest.raises(OptionsError) as refusal:
        options.parse(inputs)
    assert refusal.value.exit_code == 2
    return list(refusal.value.problems)


def problem(inputs: Mapping[str, object]) -> Problem:
    (only,) = problems(inputs)
    return only


def wheres(inputs: Mapping[str, object]) -> list[str]:
    return [each.where for each in problems(inputs)]


# --- what is right -----------------------------------------------------------------------------


def test_the_six_keys_are_enough() -> None:
    assert options.parse(INPUTS) == Options(
        registration=Registration(
            host="smtp.example.com",
            port=587,
            user="jane",
            password="correct horse",
            from_=Mailbox(addr_spec="reports@example.com"),
            to=(Mailbox(addr_spec="security@example.com"),),
        ),
    )


def test_every_input_finds_its_place() -> None:
    parsed = options.parse(
        {
            "host": "2001:db8::25",
            "port": "465",
            "user": "jane",
            "password": "correct horse",
            "from": "Attestation reports <reports@example.com>",
            "to": "Security <security@example.com>, audit@example.com",
            "cc": "team@example.com",
            "bcc": "archive@example.com\nledger@example.com",
            "reply-to": "Jane Doe <jane@example.com>",
            "envelope-from": "bounces@example.com",
            "attestation": "attestation.json",
            "previous-attestation": "previous.json",
            "policy-evaluations": "policies.json",
            "project": "harbour",
            "workflow": "build-api",
            "redirect-to": "me@example.com",
            "allowed-domains": "Example.com",
            "send-on": "blocked changed,blocked",
            "config": "mail.yml",
            "max-recipients": "10000",
            "job-status": "failure",
            "needs": '{"build": {"result": "success", "outputs": {}}}',
            "env-values": "names",
            "tls": "implicit",
            "tls-ca-file": "ca.pem",
            "auth": "cram-md5",
            "timeout": "2.5",
            "deadline": "90",
            "require": "any",
            "fail-on-error": "false",
            "dry-run": "true",
            "output-dir": "out",
        }
    )
    assert parsed == Options(
        registration=Registration(
            host="2001:db8::25",
            port=465,
            user="jane",
            password="correct horse",
            from_=Mailbox(addr_spec="reports@example.com", name="Attestation reports"),
            to=(
                Mailbox(addr_spec="security@example.com", name="Security"),
                Mailbox(addr_spec="audit@example.com"),
            ),
        ),
        attachment=Attachment(cc=(Mailbox(addr_spec="team@example.com"),)),
        bcc=(Mailbox(addr_spec="archive@example.com"), Mailbox(addr_spec="ledger@example.com")),
        envelope_from=Mailbox(addr_spec="bounces@example.com"),
        attestation="attestation.json",
        previous_attestation="previous.json",
        policy_evaluations="policies.json",
        project="harbour",
        workflow="build-api",
        redirect_to=(Mailbox(addr_spec="me@example.com"),),
        allowed_domains=("example.com",),
        send_on=(Trigger.BLOCKED, Trigger.CHANGED),
        config="mail.yml",
        max_recipients=10_000,
        job_status=JobStatus.FAILURE,
        needs=(JobResult(name="build", result=JobStatus.SUCCESS),),
        composition=Composition(
            reply_to=(Mailbox(addr_spec="jane@example.com", name="Jane Doe"),),
            env_values=EnvValues.NAMES,
        ),
        transport=Transport(
            tls=Tls.IMPLICIT,
            tls_ca_file="ca.pem",
            auth=Auth.CRAM_MD5,
            timeout=2.5,
            deadline=90.0,
        ),
        require=Require.ANY,
        fail_on_error=False,
        dry_run=True,
        output_dir="out",
        secrets=(Secret(name="password", value="correct horse", user="jane"),),
    )


def test_who_is_looked_up_is_said_for_each_list() -> None:
    parsed = options.parse(raw(to="author, a@x.com", cc="contributors", bcc="author, author"))
    assert parsed.registration.to == (Mailbox(addr_spec="a@x.com"),)
    assert parsed.lookups == (
        ("to", Lookup.AUTHOR),
        ("cc", Lookup.CONTRIBUTORS),
        ("bcc", Lookup.AUTHOR),
    )
    assert [each.where for each in problems(raw(reply_to="author"))] == ["reply-to"]


def test_somebodys_mailbox_is_one_line_or_none() -> None:
    jane = Mailbox(addr_spec="jane@example.com", name="Jane Doe")
    assert options.mailbox(" Jane\n Doe ", "jane@example.com") == jane
    assert options.mailbox("Jane", "jane") is None


def test_the_defaults_are_those_that_the_inputs_declare() -> None:
    declared = {each.name: each.default for each in options.INPUTS if each.default}
    assert options.parse(INPUTS) == options.parse(INPUTS | declared)


@pytest.mark.parametrize("name", [each.name for each in options.INPUTS])
def test_an_empty_input_is_as_good_as_none(name: str) -> None:
    without = {each: value for each, value in INPUTS.items() if each != name}
    outcomes = []
    for inputs in (
        without,
        without | {name: ""},
        without | {name: " \n\t"},
        without | {name: None},
    ):
        try:
            outcomes.append(repr(options.parse(inputs)))
        except OptionsError as error:
            outcomes.append(str(error))
    assert len(set(outcomes)) == 1


# --- step 1: one shape for every value ---------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"port": 587}, {"port": "587"}),
        ({"timeout": 2.5}, {"timeout": "2.5"}),
        ({"dry-run": True, "fail-on-error": False}, {"dry-run": "true", "fail-on-error": "false"}),
        ({"user": None, "cc": ""}, {}),
        ({"host": "  smtp.example.com\n"}, {"host": "smtp.example.com"}),
        ({"to": ["a@x.com", "b@x.com"]}, {"to": "a@x.com\nb@x.com"}),
        ({"to": []}, {}),
        (
            {"needs": {"build": {"result": "success"}}},
            {"needs": '{"build": {"result": "success"}}'},
        ),
        ({"Reply_To": "a@x.com"}, {"reply-to": "a@x.com"}),
        ({" HOST ": "relay"}, {"host": "relay"}),
    ],
    ids=[
        "number",
        "fraction",
        "booleans",
        "null and empty",
        "white space",
        "list",
        "empty list",
        "object",
        "snake case and capitals",
        "capitals",
    ],
)
def test_every_value_becomes_one_stripped_string(
    given: dict[str, object], expected: dict[str, str]
) -> None:
    assert options.normalise(given) == expected


def test_yaml_scalars_and_lists_parse_as_their_words_do() -> None:
    scalars = raw(port=587, timeout=30, dry_run=True, to=["a@x.com", "Bea <b@x.com>"])
    words = raw(port="587", timeout="30", dry_run="true", to="a@x.com, Bea <b@x.com>")
    assert options.parse(scalars) == options.parse(words)


# --- what is missing, unknown or none of the words ---------------------------------------------


@pytest.mark.parametrize("name", INPUTS)
def test_a_missing_key_is_named_with_what_it_is_for(name: str) -> None:
    found = problem({each: value for each, value in INPUTS.items() if each != name})
    assert found.where == name
    if name not in ("user", "password"):
        (declared,) = (each for each in options.INPUTS if each.name == name)
        assert found == Problem(name, "is missing", declared.plain_help)


def test_a_relay_without_login_needs_no_user_and_no_password() -> None:
    parsed = options.parse(raw(auth="none", user="", password=""))
    assert (parsed.registration.user, parsed.registration.password) == ("", "")


@pytest.mark.parametrize(
    "inputs", [{"auth": "none"}, {"oauth2-provider": "google"}], ids=["no login", "a token"]
)
def test_without_a_password_everything_else_is_still_needed(inputs: dict[str, str]) -> None:
    missing = {each.where for each in problems(inputs) if each.why == "is missing"}
    assert missing >= {"host", "port", "from", "to"}
    assert missing.isdisjoint({"user", "password"})


def test_what_a_configuration_file_completes_stays_empty() -> None:
    registration = options.parse({"from": "a@example.com"}, is_whole=False).registration
    assert (registration.user, registration.password, registration.host) == ("", "", "")
    assert (registration.port, registration.to) == (0, ())


def test_without_login_user_and_password_are_not_kept() -> None:
    parsed = options.parse(raw(auth="none"))
    assert (parsed.registration.user, parsed.registration.password) == ("", "")


@pytest.mark.parametrize("missing", ["user", "password"])
@pytest.mark.parametrize("auth", [each for each in Auth if each is not Auth.NONE])
def test_every_other_way_to_log_in_needs_both(auth: Auth, missing: str) -> None:
    assert wheres(raw(auth=auth.value) | {missing: ""}) == [missing]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("pasword", "password"), ("hots", "host"), ("reply_too", "reply-to"), ("dryrun", "dry-run")],
)
def test_an_unknown_input_is_refused_with_the_nearest_name(name: str, nearest: str) -> None:
    found = problem(INPUTS | {name: "x"})
    where = name.replace("_", "-")
    assert found == Problem(where, "there is no such input", f"Did you mean {nearest}?")


@pytest.mark.parametrize("name", [each.name for each in options.INPUTS if each.choices])
def test_a_word_outside_the_choices_is_refused_with_all_of_them(name: str) -> None:
    found = problem(INPUTS | {name: "perhaps"})
    (declared,) = (each for each in options.INPUTS if each.name == name)
    words = ("true", "false") if "TRUE" in declared.choices else declared.choices
    hint = f"Use one of: {', '.join(words)}."
    assert found == Problem(name, "'perhaps' is not a valid value", hint)


@pytest.mark.parametrize("name", BOOLEANS)
@pytest.mark.parametrize("word", ["true", "True", "TRUE", "false", "False", "FALSE"])
def test_a_boolean_is_one_of_yamls_six_words(name: str, word: str) -> None:
    parsed = options.parse(INPUTS | {name: word})
    assert {"fail-on-error": parsed.fail_on_error, "dry-run": parsed.dry_run}[name] == (
        word.lower() == "true"
    )


@pytest.mark.parametrize("name", BOOLEANS)
@pytest.mark.parametrize("word", ["yes", "no", "1", "0", "on", "off", "tRUE", "y", "truee", 1])
def test_a_boolean_is_nothing_else(name: str, word: object) -> None:
    assert wheres(INPUTS | {name: word}) == [name]


# --- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ADDRESSES)
def test_what_is_no_address_is_told_once_with_its_input_and_value(name: str) -> None:
    found = problem(INPUTS | {name: "Jane <jane.example.com>"})
    # Others read the log, and nobody is to know who is in bcc.
    shown = "number 1" if name == "bcc" else "'jane.example.com'"
    why = f"{shown} is not an address: An email address must have an @-sign."
    assert (found.where, found.why) == (name, why)


@pytest.mark.parametrize("name", ADDRESSES)
def test_separators_alone_hold_no_address(name: str) -> None:
    found = problem(INPUTS | {name: " , ;"})
    assert (found.where, found.why) == (name, "', ;' contains no address")


@pytest.mark.parametrize("name", ["to", "cc", "bcc", "reply-to"])
def test_each_wrong_member_of_a_list_is_told(name: str) -> None:
    found = problems(INPUTS | {name: "a@x.com, b, Cleo <c@x..com>\nd@x.com"})
    periods = "An email address cannot have two periods in a row."
    shown = ("number 2", "number 3") if name == "bcc" else ("'b'", "'c@x..com'")
    assert [(each.where, each.why) for each in found] == [
        (name, f"{shown[0]} is not an address: An email address must have an @-sign."),
        (name, f"{shown[1]} is not an address: {periods}"),
    ]


@pytest.mark.parametrize("name", ["from", "envelope-from"])
def test_one_mailbox_is_one_mailbox(name: str) -> None:
    found = problem(INPUTS | {name: "a@x.com, b@x.com"})
    assert found.where == name
    assert found.why == "2 addresses are given, but only one is allowed"


def test_a_comma_in_a_bare_name_is_explained() -> None:
    found = problems(raw(from_="Doe, Jane <jane@example.com>"))
    assert [each.why for each in found] == [
        "'Doe' is not an address: An email address must have an @-sign.",
        "2 addresses are given, but only one is allowed",
    ]


def test_a_name_with_a_control_character_is_refused() -> None:
    found = problem(raw(to="Ja\x07ne <jane@example.com>"))
    assert "control, invisible or text-direction character" in found.why


# --- host, port, seconds -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("smtp.example.com", "smtp.example.com"),
        ("smtp.example.com.", "smtp.example.com."),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
        (".".join(["a" * 62] * 4) + ".", ".".join(["a" * 62] * 4) + "."),
        (".".join(["a" * 50] * 4 + ["b" * 49]), ".".join(["a" * 50] * 4 + ["b" * 49])),
        ("relay", "relay"),
        ("localhost", "localhost"),
        ("mail_relay.local", "mail_relay.local"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("mail.faß.de", "mail.xn--fa-hia.de"),
        ("βόλος.example", "xn--nxasmm1c.example"),
        ("ＭＡＩＬ。bücher.example.", "mail.xn--bcher-kva.example."),
        ("_mx.bücher.example", "_mx.xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "XN--BCHER-KVA.example"),
        ("3com.example", "3com.example"),
        ("mail.1a", "mail.1a"),
        ("mail.0xg", "mail.0xg"),
        ("192.0.2.25", "192.0.2.25"),
        ("[192.0.2.25]", "192.0.2.25"),
        ("2001:db8::25", "2001:db8::25"),
        ("[2001:db8::25]", "2001:db8::25"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_a_host_is_a_name_or_an_ip_literal(host: str, expected: str) -> None:
    assert options.parse(raw(host=host)).registration.host == expected


@pytest.mark.parametrize("name", ["host", "port", "oauth2-token-url", "tls-fingerprint"])
def test_a_login_in_a_url_is_not_repeated(name: str) -> None:
    with pytest.raises(OptionsError) as caught:
        options.parse(raw() | {name: "smtp://jane:hunter2@smtp.example.com:587/@x"})
    assert "'smtp://***@smtp.example.com:587/@x'" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("smtp://smtp.example.com", "is a URL"),
        ("https://smtp.example.com/", "is a URL"),
        ("smtp.example.com/mail", "is a URL"),
        ("smtp.example.com:587", "contains a port or a colon"),
        ("[2001:db8::25]:587", "contains a port or a colon"),
        ("192.0.2.25:25", "contains a port or a colon"),
        ("2001:db8::zz", "contains a port or a colon"),
        ("smtp example.com", "contains white space or unprintable characters"),
        ("smtp\nexample.com", "contains white space or unprintable characters"),
        ("smtp\x00.example.com", "contains white space or unprintable characters"),
        ("smtp\udcff.example.com", "contains white space or unprintable characters"),
        ("[]", "is not a host name or IP address"),
        ("[smtp.example.com]", "is not a host name or IP address"),
        ("192.0.2.999", "is not a host name or IP address"),
        ("127.1", "is not a host name or IP address"),
        ("127.1.", "is not a host name or IP address"),
        ("127.0x1", "is not a host name or IP address"),
        ("1234", "is not a host name or IP address"),
        ("010.0.0.1", "is not a host name or IP address"),
        ("-smtp.example.com", "is not a host name or IP address"),
        ("smtp-.example.com", "is not a host name or IP address"),
        ("smtp..example.com", "is not a host name or IP address"),
        (".", "is not a host name or IP address"),
        ("_", "is not a host name or IP address"),
        ("smtp.example.com,", "is not a host name or IP address"),
        ("jane@example.com", "is not a host name or IP address"),
        ("a" * 64 + ".example.com", "is not a host name or IP address"),
        (".".join(["a" * 60] * 5), "is not a host name or IP address"),
        (".".join(["a" * 50] * 4 + ["b" * 50]), "is not a host name or IP address"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_what_is_no_host_is_told_with_the_reason(host: str, why: str) -> None:
    found = problem(raw(host=host))
    assert (found.where, found.why) == ("host", f"{quoted(host)} {why}")
    assert found.why.isprintable()


@pytest.mark.parametrize("port", ["1", "25", "587", "00465", "65535", 2525])
def test_a_port_from_1_to_65535_is_one(port: object) -> None:
    assert options.parse(raw(port=port)).registration.port == int(str(port))


@pytest.mark.parametrize(
    "port", ["0", "65536", "-1", "+25", "abc", "5 8 7", "587.0", "0x24b", "²", "٢٥", "1e3", True]
)
def test_a_port_outside_1_to_65535_is_refused(port: object) -> None:
    found = problem(raw(port=port))
    written = "true" if port is True else str(port)
    why = f"{quoted(written)} is not a port number from 1 to 65535"
    assert (found.where, found.why) == ("port", why)


@pytest.mark.parametrize("name", ["timeout", "deadline"])
@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("soon", "'soon' is not a number"),
        ("30s", "'30s' is not a number"),
        ("0", "'0' is not more than 0 and at most 86400"),
        ("-1", "'-1' is not more than 0 and at most 86400"),
        ("86401", "'86401' is not more than 0 and at most 86400"),
        ("nan", "'nan' is not more than 0 and at most 86400"),
        ("inf", "'inf' is not more than 0 and at most 86400"),
    ],
)
def test_seconds_are_more_than_none_and_a_day_at_most(name: str, value: str, why: str) -> None:
    found = problem(INPUTS | {name: value})
    assert found == Problem(name, why, "Write seconds, such as 30 or 2.5.")


# --- where the evidence is ---------------------------------------------------------------------


def test_a_workflow_run_is_asked_for_by_its_id() -> None:
    run_id = "5b0a4f0e-6a51-4A5B-9c1d-0e5f3c2b7a90"
    assert options.parse(raw(workflow_run_id=run_id)).workflow_run_ids == (run_id,)


def test_several_runs_are_asked_for_each_once_in_their_order() -> None:
    first, second = "5b0a4f0e-6a51-4A5B-9c1d-0e5f3c2b7a90", "9c858901-8a57-4791-81fe-4c455b099bc9"
    parsed = options.parse(raw(workflow_run_id=f"{first},{second}\n {first.lower()},"))
    assert parsed.workflow_run_ids == (first, second)
    assert parsed.run_selection is None


def test_new_stands_for_the_runs_that_have_ended_since_the_state_file_was_written() -> None:
    parsed = options.parse(raw(workflow_run_id="new", state_file="state.json"))
    assert (parsed.workflow_run_ids, parsed.run_selection) == ((), RunSelection.NEW)
    assert parsed.state_file == "state.json"


def test_auto_stands_for_the_runs_of_the_ci_run() -> None:
    parsed = options.parse(raw(workflow_run_id="auto"))
    assert (parsed.workflow_run_ids, parsed.run_selection) == ((), RunSelection.AUTO)


@pytest.mark.parametrize("run_id", ["42", "sha256:" + "ab" * 32, "--help", "Auto"])
def test_what_is_no_uuid_is_refused(run_id: str) -> None:
    found = problem(raw(workflow_run_id=run_id))
    assert (found.where, found.why) == ("workflow-run-id", f"{quoted(run_id)} is not a UUID")


@pytest.mark.parametrize("name", ["workflow", "project"])
@pytest.mark.parametrize(
    ("given", "why"),
    [("a\nb", "'a b' is not a name"), ("build-*", "'build-*' is a glob, not a name")],
    ids=["two lines", "a glob"],
)
def test_a_run_is_of_one_workflow_and_one_project(name: str, given: str, why: str) -> None:
    assert getattr(options.parse(raw(**{name: "build-api"})), name) == "build-api"
    found = problem(raw(**{name: given}))
    assert (found.where, found.why) == (name, why)


def test_a_workflow_run_and_an_attestation_are_one_too_many() -> None:
    run_id = "5b0a4f0e-6a51-4a5b-9c1d-0e5f3c2b7a90"
    found = problem(raw(workflow_run_id=run_id, attestation="attestation.json"))
    assert (found.where, found.hint) == ("workflow-run-id", "Give one of them.")


WORDS = ", ".join(JobStatus)


# --- needs -------------------------------------------------------------------------------------


def test_the_results_of_earlier_jobs_are_read() -> None:
    needs = {
        "build": {"result": "success", "outputs": {"image": "sha256:…"}},
        "test": {"result": "failure", "outputs": {}},
        "lint": {"result": "cancelled"},
        "docs": {"result": "skipped"},
    }
    assert options.parse(raw(needs=json.dumps(needs))).needs == (
        JobResult(name="build", result=JobStatus.SUCCESS),
        JobResult(name="test", result=JobStatus.FAILURE),
        JobResult(name="lint", result=JobStatus.CANCELLED),
        JobResult(name="docs", result=JobStatus.SKIPPED),
    )


@pytest.mark.parametrize(
    "needs",
    [
        '["success", "timed_out", "success"]',
        '[{"result": "success"}, {"result": "timed_out", "outputs": {}}, {"result": "success"}]',
        "success,timed_out,success",
        " success, timed_out\nsuccess,",
        ["success", "timed_out", "success"],
    ],
    ids=["toJSON(needs.*.result)", "toJSON(needs.*)", "join(needs.*.result)", "words", "list"],
)
def test_results_alone_have_no_names(needs: object) -> None:
    good, bad = JobResult(name="", result=JobStatus.SUCCESS), JobStatus.TIMED_OUT
    found = options.parse(raw(needs=needs)).needs
    assert found == (good, JobResult(name="", result=bad), good)


@pytest.mark.parametrize("needs", ["startup_failure", '"startup_failure"'])
def test_one_job_may_be_given_by_its_result(needs: str) -> None:
    only = JobResult(name="", result=JobStatus.STARTUP_FAILURE)
    assert options.parse(raw(needs=needs)).needs == (only,)


CONCLUSIONS = (
    "success failure cancelled skipped neutral timed_out action_required stale startup_failure"
)


@pytest.mark.parametrize("word", CONCLUSIONS.split())
def test_every_conclusion_of_github_is_a_status_and_a_result(word: str) -> None:
    parsed = options.parse(raw(job_status=word, needs=json.dumps({"build": {"result": word}})))
    assert parsed.job_status is JobStatus(word)
    assert parsed.needs == (JobResult(name="build", result=JobStatus(word)),)


def test_another_status_is_refused_with_all_that_there_are() -> None:
    found = problem(raw(job_status="completed"))
    assert found.where == "job-status"
    assert "'completed'" in found.why
    assert CONCLUSIONS.replace(" ", ", ") in found.hint


@pytest.mark.parametrize("empty", ["{}", "[]", ",", " ", {}], ids=repr)
def test_a_job_without_needs_has_none(empty: object) -> None:
    assert options.parse(raw(needs=empty)).needs == ()


@pytest.mark.parametrize(
    ("needs", "why"),
    [
        ("build", f"'build' is not one of {WORDS}"),
        ("[" * 100_000, "is not JSON"),
        ('"build', "is not JSON"),
        ('"build"', f"'build' is not one of {WORDS}"),
        ("success, build", f"'build' is not one of {WORDS}"),
        ("[1]", f"'1' is not one of {WORDS}"),
        ('["success", ["failure"]]', f"'['failure']' is not one of {WORDS}"),
        ("[{}]", f"'None' is not one of {WORDS}"),
        ("null", f"'null' is not one of {WORDS}"),
        ('{"build": "success"}', f"job 'build' has no result of {WORDS}"),
        ('{"build": {}}', f"job 'build' has no result of {WORDS}"),
        ('{"build": {"result": null}}', f"job 'build' has no result of {WORDS}"),
        ('{"build": {"result": "Success"}}', f"job 'build' has no result of {WORDS}"),
        ('{"build": {"result": ["success"]}}', f"job 'build' has no result of {WORDS}"),
        ('{"bu\\nild": {"result": {}}}', f"job 'bu ild' has no result of {WORDS}"),
    ],
    ids=lambda value: value[:34],
)
def test_needs_of_another_shape_are_refused_with_what_to_write(needs: str, why: str) -> None:
    found = problem(raw(needs=needs))
    hint = "Write needs: ${{ toJSON(needs.*.result) }}, or ${{ toJSON(needs) }} for names too."
    assert found == Problem("needs", why, hint)


# --- all at once -------------------------------------------------------------------------------


def test_every_problem_is_told_at_once_in_the_order_of_the_inputs() -> None:
    found = wheres(
        {
            "zzz": "1",
            "output-dir": "out",
            "require": "some",
            "deadline": "never",
            "timeout": "0",
            "tls": "yes",
            "needs": "{",
            "job-status": "fine",
            "envelope-from": "x",
            "reply-to": "x",
            "bcc": "x",
            "cc": "x",
            "to": "x, y",
            "from": "x",
            "user": "jane",
            "port": "abc",
            "host": "a b",
        }
    )
    assert found == [
        "zzz",
        "host",
        "port",
        "password",
        "from",
        "to",
        "to",
        "cc",
        "bcc",
        "reply-to",
        "envelope-from",
        "job-status",
        "needs",
        "tls",
        "timeout",
        "deadline",
        "require",
    ]


def test_nothing_given_names_all_six_keys_and_nothing_else() -> None:
    assert wheres({}) == list(INPUTS)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from([each.name for each in options.INPUTS]) | st.text(), json_values, max_size=8
    )
)
def test_no_inputs_whatever_are_anything_but_options_or_problems(inputs: dict[str, object]) -> None:
    try:
        parsed = options.parse(inputs)
    except OptionsError:
        return
    assert 1 <= parsed.registration.port <= 65535


# --- secrets -----------------------------------------------------------------------------------

# Any text that login mechanisms can carry, as it stands after the blanks around it are gone.
passwords = (
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
    .map(str.strip)
    .filter(bool)
)
ALL_WRONG = raw(host="a b", port="x", to="x", cc="y", tls="z", needs="{", timeout="0", pasword="x")


@given(passwords)
@example("smtp.example.com")
@example("'correct horse' is missing")
def test_no_password_leaves_a_trace_in_options_or_errors(password: str) -> None:
    # What is the same for two passwords shows neither of them.
    parsed = options.parse(raw(password=password))
    assert parsed.registration.password == password
    assert repr(parsed) == repr(options.parse(raw(password="another")))
    assert str(parsed) == str(options.parse(raw(password="another")))
    found = problems(ALL_WRONG | {"password": password})
    assert found == problems(ALL_WRONG | {"password": "another"})


@pytest.mark.parametrize("name", ["user", "password"])
@pytest.mark.parametrize("character", ["\x00", "\udcff"], ids=ascii)
def test_what_no_login_can_carry_is_refused_without_being_shown(name: str, character: str) -> None:
    found = problem(INPUTS | {name: f"correct{character}horse"})
    assert (found.where, found.why) == (name, "contains a NUL character, or is not valid UTF-8")


# --- the plugin --------------------------------------------------------------------------------


def test_the_plugin_describes_itself_in_chainloops_words() -> None:
    plugin = options.plugin()
    assert (plugin.id, plugin.version) == ("smtp", "1.0")
    assert plugin.description == "Send emails with information about a received attestation"
    assert str(plugin.registration_schema["$id"]).endswith("/smtp/v1/registration-request")
    assert str(plugin.attachment_schema["$id"]).endswith("/smtp/v1/attachment-request")
