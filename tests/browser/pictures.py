"""Pictures of the mails, to be looked at.

Usage: ``python tests/browser/pictures.py FOLDER [NAME...]``; without a name, all of them: the
golden states and the ones that ask a lot. Each is taken whole at 320, 375 and 800 pixels, in light
and in dark. The README's own two are made by ``--readme``. Looks for Chromium as the tests do; a
machine without DejaVu or Noto fonts shows others.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from browser.chromium import Scheme, running, showing
from real import require_real
from stress import mails

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


def readme() -> None:
    """The first screens of two mails, side by side in the README."""
    folder = Path(__file__).resolve().parents[2] / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    (program,) = require_real("browser")
    with running(program) as browser:
        for name, picture in README.items():
            with showing(browser, mails()[name].html, 700) as page:
                page.set_viewport_size({"width": 700, "height": 860})
                page.screenshot(path=folder / picture)


if __name__ == "__main__":
    if sys.argv[1:] == ["--readme"]:
        readme()
    elif len(sys.argv) > 1:
        main(Path(sys.argv[1]), sys.argv[2:])
    else:
        print(__doc__)
