"""Every mail as Chromium shows it: readable in any light, on any screen, by anybody."""

import colorsys
import re
from collections.abc import Callable
from typing import cast

import pytest

from browser.chromium import Scheme, showing
from browser.studio import DESK, LOOKS, NAMES, PHONE, WIDTHS, Studio
from states import STATES
from stress import mails

FLOOR = 4.5  # WCAG 2.2, success criterion 1.4.3
# By module, so that pytest runs all tests of one mail before the next: what `Studio` has seen of it
# is then there, in whichever worker.
EVERY_MAIL = pytest.mark.parametrize("name", NAMES, scope="module")
EVERY_STATE = pytest.mark.parametrize("name", [*STATES], scope="module")

Colour = tuple[float, float, float]
Change = Callable[[Colour, bool], Colour]


@EVERY_MAIL
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_everybody_can_read_it(studio: Studio, name: str, scheme: Scheme) -> None:
    assert studio.sight(name, scheme).problems == []


@EVERY_MAIL
@pytest.mark.parametrize("is_styled", [True, False], ids=["styled", "without its style sheet"])
def test_nothing_is_wider_than_the_screen(studio: Studio, name: str, is_styled: bool) -> None:
    for width in WIDTHS:
        looks = studio.sight(name, is_styled=is_styled).looks[width]
        assert looks["outside"] == []
        assert looks["width"] <= width


