"""Inputs -> their lines in ``--help`` and ``--help-all``."""

from collections.abc import Iterable, Iterator

from chainloop_smtp import options
from chainloop_smtp.model.frozen import dataclass

# The inputs that have a line in --help: what stands for the value, and a text that fits.
_USUAL = {
    "host": ("HOST", "name or IP address of the mail server"),
    "port": ("PORT", "usually 587 (STARTTLS) or 465 (implicit TLS)"),
    "user": ("NAME", "login name; a relay without login: --auth none"),
    "password": ("", "password, or --password-stdin"),
    "from": ("ADDRESS", "sender, with or without a display name"),
    "to": ("ADDRESSES", "recipients, separated by commas"),
    "cc": ("ADDRESSES", "further recipients, shown in the mail"),
    "bcc": ("ADDRESSES", "more recipients, not shown in the mail"),
    "attestation": ("FILE", "what chainloop printed; - is standard input"),
    "workflow-run-id": ("ID", "or the id of a Chainloop run"),
    "trusted-root": ("FILE", "trusted signers: CA certificates, in PEM"),
    "previous-attestation": ("FILE", "an earlier one, to compare with"),
    "job-status": ("WORD", "result of the job, such as success or failure"),
    "subject": ("TEMPLATE", "the subject, in Jinja2"),
    "attach": ("WHAT", "attestation, report, or files"),
    "tls": ("MODE", "auto, starttls, implicit or none"),
    "tls-ca-file": ("FILE", "certificate authorities to trust, in PEM"),
    "auth": ("MECHANISM", "auto, none, or one such as plain"),
    "oauth2-provider": ("NAME", "microsoft or google: a token, no password"),
    "proxy": ("URL", "http:// or socks5://"),
    "deadline": ("SECONDS", "for everything that touches the network"),
    "send-on": ("WHEN", "such as always, failed, violated"),
    "config": ("FILE", "registrations and attachments, for many mails"),
    "dry-run": ("", "write the mail without connecting"),
    "output-dir": ("FOLDER", "for the mail and its receipt"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a group: a flag, the variable of a secret, or the flags without a line.

    Attributes:
        flag: With its dashes; for a variable its name.
        value: What stands for the flag's value; empty when it needs none.
    """

    flag: str
    value: str = ""
    text: str


def describe(names: Iterable[str], *, is_whole: bool) -> Iterator[Line]:
    """Describe the inputs of one group: each at length, or the usual ones in a line each."""
    others = []
    for name in names:
        given = options.BY_NAME[name]
        flag = options.variable_of(name) if given.is_secret else f"--{name}"
        value, text = _USUAL.get(name, ("VALUE", ""))
        if is_whole:
            text = given.plain_help
        elif not text:
            others.append(flag)
            continue
        is_switch = given.default == "false"
        default = f" [{given.default}]" if given.default and not is_switch else ""
        yield Line(flag=flag, value="" if is_switch else value, text=text + default)
    if others:
        yield Line(flag="also", text=" ".join(others))
