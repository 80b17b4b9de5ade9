"""What the README and the pages in docs/ show: their code blocks, links and headings."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text("utf-8")
    for page in (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")))
}
OWN = "OWNER/chainloop-smtp@"

Json = dict[str, Any]


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """Page and text of each fenced block of a language; empty: of those that name none."""
    for page, text in PAGES.items():
        # In pairs: the end of one is no beginning of another.
        fences = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        yield from ((page, inside) for opened, inside in fences if opened == language)


def documents() -> Iterator[tuple[str, Any]]:
    """Page and content of each YAML block."""
    for page, text in blocks("yaml"):
        yield page, yaml.safe_load(text)


def workflows() -> Iterator[tuple[str, str, Json]]:
    """Page, text and content of each block that is a whole workflow."""
    for page, text in blocks("yaml"):
        content = yaml.safe_load(text)
        if isinstance(content, dict) and "jobs" in content:
            # To YAML 1.1 the key `on` is a boolean.
            yield page, text, {key: each for key, each in content.items() if key is not True}


def steps() -> Iterator[tuple[str, Json]]:
    """Page and content of each step that is shown: on its own, in a job, or what it is given."""
    for page, content in documents():
        if isinstance(content, list):
            shown = content
        elif "with" in content:
            shown = [{"uses": f"{OWN}v1", **content}]
        else:
            jobs = content.get("jobs", content).values()
            lists = (job.get("steps", []) for job in jobs if isinstance(job, dict))
            shown = [step for each in lists for step in each]
        yield from ((page, step) for step in shown)


def commands() -> Iterator[tuple[str, list[str]]]:
    """Page and words of each line that starts our program, after any variables it sets."""
    for page, text in blocks(""):
        for line in text.replace("\\\n", " ").splitlines():
            found = re.match(r"\s*(?:[A-Z_]+=\S* )*chainloop-smtp (.*)", line)
            if found:
                yield page, found[1].partition(" #")[0].split()


def anchors(page: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", PAGES[page], re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
