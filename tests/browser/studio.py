"""What a browser sees of each mail: taken once for each kind of light, and kept for all tests."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from browser.chromium import Scheme, showing
from stress import mails

WIDTHS = (320, 375, 600, 800)
PHONE, DESK = 375, 800
NAMES = tuple(mails())

LOOKS = Path(__file__).with_name("looks.js").read_text("utf-8")
# What these rules ask of a page, a mail program has around the mail.
_NOT_FOR_MAILS = {"landmark-one-main", "region"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One mail in one light.

    Attributes:
        looks: What `looks.js` gives, by width.
        problems: What axe-core finds, at the width of a phone in the dark, of a desk in the light.
        requests: Everything that the mail wanted loaded.
    """

    looks: dict[int, Any]
    problems: list[str]
    requests: list[str]


@dataclass
class Studio:
    """One browser and what it has seen."""

    browser: Browser
    _seen: dict[tuple[str, Scheme, bool], Sight] = field(default_factory=dict)

    def sight(self, name: str, scheme: Scheme = "light", *, is_styled: bool = True) -> Sight:
        """A mail of `NAMES`, with its style sheet or as it is where that is taken out."""
        key = (name, scheme, is_styled)
        if key not in self._seen:
            self._seen[key] = self._look(mails()[name].html, scheme, is_styled)
        return self._seen[key]

    def _look(self, html: str, scheme: Scheme, is_styled: bool) -> Sight:
        if not is_styled:
            html, count = re.subn(r"<style>.*?</style>", "", html, flags=re.DOTALL)
            assert count == 1
        looks: dict[int, Any] = {}
        requests: list[str] = []
        problems: list[str] = []
        with showing(self.browser, html, WIDTHS[0], scheme, requests) as page:
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 667})
                looks[width] = page.evaluate(LOOKS)
                if is_styled and width == (PHONE if scheme == "dark" else DESK):
                    problems = [
                        f"{each['id']}: {[node['html'][:200] for node in each['nodes']]}"
                        for each in Axe().run(page).response["violations"]
                        if each["id"] not in _NOT_FOR_MAILS
                    ]
        return Sight(looks=looks, problems=problems, requests=requests)
