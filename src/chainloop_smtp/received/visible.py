"""HTML -> the lines that a reader sees, and those that are hidden.

Only HTML that is identical to ours counts as verified, so this may be wrong about other HTML in
one way: it may take a line for hidden that some mail program shows. It reads any input once.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from html import unescape
from typing import NamedTuple

_INLINE = frozenset({"a", "b", "code", "em", "font", "i", "span", "strong", "u", "wbr"})
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)
# Their content is no markup; none of it is seen.
_RAW = frozenset({"iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp"})
_UNSEEN = frozenset({"datalist", "dialog", "head", "noscript", "object", "svg", "template"})
_TAG = re.compile(r"""<(/?)([A-Za-z][^\s/>]*+)((?:[^>"']|"[^"]*"|'[^']*')*+)>""")
_BEGUN = re.compile(r"</?[A-Za-z]")
_ATTRIBUTE = re.compile(r"""([^\s=/"'>]++)(?:\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s"'>]++))?""")
_NAMES = re.compile(r"[.#]?[\w-]++")
_NUMBER = re.compile(r"([-+]?[0-9]*\.?[0-9]+)\s*([a-z%]*)")
_HEX = re.compile(r"#([0-9a-f]{6}|[0-9a-f]{3})")
_SIZES = ("height", "max-height", "width", "max-width", "line-height")
_OFFSETS = ("left", "right", "top", "bottom", "text-indent")
# They move or cover what is seen, or add to it.
_MOVING = ("clip", "clip-path", "content", "filter", "position", "transform", "z-index")
_SMALLEST = {"": 5, "px": 5, "pt": 4, "em": 0.4, "rem": 0.4, "%": 40, "vw": 0.5, "ex": 0.8}
_NEAR = 48  # of 255 in each colour: too close to be told apart

Colour = tuple[int, int, int]
_Rules = dict[str, dict[str, str]]  # declarations by ``name``, ``.class``, ``#id`` or ``*``


class VisibleText(NamedTuple):
    """The text of some HTML.

    Attributes:
        lines: What a reader sees, a line for each block.
        everything: The same with what is hidden.
        tricks: Means that can show, to some readers, something else than `lines`.
    """

    lines: tuple[str, ...]
    everything: tuple[str, ...]
    tricks: frozenset[str]


class _Element(NamedTuple):
    name: str
    is_hidden: bool
    colour: Colour
    background: Colour


def visible(html: str) -> VisibleText:
    """Extract the text of any HTML; never raises."""
    tokens = list(_tokens(html))
    tricks = {f"a conditional comment: {text[:60]}" for kind, text in tokens if kind == "comment"}
    rules = _rules("\n".join(text for kind, text in tokens if kind == "style"))
    for rule in rules.values():
        tricks |= _moving(rule)
    lines: list[str] = []
    everything: list[str] = []
    stack = [_Element("", False, (0, 0, 0), (255, 255, 255))]
    count: Counter[str] = Counter()
    for kind, text in tokens:
        if kind == "text":
            everything.append(unescape(text))
            if not stack[-1].is_hidden:
                lines.append(unescape(text))
        elif kind == "end":
            _break_line(text, lines, everything)
            if count[text]:
                while stack[-1].name != text:
                    count[stack.pop().name] -= 1
                count[stack.pop().name] -= 1
        elif kind == "tag":
            name, attributes = _attributes(text)
            _break_line(name, lines, everything)
            style = _style(name, attributes, rules)
            tricks |= _moving(style)
            element = _element(name, attributes, style, stack[-1])
            if name == "img" and not element.is_hidden:
                lines.append(f"[picture {attributes.get('alt', '')}]\n")
            if name not in _VOID:
                stack.append(element)
                count[name] += 1
    return VisibleText(_lines(lines), _lines(everything), frozenset(tricks))


def _break_line(name: str, *texts: list[str]) -> None:
    for each in texts:
        each.append("" if name in _INLINE else "\n")


def _tokens(html: str) -> Iterator[tuple[str, str]]:
    """Kind and text: text, tag, end, style, comment (conditional ones only)."""
    at = 0
    while (start := html.find("<", at)) >= 0:
        yield "text", html[at:start]
        if html.startswith("<!--", start):
            at = _behind(html, "-->", start + 4)
            if "[if" in html[start : min(at, start + 40)].lower():
                yield "comment", html[start:at]
        elif html[start + 1 : start + 2] in ("!", "?"):
            at = _behind(html, ">", start)
        elif tag := _TAG.match(html, start):
            name, at = tag[2].lower(), tag.end()
            yield ("end", name) if tag[1] else ("tag", f"{name} {tag[3]}")
            if name in _RAW and not tag[1]:
                end = re.compile(f"</{name}", re.IGNORECASE).search(html, at)
                content = html[at : end.start() if end else len(html)]
                at += len(content)
                if name == "style":
                    yield "style", content
        elif _BEGUN.match(html, start):
            # A tag without an end: programs show nothing of the rest.
            at = len(html)
        else:
            yield "text", "<"
            at = start + 1
    yield "text", html[at:]


def _behind(html: str, end: str, at: int) -> int:
    """The position behind the end; that of the whole text where there is none."""
    position = html.find(end, at)
    return position + len(end) if position >= 0 else len(html)


def _attributes(tag: str) -> tuple[str, dict[str, str]]:
    """Name and attributes of a tag; the first of a name counts."""
    name, _, rest = tag.partition(" ")
    attributes: dict[str, str] = {}
    for key, value in _ATTRIBUTE.findall(rest):
        attributes.setdefault(key.lower(), unescape(value.strip("\"'")))
    return name, attributes


def _style(name: str, attributes: Mapping[str, str], rules: _Rules) -> dict[str, str]:
    """What the style sheets and the element itself declare."""
    keys = ["*", name, *(f".{each}" for each in attributes.get("class", "").split())]
    keys += [f"#{attributes['id']}"] if "id" in attributes else []
    merged: dict[str, str] = {}
    for key in keys:
        merged |= rules.get(key, {})
    for attribute, property_ in (("bgcolor", "background-color"), ("color", "color")):
        if attribute in attributes:
            merged[property_] = attributes[attribute].lower()
    return merged | _declarations(attributes.get("style", ""))


def _declarations(text: str) -> dict[str, str]:
    pairs = (each.partition(":") for each in text.lower().split(";"))
    return {
        name.strip(): value.replace("!important", "").strip()
        for name, _, value in pairs
        if value.strip()
    }


def _rules(css: str) -> _Rules:
    """Each rule counts for all that the last step of its selector names, which is too much."""
    rules: _Rules = {}
    is_dark = False
    pieces = re.split(r"([{}])", re.sub(r"/\*.*?(?:\*/|\Z)", " ", css, flags=re.DOTALL))
    for at in range(0, len(pieces) - 3, 2):
        selector, brace, body, end = pieces[at : at + 4]
        if brace == "}" and not selector.strip():
            is_dark = False
        if selector.strip().startswith("@"):
            # Colours for a dark screen go with a dark background.
            is_dark = "prefers-color-scheme" in selector
        if brace != "{" or end != "}":
            continue
        declarations = _declarations(body)
        if is_dark:
            declarations = {k: v for k, v in declarations.items() if "color" not in k}
        for each in selector.split(","):
            last = re.split(r"[\s>+~]", each.strip())[-1]
            names = ["*"] if "*" in last or "[" in last else _NAMES.findall(last)
            for name in names:
                rules.setdefault(name, {}).update(declarations)
    return rules


def _element(
    name: str, attributes: Mapping[str, str], style: Mapping[str, str], outer: _Element
) -> _Element:
    painted = _colour(style.get("background-color", style.get("background", "")))
    background = painted or outer.background
    colour = _colour(style.get("color", "")) or outer.colour
    is_hidden = (
        outer.is_hidden
        or name in _UNSEEN
        or name in _RAW
        or "hidden" in attributes
        or _are_near(colour, background)
        or _hides(style)
    )
    return _Element(name, is_hidden, colour, background)


def _hides(style: Mapping[str, str]) -> bool:
    size, unit = _amount(style.get("font-size", style.get("font", "16px")))
    return (
        style.get("display", "").startswith("none")
        or style.get("visibility") in ("hidden", "collapse")
        or style.get("mso-hide") == "all"
        or style.get("color") == "transparent"
        or _amount(style.get("opacity", "1"))[0] < 0.3
        or size < _SMALLEST.get(unit, 0)
        or any(_amount(style.get(each, "1"))[0] <= 0 for each in _SIZES)
        or any(_amount(style.get(each, "0"))[0] < 0 for each in _OFFSETS)
        or any(
            _amount(value)[0] < -20
            for each, values in style.items()
            if each.startswith("margin")
            for value in values.split()
        )
    )


def _amount(value: str) -> tuple[float, str]:
    """Number and unit; a word is 16 pixels, which hides nothing."""
    match = _NUMBER.match(value)
    return (float(match[1]), match[2]) if match else (16.0, "px")


def _moving(style: Mapping[str, str]) -> set[str]:
    return {f"{each}: {style[each]}" for each in _MOVING if each in style}


def _colour(value: str) -> Colour | None:
    """Of ``#rgb``, ``#rrggbb``, ``rgb(…)``, white and black; None for any other."""
    value = {"white": "#fff", "black": "#000"}.get(value, value)
    if match := _HEX.match(value):
        digits = match[1] if len(match[1]) == 6 else "".join(2 * each for each in match[1])
        return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)
    numbers = re.findall(r"[0-9]{1,3}", value[:60]) if value.startswith("rgb") else []
    return (int(numbers[0]), int(numbers[1]), int(numbers[2])) if len(numbers) > 2 else None


def _are_near(one: Colour, other: Colour) -> bool:
    return all(abs(a - b) <= _NEAR for a, b in zip(one, other, strict=True))


def _lines(pieces: list[str]) -> tuple[str, ...]:
    lines = (" ".join(line.split()) for line in "".join(pieces).split("\n"))
    return tuple(filter(None, lines))
