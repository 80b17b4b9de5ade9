"""Text -> mailboxes: the grammar, and what email-validator is asked for."""

import re
import unicodedata

import email_validator
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chainloop_smtp import options
from chainloop_smtp.errors import quoted
from chainloop_smtp.model.settings import Mailbox
from chainloop_smtp.options import addresses


def parsed(text: str) -> list[Mailbox]:
    """Every member of a list, split and checked."""
    return [
        addresses.mailbox(*addresses.name_and_addr_spec(member)) for member in addresses.split(text)
    ]


def written(mailbox: Mailbox) -> str:
    """RFC 5322 section 3.4: a quoted display name, and the addr-spec in angle brackets."""
    name = mailbox.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{name}" <{mailbox.addr_spec}>' if name else mailbox.addr_spec


# A name as it comes out: blanks collapsed. Whatever a person may type and a reader sees.
names = st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp"))).map(
    lambda t: " ".join(t.split())
)
addr_specs = st.one_of(
    # What looks like an encoded word is refused.
    st.from_regex(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,12}(\.[a-z]{1,5})?", fullmatch=True)
    .filter(lambda local: "=?" not in local)
    .flatmap(
        lambda local: st.from_regex(r"[a-z]{1,9}\.example\.com", fullmatch=True).map(
            lambda domain: f"{local}@{domain}"
        )
    ),
    st.sampled_from(
        [
            "jane@relay",
            "jane@localhost",
            "jane@mail.local",
            "jane@mail.test",
            "jane@[192.0.2.1]",
            "jane@[IPv6:2001:db8::1]",
            '"jane, doe"@example.com',
            '"jane;doe"@example.com',
            '"jane doe"@example.com',
            '"jane:doe"@example.com',
        ]
    ),
)
mailboxes = st.builds(lambda n, a: Mailbox(name=n, addr_spec=a), names, addr_specs)


@given(st.lists(mailboxes, min_size=1), st.sampled_from([", ", ",", ";", "\n", ",\r\n", " ; \n,"]))
@example([Mailbox(name='Doe, "Jane" <x@y> \\', addr_spec="jane@example.com")], ",")
def test_a_list_of_mailboxes_reads_back_as_it_was_written(
    members: list[Mailbox], separator: str
) -> None:
    assert parsed(separator.join(map(written, members))) == members


@given(st.text())
def test_splitting_loses_nothing_but_separators_and_blanks(text: str) -> None:
    members = addresses.split(text)
    assert all(member and member == member.strip() for member in members)
    blanks = re.compile(r"[,;\s]")
    assert blanks.sub("", "".join(members)) == blanks.sub("", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        (" , ;\n,", ()),
        ("a@x.com", ("a@x.com",)),
        ("a@x.com,b@x.com", ("a@x.com", "b@x.com")),
        ("a@x.com; b@x.com;", ("a@x.com", "b@x.com")),
        ("a@x.com\r\nb@x.com\n\n", ("a@x.com", "b@x.com")),
        ('"Doe, Jane" <j@x.com>, b@x.com', ('"Doe, Jane" <j@x.com>', "b@x.com")),
        ('"a \\", b" <a@x.com>,b@x.com', ('"a \\", b" <a@x.com>', "b@x.com")),
        ('<"a,b"@x.com>, b@x.com', ('<"a,b"@x.com>', "b@x.com")),
        ('"unclosed <a@x.com>, b@x.com\nc@x.com', ('"unclosed <a@x.com>, b@x.com', "c@x.com")),
        ("Doe, Jane <j@x.com>", ("Doe", "Jane <j@x.com>")),
        ('"<a"@x.com, b@x.com', ('"<a"@x.com', "b@x.com")),
        ('<"a>"@x.com, b@x.com>, c@x.com', ('<"a>"@x.com, b@x.com>', "c@x.com")),
    ],
    ids=[
        "nothing",
        "separators only",
        "one",
        "comma",
        "semicolons",
        "lines",
        "comma in a quoted name",
        "escaped quote in a name",
        "comma in a quoted local part",
        "an unclosed quote ends with its line",
        "comma in a bare name",
        "an angle bracket in a quoted local part",
        "a closing one inside of angle brackets",
    ],
)
def test_a_list_is_split_where_a_reader_would_split_it(
    text: str, expected: tuple[str, ...]
) -> None:
    assert addresses.split(text) == expected


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ("j@x.com", ("", "j@x.com")),
        ("<j@x.com>", ("", "j@x.com")),
        ("< j@x.com >", ("", "j@x.com")),
        ("Jane Doe <j@x.com>", ("Jane Doe", "j@x.com")),
        ("Jane   Doe<j@x.com>", ("Jane Doe", "j@x.com")),
        ('"Jane Doe" <j@x.com>', ("Jane Doe", "j@x.com")),
        ('"" <j@x.com>', ("", "j@x.com")),
        ('" <j@x.com>', ("", '" <j@x.com>')),
        ('Jane <"<j>"@x.com>', ("Jane", '"<j>"@x.com')),
        ("a<b <j@x.com>", ("a", "b <j@x.com")),
        ('Jane "JJ" Doe <j@x.com>', ('Jane "JJ" Doe', "j@x.com")),
        (r'"back\\slash \"q\"" <j@x.com>', (r'back\slash "q"', "j@x.com")),
        ("Jürgen 🚀 <j@x.com>", ("Jürgen 🚀", "j@x.com")),
        ("Jane (work) j@x.com", ("", "Jane (work) j@x.com")),
        ("j@x.com>", ("", "j@x.com>")),
        ("Jane <j@x.com> (work)", ("", "Jane <j@x.com> (work)")),
        ("Jane <>", ("Jane", "")),
    ],
)
def test_a_member_is_taken_apart_into_name_and_addr_spec(
    member: str, expected: tuple[str, str]
) -> None:
    assert addresses.name_and_addr_spec(member) == expected


