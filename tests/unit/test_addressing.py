"""People found for a run among the recipients, and rehearsals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainloop_smtp import options
from chainloop_smtp.addressing import add_people, everybody, is_person, redirect
from chainloop_smtp.errors import OptionsError
from chainloop_smtp.model.settings import Lookup, Mailbox, Options

INPUTS = {
    "host": "smtp.example.com",
    "port": "587",
    "auth": "none",
    "from": "reports@example.com",
    "to": "Security <security@example.com>",
}
ROBIN = Mailbox(addr_spec="robin@example.com", name="Robin")
KIM = Mailbox(addr_spec="kim@lab.example.org", name="Kim")
BOT = Mailbox(addr_spec="49699333+dependabot[bot]@users.noreply.github.com", name="dependabot[bot]")
FOUND = {Lookup.AUTHOR: (ROBIN,), Lookup.CONTRIBUTORS: (KIM, ROBIN, BOT)}


def parsed(**inputs: str) -> Options:
    return options.parse(INPUTS | {name.replace("_", "-"): text for name, text in inputs.items()})


def recipients(found: Options) -> dict[str, list[str]]:
    lists = {"to": found.registration.to, "cc": found.attachment.cc, "bcc": found.bcc}
    return {name: [box.addr_spec for box in boxes] for name, boxes in lists.items()}


def test_people_join_the_list_that_asks_for_them_each_once() -> None:
    given = parsed(to="security@example.com, author", cc="contributors", bcc="Robin@Example.com")
    assert given.lookups == (("to", Lookup.AUTHOR), ("cc", Lookup.CONTRIBUTORS))
    assert recipients(add_people(given, FOUND)) == {
        "to": ["security@example.com", "robin@example.com"],
        "cc": ["kim@lab.example.org", "robin@example.com"],
        "bcc": ["Robin@example.com"],
    }


def test_a_list_may_hold_nothing_but_people() -> None:
    given = parsed(to="author")
    assert recipients(add_people(given, FOUND))["to"] == ["robin@example.com"]
    assert everybody(add_people(given, {})) == ()


def test_a_word_for_people_is_none_where_one_address_belongs() -> None:
    with pytest.raises(OptionsError, match="'author' is not an address"):
        parsed(reply_to="author")


@pytest.mark.parametrize(
    ("address", "name", "expected"),
    [
        ("robin@example.com", "Robin", True),
        ("123+robin@users.noreply.github.com", "Robin", False),
        ("noreply@github.com", "GitHub", False),
        ("No-Reply+7@example.com", "", False),
        ("renovate[bot]@example.com", "", False),
        ("x@example.com", "github-actions[bot]", False),
        ("root@localhost", "root", False),
    ],
)
def test_only_people_are_written_to(address: str, name: str, expected: bool) -> None:
    assert is_person(Mailbox(addr_spec=address, name=name)) is expected


def test_the_fence_keeps_named_recipients_in_with_their_names() -> None:
    with pytest.raises(OptionsError) as caught:
        parsed(
            allowed_domains="example.com, *.example.org",
            cc="a@other.test, b@lab.example.org, c@example.org",
            bcc="d@EXAMPLE.com",
        )
    (problem,) = caught.value.problems
    assert problem.where == "cc"
    assert problem.why.startswith("a@other.test, c@example.org: not in the domains")


def test_the_fence_stands_around_rehearsals_too() -> None:
    with pytest.raises(OptionsError) as caught:
        parsed(allowed_domains="example.com", redirect_to="me@other.test")
    assert [each.where for each in caught.value.problems] == ["redirect-to"]


def test_the_fence_leaves_people_out_who_are_beyond_it() -> None:
    given = parsed(allowed_domains="example.com", cc="contributors")
    assert recipients(add_people(given, FOUND))["cc"] == ["robin@example.com"]


@pytest.mark.parametrize("domain", ["@example.com", "https://x", "a..b", "*"])
def test_what_is_no_domain_is_no_fence(domain: str) -> None:
    with pytest.raises(OptionsError, match="is not a domain"):
        parsed(allowed_domains=domain)


# What a default Postfix answers to RCPT for a local example.com: 554 5.7.1 Relay access denied.
REROUTED = [
    "victim%evil.test@example.com",
    "evil.test!victim@example.com",
    '"victim%evil.test"@example.com',
    '"evil.test!victim"@example.com',
    "a%b@example.com",
    "a!@example.com",
    "victim％evil.test@example.com",
    "victim﹪evil.test@example.com",
    "evil.test！victim@example.com",
    # Other servers' ways.
    "evil.test^victim@example.com",
    '"evil.test::victim"@example.com',
    '"victim:evil.test"@example.com',
    '"a,b"@example.com',
    '"a;b"@example.com',
    r'"\\victim"@example.com',
    "|victim@example.com",
    "/G=Jane/S=Doe/@example.com",
    "SRS0=HHH=TT=evil.test=victim@example.com",
    "srs1+HHH=gate.test==HHH=TT=evil.test=victim@example.com",
    "IMCEASMTP-victim+40evil+2Etest@example.com",
]
HARMLESS = [
    "o'brien@example.com",
    "jane.doe+ci@example.com",
    "bounce+victim=evil.test@example.com",
    "customer/department=shipping@example.com",
    "srsly@example.com",
    "imceah@example.com",
    "jörg@example.com",
    '"jane doe"@example.com',
]


@pytest.mark.parametrize("address", REROUTED)
@pytest.mark.parametrize("name", ["to", "cc", "bcc", "redirect-to"])
def test_within_a_fence_no_address_is_one_that_a_server_routes_elsewhere(
    name: str, address: str
) -> None:
    with pytest.raises(OptionsError) as caught:
        parsed(**{"allowed-domains": "example.com", name: address})
    (problem,) = caught.value.problems
    assert problem.where == name
    assert "some mail servers route by the part before the @" in problem.why
    assert problem.hint == "With allowed-domains, write an address without %, ! and the like."


@pytest.mark.parametrize("address", REROUTED)
def test_nobody_is_looked_up_whose_address_a_server_routes_elsewhere(address: str) -> None:
    box = options.mailbox("Robin", address)
    assert box is not None
    assert everybody(add_people(parsed(to="author"), {Lookup.AUTHOR: (box,)})) == ()


@pytest.mark.parametrize("address", HARMLESS)
def test_what_no_server_routes_by_stays_within_the_fence(address: str) -> None:
    given = parsed(allowed_domains="example.com", cc=address, to="author")
    box = options.mailbox("Robin", address)
    assert box is not None
    assert [each.addr_spec for each in everybody(given)] == [address]
    assert [
        each.addr_spec for each in add_people(given, {Lookup.AUTHOR: (box,)}).registration.to
    ] == [address]


@pytest.mark.parametrize("address", ["robin@[169.254.169.254]", "robin@[IPv6:::1]"])
def test_nobody_is_looked_up_at_an_ip_address(address: str) -> None:
    box = options.mailbox("Robin", address)
    assert box is not None
    assert everybody(add_people(parsed(to="author"), {Lookup.AUTHOR: (box,)})) == ()


def test_a_fence_may_be_written_in_any_script() -> None:
    given = parsed(
        allowed_domains="FAß.de, *.bücher.example", to="a@faß.de", cc="b@lab.xn--bcher-kva.example"
    )
    assert given.allowed_domains == ("xn--fa-hia.de", "*.xn--bcher-kva.example")
    with pytest.raises(OptionsError, match=r"a@fass\.de: not in the domains"):
        parsed(allowed_domains="faß.de", to="a@fass.de")
    with pytest.raises(OptionsError, match="is not a domain"):
        parsed(allowed_domains="❤.example", to="a@fass.de")


def test_addresses_that_differ_in_case_are_one_mailbox_in_its_first_spelling() -> None:
    given = parsed(
        to="Jane@Example.com, JANE@example.COM, jane <jane@example.com>, joe@b.de",
        cc="JOE@b.de, kim@c.fr",
        bcc="Kim@c.fr, Jörg@c.fr, jÖrg@c.fr",
    )
    assert recipients(given) == {
        "to": ["Jane@example.com", "joe@b.de"],
        "cc": ["JOE@b.de", "kim@c.fr"],
        "bcc": ["Kim@c.fr", "Jörg@c.fr"],
    }
    assert [each.addr_spec for each in everybody(given)] == [
        "Jane@example.com",
        "joe@b.de",
        "kim@c.fr",
        "Jörg@c.fr",
    ]
    found = {Lookup.AUTHOR: (Mailbox(addr_spec="ROBIN@example.com"), ROBIN)}
    assert recipients(add_people(parsed(to="author"), found))["to"] == ["ROBIN@example.com"]


def test_a_rehearsal_goes_to_one_place_and_knows_the_others() -> None:
    given = parsed(
        redirect_to="Me <me@example.com>", cc="a@b.de", bcc="c@d.fr, security@example.com"
    )
    found, intended = redirect(given)
    assert recipients(found) == {"to": ["me@example.com"], "cc": [], "bcc": []}
    assert intended == ("security@example.com", "a@b.de", "c@d.fr")
    assert redirect(parsed()) == (parsed(), ())


BOXES = st.builds(
    Mailbox, addr_spec=st.sampled_from(["a@b.de", "noreply@b.de", "c@d.fr", "e[bot]@b.de"])
)


@given(st.lists(BOXES).map(tuple), st.booleans())
def test_nobody_outside_the_fence_and_no_bot_is_ever_added(
    found: tuple[Mailbox, ...], is_fenced: bool
) -> None:
    given = parsed(to="a@b.de, author", **({"allowed_domains": "b.de"} if is_fenced else {}))
    added = recipients(add_people(given, {Lookup.AUTHOR: found}))["to"]
    assert added[0] == "a@b.de"
    assert set(added) <= {"a@b.de", "c@d.fr"} - ({"c@d.fr"} if is_fenced else set())
    assert len(added) == len(set(added))