def darkened(colour: Colour, is_ground: bool) -> Colour:
    """As mail programs do that force the dark: light grounds go dark, dark texts go light."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*colour)
    if (lightness > 0.5) == is_ground:
        lightness = 1 - lightness
    return colorsys.hls_to_rgb(hue, lightness, saturation)


def mirrored(colour: Colour, is_ground: bool) -> Colour:
    """As others do: every lightness the other way round."""
    del is_ground
    hue, lightness, saturation = colorsys.rgb_to_hls(*colour)
    return colorsys.hls_to_rgb(hue, 1 - lightness, saturation)


def as_it_is(colour: Colour, is_ground: bool) -> Colour:
    del is_ground
    return colour


def luminance(colour: Colour) -> float:
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, other: Colour) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize(
    ("scheme", "changed"),
    [("light", as_it_is), ("dark", as_it_is), ("light", darkened), ("light", mirrored)],
    ids=["light", "dark", "forced dark", "mirrored"],
)
@pytest.mark.parametrize("is_styled", [True, False], ids=["styled", "without its style sheet"])
@EVERY_MAIL
def test_every_text_stands_out_from_its_ground(
    studio: Studio, name: str, scheme: Scheme, changed: Change, is_styled: bool
) -> None:
    # Without its style sheet a mail knows no dark of its own.
    kind: Scheme = scheme if is_styled else "light"
    texts = studio.sight(name, kind, is_styled=is_styled).looks[PHONE]["texts"]

    def scaled(rgb: list[float]) -> Colour:
        red, green, blue = (each / 255 for each in rgb)
        return red, green, blue

    assert texts
    for each in texts:
        colour, ground = scaled(each["colour"]), scaled(each["ground"])
        ratio = contrast(changed(colour, False), changed(ground, True))
        assert ratio >= FLOOR, f"{ratio:.2f}: {each['text'][:60]}"


@EVERY_MAIL
def test_nothing_is_set_in_less_than_twelve_pixels(studio: Studio, name: str) -> None:
    texts = studio.sight(name).looks[320]["texts"]
    assert [each["text"] for each in texts if each["size"] < 12] == []


@EVERY_STATE
def test_a_phone_shows_the_outcome_the_place_and_the_links_at_once(
    studio: Studio, name: str
) -> None:
    looks = studio.sight(name).looks[PHONE]

    _, _, badge = STATES[name]
    first = " ".join(each["text"] for each in looks["texts"] if each["bottom"] <= 667)
    wanted = [badge, looks["headline"], "9c1d4e7", *(each["text"] for each in looks["buttons"])]
    wanted += ["vulnerability-gate"] if name == "blocked-by-gate" else []
    assert [each for each in wanted if each not in first] == []
    assert "View workflow run" in wanted


@EVERY_STATE
def test_buttons_are_made_for_thumbs(studio: Studio, name: str) -> None:
    buttons = studio.sight(name).looks[PHONE]["buttons"]

    assert buttons
    for each in buttons:
        assert each["height"] >= 44
        assert each["width"] == PHONE - 2 * 20


@EVERY_MAIL
def test_nothing_is_loaded_and_nothing_runs(studio: Studio, name: str) -> None:
    assert studio.sight(name).requests == []
    assert studio.sight(name).looks[DESK]["active"] == 0


@pytest.mark.parametrize("name", ["passed", "blocked-by-gate"], scope="module")
def test_a_digest_stands_on_one_line_where_there_is_room(studio: Studio, name: str) -> None:
    texts = studio.sight(name).looks[DESK]["texts"]
    digests = [each for each in texts if re.fullmatch("sha256:[0-9a-f]{64}", each["text"])]

    assert digests
    assert all(each["bottom"] - each["top"] < 24 for each in digests)


_WORDS = """() => [...document.querySelectorAll('table[aria-label="Policy evaluations"] td b')]
  .flatMap(element => [...element.firstChild.data.matchAll(/\\S+/g)].map(word => {
    const range = document.createRange()
    range.setStart(element.firstChild, word.index)
    range.setEnd(element.firstChild, word.index + word[0].length)
    return [word[0], range.getClientRects().length, range.getBoundingClientRect().right]
  }))"""


@pytest.mark.parametrize("name", ["blocked-by-gate", "release"])
def test_no_word_of_a_result_is_broken_on_the_smallest_phone(studio: Studio, name: str) -> None:
    with showing(studio.browser, mails()[name].html, 320) as page:
        words = page.evaluate(_WORDS)
    assert "Violated," in [word for word, _, _ in words]
    assert [word for word, lines, _ in words if lines > 1] == []
    assert max(right for _, _, right in words) < 320


_BORDERS = """() => [...document.querySelectorAll('.btn td, .f-onfill[class*="b-"]')].map(cell => {
  const style = getComputedStyle(cell)
  return [cell.innerText.trim(), style.borderTopWidth, style.borderTopStyle]
})"""


@pytest.mark.parametrize("name", ["blocked-by-gate", "failed", "passed"])
def test_buttons_and_badge_keep_an_outline_where_colours_are_forced(
    studio: Studio, name: str
) -> None:
    with showing(studio.browser, mails()[name].html, DESK) as page:
        page.emulate_media(forced_colors="active")
        outlines = page.evaluate(_BORDERS)
    assert len(outlines) == (4 if name == "failed" else 3)
    assert {(width, style) for _, width, style in outlines} == {("1px", "solid")}, outlines


@pytest.mark.parametrize("name", ["blocked-by-gate", "violations", "passed", "cancelled"])
def test_without_any_style_every_text_still_stands_out(studio: Studio, name: str) -> None:
    html = re.sub(r"<style>.*?</style>", "", mails()[name].html, flags=re.DOTALL)
    html = re.sub(r' style="[^"]*"', "", html)
    with showing(studio.browser, html, DESK) as page:
        texts = page.evaluate(LOOKS)["texts"]
    assert texts
    for each in texts:
        colour, ground = (
            cast("Colour", tuple(part / 255 for part in each[kind]))
            for kind in ("colour", "ground")
        )
        assert contrast(colour, ground) >= FLOOR, each["text"][:60]


def test_a_screen_reader_hears_each_material_as_a_row_of_a_named_table(studio: Studio) -> None:
    with showing(studio.browser, mails()["blocked-by-gate"].html, PHONE) as page:
        rows = page.get_by_role("table", name="Materials").get_by_role("row").all()
        heard = [row.aria_snapshot() for row in rows]
    assert len(heard) == 3
    assert "sbom SBOM_CYCLONEDX_JSON gate violated sbom.cdx.json" in heard[1]