@pytest.mark.parametrize(
    ("addr_spec", "wire"),
    [
        ("jane@example.com", "jane@example.com"),
        ("Jane@EXAMPLE.com", "Jane@example.com"),
        ("jane@bücher.example", "jane@xn--bcher-kva.example"),
        ("jürgen@bücher.example", "jürgen@xn--bcher-kva.example"),
        ("ju\u0308rgen@example.com", "jürgen@example.com"),
        ("用户@example.com", "用户@example.com"),
        ('"jür gen"@example.com', '"jür gen"@example.com'),
        ("jürgen@[192.0.2.1]", "jürgen@[192.0.2.1]"),
        ("jane@relay", "jane@relay"),
        ("jane@localhost", "jane@localhost"),
        ("jane@mail.local", "jane@mail.local"),
        ("jane@mail.test", "jane@mail.test"),
        ("jane@[192.0.2.1]", "jane@[192.0.2.1]"),
        ("jane@[IPv6:2001:db8::1]", "jane@[IPv6:2001:db8::1]"),
        ('"jane doe"@example.com', '"jane doe"@example.com'),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
    ],
)
def test_an_addr_spec_comes_out_as_it_goes_over_the_wire(addr_spec: str, wire: str) -> None:
    assert addresses.check(addr_spec) == wire


