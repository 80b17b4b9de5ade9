"""The machine's own Chromium, and a mail in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, Route, sync_playwright

Scheme = Literal["light", "dark"]

# A sandbox needs rights that a build machine rarely gives; the mails are ours and load nothing.
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def running(program: Path) -> Iterator[Browser]:
    """One browser, headless."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def showing(
    browser: Browser,
    html: str,
    width: int,
    scheme: Scheme = "light",
    requests: list[str] | None = None,
) -> Iterator[Page]:
    """The mail as a reading pane of that width shows it.

    Args:
        requests: Gets the address of everything that the mail wants loaded; nothing ever is.
    """

    def refuse(route: Route) -> None:
        if requests is not None:
            requests.append(route.request.url)
        route.abort()

    with browser.new_context(
        viewport={"width": width, "height": 667}, color_scheme=scheme
    ) as context:
        context.route("**/*", refuse)
        page = context.new_page()
        page.set_content(html)
        yield page
