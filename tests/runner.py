"""What actions/runner makes of a step's output and of the files that it hands to a step."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# Char.IsWhiteSpace of .NET, by which TrimStart() goes.
BLANKS = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


@dataclass(frozen=True)
class Command:
    """A workflow command as the runner has parsed it."""

    name: str
    data: str
    title: str = ""


def commands(printed: str) -> list[Command]:
    """What actions/runner takes for commands in a step's output (ActionCommand.cs).

    Stricter than the runner in one thing: it knows the names of its commands, and this takes any.
    """
    return [found for line in re.split("\r\n|\r|\n", printed) if (found := _command(line))]


def _command(line: str) -> Command | None:
    # TryParseV2.
    trimmed = line.lstrip(BLANKS)
    if trimmed.startswith("::"):
        words, _, data = trimmed[2:].partition("::")
        name, _, properties = words.partition(" ")
        title = properties.removeprefix("title=")
        return Command(name, _unescaped(data), _unescaped(title, {"%3A": ":", "%2C": ","}))
    # TryParse: `##[command]data`, anywhere in the line.
    if "##[" in line:
        name, _, data = line.partition("##[")[2].partition("]")
        return Command(name, data)
    return None


def _unescaped(text: str, more: Mapping[str, str] | None = None) -> str:
    for escape, character in {"%0D": "\r", "%0A": "\n", **(more or {}), "%25": "%"}.items():
        text = text.replace(escape, character)
    return text


def heredocs(text: str) -> dict[str, str]:
    """Outputs as the runner reads them from GITHUB_OUTPUT (FileCommandManager.cs)."""
    found = {}
    lines = iter(text.split("\n"))
    for line in lines:
        if not line:
            continue
        name, separator, delimiter = line.partition("<<")
        assert separator, line
        assert "=" not in name, line
        value = []
        for each in lines:
            if each == delimiter:
                break
            value.append(each)
        else:
            raise AssertionError(f"no end of {name}")
        found[name] = "\n".join(value)
    return found