@pytest.mark.parametrize(
    "addr_spec",
    [
        "",
        "jane",
        "jane@",
        "@example.com",
        "jane@@example.com",
        "jane doe@example.com",
        "jane@example..com",
        "jane@-example.com",
        "jane@exam ple.com",
        ".jane@example.com",
        "jane@example.com>",
        "Jane <jane@example.com>",
        "jane@example.com, joe@example.com",
        "jane@example.com (Jane)",
        "mailto:jane@example.com,",
        "jür\u202egen@example.com",
        "jür\u200bgen@example.com",
        "\u0301jane@example.com",
        "jür gen@example.com",
        "jür\u2028gen@example.com",
        "ü" * 33 + "@example.com",
        "jane@[192.0.2.999]",
        "jane@[nonsense]",
        "a" * 65 + "@example.com",
        "jane@" + "a." * 130 + "com",
        "jane\x00@example.com",
        '"jane\x07"@example.com',
        "\ud800@example.com",
        "jane@\ud800.com",
    ],
    ids=ascii,
)
def test_what_is_no_addr_spec_is_refused_with_a_reason(addr_spec: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as refusal:
        addresses.check(addr_spec)
    problem = addresses.problem("to", quoted(addr_spec), str(refusal.value))
    assert problem.where == "to"
    assert "is not an address" in problem.why
    assert problem.why.isprintable()
    assert "name@example.com" in problem.hint


@given(st.text() | st.tuples(st.text(), st.text()).map("@".join))
def test_no_addr_spec_can_end_its_line_and_its_domain_is_ascii(text: str) -> None:
    try:
        wire = addresses.check(text)
    except ValueError:
        return
    assert wire.isprintable()
    local, at, domain = wire.rpartition("@")
    assert at == "@"
    assert domain.isascii()
    assert unicodedata.is_normalized("NFC", local)
    assert addresses.check(wire) == wire


UNFIT = [
    *"\x00\x1b\x7f\x9b\udcff\u2028\u2029",
    *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c",
    *"\u200b\u2060\ufeff\xad\U000e0041",
]


@pytest.mark.parametrize("character", UNFIT, ids=ascii)
def test_a_name_with_what_hides_or_turns_its_text_around_is_refused(character: str) -> None:
    with pytest.raises(ValueError, match=re.escape("The name contains a control, invisible")):
        addresses.mailbox(f"Jane{character}Doe", "jane@example.com")


@pytest.mark.parametrize("character", UNFIT, ids=ascii)
def test_somebody_elses_name_does_without_it(character: str) -> None:
    found = options.mailbox(f" Jane {character} Doe ", "jane@example.com")
    assert found == Mailbox(name="Jane Doe", addr_spec="jane@example.com")


def test_joiners_are_part_of_a_name() -> None:
    name = "می\u200cخواهم 👩\u200d🚀"
    assert addresses.mailbox(name, "jane@example.com").name == name


@pytest.mark.parametrize(
    ("addr_spec", "why"),
    [
        ("=?utf-8?q?a=40b?=@example.com", "looks like an encoded word"),
        ("=?utf-8?b?YUBi?=@example.com", "looks like an encoded word"),
        ("jane=?x@example.com", "looks like an encoded word"),
        ('"=?utf-8?q?a=40b?= x"@example.com', "looks like an encoded word"),
        ("＝？utf-8?q?a=40b?=@example.com", "looks like an encoded word"),
        ('"victim@evil.test"@example.com', "contains @"),
        (r'"victim\@evil.test"@example.com', "contains @"),
        ('"@a.test:victim@evil.test"@example.com', "contains @"),
        ("victim＠evil.test@example.com", "contains @"),
        ("victim﹫evil.test@example.com", "contains @"),
        ('"<victim>"@example.com', "contains <"),
        ('"victim>"@example.com', "contains >"),
        ("＜victim＞@example.com", "contains <"),
        ("jane@192.0.2.1", "is a number"),
        ("jane@127.1", "is a number"),
        ("jane@2130706433", "is a number"),
        ("jane@1", "is a number"),
        ("jane@0x7f000001", "is a number"),
        ("jane@0x7f.0.0.0x1", "is a number"),
        ("jane@example.0X", "is a number"),
        ("jane@１２７.０.０.１", "is a number"),
        ("Jane@192.0.2.1", "is a number"),
    ],
    ids=ascii,
)
def test_an_address_that_servers_read_in_two_ways_is_refused(addr_spec: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        addresses.check(addr_spec)


@pytest.mark.parametrize(
    "addr_spec",
    ["jane%x@example.com", "x!jane@example.com", "a=b@example.com", "?=a@b.de", "a@1.example.com"],
)
def test_what_only_some_servers_route_by_is_for_the_user_to_say(addr_spec: str) -> None:
    assert addresses.check(addr_spec) == addr_spec


@pytest.mark.parametrize("domain", ["faß.de", "βόλος.gr", "BÜCHER.example", "例え。jp"])
def test_a_domain_becomes_what_a_host_of_that_name_does(domain: str) -> None:
    assert addresses.check(f"a@{domain}") == f"a@{addresses.ascii_name(domain)}"


LIKELY = st.from_regex(
    r"[a-zA-Z0-9!#$%&'*+/=?^_`{|}~. \"\\@-]{0,70}@[a-zA-Z0-9.\-_\[\]:]{0,80}", fullmatch=True
)
PLAIN = st.from_regex(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,66}(\.[a-z]{1,5})?"
    r"@([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.){0,4}[a-zA-Z0-9][a-z0-9-]{0,9}",
    fullmatch=True,
)


@given(st.one_of(PLAIN, LIKELY, addr_specs, st.text(), st.emails()))
@example("security@Example.COM")
@example("Security@example.com")
@example("a@\N{KELVIN SIGN}.com")
@example("a@xn--bcher-kva.example")
@example("a@ab--c.example")
@example("a@192.0.2.1")
@example("a@0x7f")
@example("=?a@example.com")
@example(f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 61}")
@example(f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 62}")
@example(f"{'a' * 65}@example.com")
@example(f"a@{'b' * 64}.example")
def test_an_address_is_judged_as_email_validator_judges_it(text: str) -> None:
    try:
        expected = addresses.explained(text)
    except ValueError as error:
        with pytest.raises(ValueError, match=f"^{re.escape(str(error))}$"):
            addresses.check(text)
    else:
        assert addresses.check(text) == expected


def test_every_name_that_is_reserved_is_refused_as_a_domain_and_above_one() -> None:
    addresses.explained("a@localhost")  # takes out of the list what company relays use
    for name in email_validator.SPECIAL_USE_DOMAIN_NAMES:
        for domain in (name, f"b.{name}"):
            with pytest.raises(ValueError, match="reserved"):
                addresses.check(f"a@{domain}")
