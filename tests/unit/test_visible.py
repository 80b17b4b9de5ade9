"""What a reader sees of some HTML, what is hidden from them, and input that is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainloop_smtp.received import visible

HIDDEN = {
    "second declaration": '<p style="color:red;display:none">x</p>',
    "display": '<p style="display:none">x</p>',
    "capitals": '<P STYLE="Display: NONE !important">x</P>',
    "visibility": '<p style="visibility:collapse">x</p>',
    "inherited": '<div style="opacity:0"><p>x</p></div>',
    "Outlook": '<p style="mso-hide:all">x</p>',
    "pixels": '<p style="font-size:1px">x</p>',
    "shorthand": '<p style="font:0/0 a">x</p>',
    "points": '<p style="font-size:1pt">x</p>',
    "em": '<p style="font-size:.1em">x</p>',
    "percent": '<p style="font-size:2%">x</p>',
    "height": '<p style="height:0">x</p>',
    "width": '<p style="max-width:0px">x</p>',
    "indent": '<p style="text-indent:-100px">x</p>',
    "left": '<p style="left:-5000px">x</p>',
    "margin": '<p style="margin:0 0 0 -999px">x</p>',
    "transparent": '<p style="color:transparent">x</p>',
    "white on white": '<p style="color:#ffffff">x</p>',
    "nearly white": '<p style="color:#f4f4f4">x</p>',
    "short": '<p style="color:#fff">x</p>',
    "rgb": '<p style="color:rgb(255, 250, 255)">x</p>',
    "named": '<p style="color:white">x</p>',
    "a font": '<font color="white">x</font>',
    "on a ground": '<table bgcolor="#123456"><tr><td style="color:#123456">x</td></tr></table>',
    "attribute": "<p hidden>x</p>",
    "attribute with a value": '<p hidden="until-found">x</p>',
    "template": "<template><p>x</p></template>",
    "svg": "<svg><text>x</text></svg>",
    "title": "<title>x</title>",
    "script": "<script>x</script>",
    "comment": "<!-- x -->",
    "comment without end": "<!-- x",
    "declaration": "<!x>",
    "declaration without end": "<!x",
    "instruction": "<?x?>",
    "tag without end": '<a title="x',
    "end without end": "</p x",
    "raw without end": "<textarea>x",
    "class": "<style>.a{display:none}</style><p class='b a'>x</p>",
    "id": "<style>#a{display:none}</style><p id=a>x</p>",
    "name": "<style>p{display:none}</style><p>x</p>",
    "last step": "<style>div > p.a:first-child{display:none}</style><p class=a>x</p>",
    "any": "<style>*{display:none}</style><p>x</p>",
    "by an attribute": "<style>[class]{display:none}</style><p class=a>x</p>",
    "media": "<style>@media all{.a{display:none}}</style><p class=a>x</p>",
    "behind a dark one": "<style>@media (prefers-color-scheme:dark){.b{color:#fff}}\n"
    ".a{color:#fff}</style><p class=a>x</p>",
    "sheet's comment": "<style>/* } */.a{display:none}</style><p class=a>x</p>",
    "behind the text": "<p class=a>x</p><style>.a{display:none}</style>",
}


@pytest.mark.parametrize("html", HIDDEN.values(), ids=HIDDEN)
def test_what_is_hidden_is_not_seen(html: str) -> None:
    assert visible(f"before {html}").lines[0] == "before"
    assert "x" not in visible(f"before {html}").lines


SHOWN = {
    "another class": ("<style>.a{display:none}</style><p class=b>x</p>", "x"),
    "behind a dark rule": (
        "<style>@media (prefers-color-scheme:dark){.a{color:#fff}.b{color:#fff}}</style>"
        "<p class=b>x</p>",
        "x",
    ),
    "behind a conditional comment": ("<!--[if mso]><p hidden><![endif]-->x", "x"),
    "behind a style sheet": ("<style>b hidden {}</style>x", "x"),
    "plain": ("<p>x</p>", "x"),
    "inline": ("<b>x</b><i>y</i>", "xy"),
    "entity": ("<p>&lt;x&gt;</p>", "<x>"),
    "no tag": ("<p>1 < 2 <3</p>", "1 < 2 <3"),
    "closed": ('<p style="display:none">a</p>x', "x"),
    "closed too often": ("</div></p>x", "x"),
    "wrongly nested": ('<div style="display:none"><b>a</div>x</b>', "x"),
    "void": ("<br hidden>x", "x"),
    "dark": ("<style>@media (prefers-color-scheme:dark){p{color:#fff}}</style><p>x</p>", "x"),
    "on a dark ground": ('<p style="background:black;color:white">x</p>', "x"),
    "unknown colour": ('<p style="color:inherit;background:url(x)">x</p>', "x"),
    "no rgb": ('<p style="color:rgb(1,2)">x</p>', "x"),
    "automatic": ('<p style="width:auto;margin:0 auto;font:bold 12px a">x</p>', "x"),
    "half a sheet": ("<style>.a{display:none</style><p class=a>x</p>", "x"),
    "picture": ('<img alt="x">', "[picture x]"),
}


@pytest.mark.parametrize(("html", "line"), SHOWN.values(), ids=SHOWN)
def test_what_is_shown_is_seen(html: str, line: str) -> None:
    assert visible(html).lines == (line,)


@pytest.mark.parametrize("name", ["a", "b", "code", "em", "font", "i", "span", "strong", "u"])
def test_words_in_a_line_stay_in_it(name: str) -> None:
    assert visible(f"x<{name}>y</{name}>z").lines == ("xyz",)
    assert visible("x<div>y</div>z<wbr>!").lines == ("x", "y", "z!")


@pytest.mark.parametrize(
    "name",
    [
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source"),
        "wbr",
    ],
)
def test_what_has_no_end_hides_nothing_behind_it(name: str) -> None:
    assert visible(f"<{name} hidden>x").lines == ("x",)


@pytest.mark.parametrize(
    "name", ["iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp"]
)
def test_what_is_no_markup_is_not_read_as_such(name: str) -> None:
    assert visible(f"<{name}></b><b>x</{name}>y").lines == ("y",)
    assert visible(f"<{name}><!-- </{name}>y").lines == ("y",)


@pytest.mark.parametrize(
    "name", ["datalist", "dialog", "head", "noscript", "object", "svg", "template"]
)
def test_what_programs_do_not_show_is_not_seen(name: str) -> None:
    assert visible(f"<{name}>x</{name}>y").lines == ("y",)


@pytest.mark.parametrize(
    ("shown", "hidden"),
    [
        *((f"font-size:{least}", f"font-size:{less}") for least, less in (
            ("5", "4.9"), ("5px", "4.9px"), ("4pt", "3.9pt"), ("0.4em", "0.39em"),
            ("0.4rem", "0.39rem"), ("40%", "39%"), ("0.5vw", "0.4vw"), ("0.8ex", "0.7ex"),
        )),
        *((f"{each}:1px", f"{each}:0") for each in (
            "height", "max-height", "width", "max-width", "line-height",
        )),
        *((f"{each}:0", f"{each}:-1px") for each in (
            "left", "right", "top", "bottom", "text-indent",
        )),
        ("margin-left:-20px", "margin-left:-21px"),
        ("margin:0 -20px", "margin:0 -21px"),
        ("opacity:0.3", "opacity:0.29"),
        ("color:#cecece", "color:#cfcfcf"),
        ("background:#313131", "background:#303030"),
    ],
)  # fmt: skip
def test_where_text_is_too_small_or_too_faint(shown: str, hidden: str) -> None:
    assert visible(f'<p style="{shown}">x</p>').lines == ("x",)
    assert visible(f'<p style="{hidden}">x</p>').lines == ()


def test_a_hidden_picture_is_none() -> None:
    assert visible('<img alt="x" width=1 style="display:none">').lines == ()


def test_what_is_hidden_is_there_all_the_same() -> None:
    found = visible("<p>a</p><p hidden>b</p><p>c</p>")
    assert found.lines == ("a", "c")
    assert found.everything == ("a", "b", "c")


@pytest.mark.parametrize(
    ("html", "trick"),
    [
        ('<p style="position:absolute">x</p>', "position: absolute"),
        ("<style>p:after{content:'x'}</style>", "content: 'x'"),
        ("<!--[if mso]>x<![endif]-->", "a conditional comment: <!--[if mso]>x<![endif]-->"),
    ],
)
def test_what_moves_or_adds_is_a_trick(html: str, trick: str) -> None:
    assert visible(html).tricks == {trick}


PUMPS = ["<", "<a ", '<a "', "<a b='", "</a", "<!--", "<!", "<div>", "</div>", "<style>", "<p a=b>"]
PUMPS += [
    "<style>{",
    "&",
    "<style>/*",
    "<textarea>",
    "<textarea></textarea>",
    "<b hidden>x</b>",
    "\n",
]


@pytest.mark.parametrize("piece", PUMPS)
def test_a_lot_of_anything_is_read_once(piece: str) -> None:
    # Anything but linear time would keep this busy for hours.
    visible(piece * (300_000 // len(piece)))


@given(st.lists(st.sampled_from([*PUMPS, *HIDDEN.values(), "x", '"', "'", ">", "}", ";", ":"])))
def test_no_garbage_raises(pieces: list[str]) -> None:
    found = visible("".join(pieces))
    assert len(found.lines) <= len(found.everything) + len(pieces)


@given(st.text())
def test_no_text_raises(text: str) -> None:
    visible(text)
