"""The replies of hints.toml, each with what it is to mean."""

import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files

import chainloop_smtp.delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One reply.

    Attributes:
        at: The phase that it is given in.
        login: What the client logs in with.
        reply: As the server writes it, on one line.
    """

    host: str
    at: str
    login: str
    reply: str
    hint: str
    retry: bool | None

    def __str__(self) -> str:
        return f"{self.host}-{self.at}-{self.login}-{self.reply[:48]}"

    @property
    def code(self) -> int:
        return int(self.reply[:3])

    @property
    def enhanced(self) -> str:
        found = re.match(r"\d{3} ([245]\.\d+\.\d+) ", self.reply)
        return found[1] if found else ""

    @property
    def text(self) -> str:
        return self.reply[4:].removeprefix(self.enhanced).strip()

    @property
    def is_temporary(self) -> bool:
        return self.code < 500 if self.retry is None else self.retry


def _samples() -> list[Sample]:
    table = tomllib.loads(files(chainloop_smtp.delivery).joinpath("hints.toml").read_text("utf-8"))
    hosts = {each["name"]: each["host"] for each in table["provider"]}
    return [
        Sample(
            host=seen.get("host", hosts.get(rule.get("provider"), "mail.example.com")),
            at=seen["at"],
            login=seen.get("login", "password"),
            reply=seen["reply"],
            hint=rule["hint"],
            retry=rule.get("retry"),
        )
        for rule in table["rule"]
        for seen in rule["seen"]
    ]


SAMPLES = _samples()
