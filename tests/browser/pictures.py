"""Pictures of the mails, to be looked at.

Usage: ``python tests/browser/pictures.py FOLDER [NAME...]``; without a name, all of them: the
golden states and the ones that ask a lot. Each is taken whole at 320, 375 and 800 pixels, in light
and in dark. ``--docs`` makes those of the README and of ``docs/templates.md``. Looks for Chromium
as the tests do; a machine without DejaVu or Noto fonts shows others.
"""

import sys
from html import escape
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from browser.chromium import Scheme, running, showing
from chainloop_smtp.model.mail import Mail, TemplateFile, Templates
from real import require_real
from states import STATES, written
from stress import mails
from templatespage import BRAND_EXAMPLE, FOOTER_EXAMPLE, TERSE_EXAMPLE

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = (320, 375, 800)
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
README = {"blocked-by-gate": "blocked.png", "passed": "passed.png"}


def main(folder: Path, names: list[str]) -> None:
    """Takes the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    (program,) = require_real("browser")
    shown = {name: mail for name, mail in mails().items() if not names or name in names}
    with running(program) as browser:
        for name, mail in shown.items():
            for width in WIDTHS:
                for scheme in SCHEMES:
                    with showing(browser, mail.html, width, scheme) as page:
                        path = folder / f"{name}-{width}-{scheme}.png"
                        page.screenshot(path=path, full_page=True)
                        print(path)


def documentation() -> None:
    """The first screens of two mails for the README, and what the templates of the guide make."""
    folder = ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    (program,) = require_real("browser")
    with running(program) as browser:
        for name, picture in README.items():
            with showing(browser, mails()[name].html, 700) as page:
                page.set_viewport_size({"width": 700, "height": 860})
                page.screenshot(path=folder / picture)
        with showing(browser, _own("mail.html.j2", BRAND_EXAMPLE).html, 700) as page:
            page.set_viewport_size({"width": 700, "height": 420})
            page.screenshot(path=folder / "template-brand.png")
        with showing(browser, _own("mail.html.j2", FOOTER_EXAMPLE).html, 700) as page:
            page.set_viewport_size({"width": 700, "height": 300})
            page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
            page.screenshot(path=folder / "template-footer.png")
        text = escape(_own("mail.txt.j2", TERSE_EXAMPLE).text)
        pre = f"<pre style='margin:16px;white-space:pre-wrap'>{text}</pre>"
        with showing(browser, pre, 700) as page:
            page.locator("pre").screenshot(path=folder / "template-terse.png")


def _own(name: str, text: str) -> Mail:
    """The mail about a blocked run, with one template of the guide."""
    attestation, job, _ = STATES["blocked-by-policy"]
    theirs = Templates(folder="t", files=(TemplateFile(name=name, text=text),))
    return written(attestation, job, templates=theirs)


if __name__ == "__main__":
    if sys.argv[1:] == ["--docs"]:
        documentation()
    elif len(sys.argv) > 1:
        main(Path(sys.argv[1]), sys.argv[2:])
    else:
        print(__doc__)
