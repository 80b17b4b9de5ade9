"""Parts of a mail and secrets -> nothing, or an error: no mail leaves with a secret in it.

An attestation records environment variables, a commit a message, a material its text. If someone
put the mail server's password into one of them by mistake, it would be mailed.
"""

from collections.abc import Iterable, Iterator

from chainloop_smtp.errors import MessageError, Problem
from chainloop_smtp.model.mail import Part
from chainloop_smtp.model.settings import Secret
from chainloop_smtp.secrets import readings


def guard(parts: Iterable[tuple[str, bytes]], secrets: tuple[Secret, ...]) -> None:
    """Passes where no part holds a secret.

    Args:
        parts: From `body` and `head`.
        secrets: Those under four characters cannot be looked for.

    Raises:
        MessageError: With each part and the secret's name, never the secret.
    """
    problems = [
        Problem(
            # An attachment's name may be what holds it.
            where.partition(" ")[0]
            if readings.find_secrets(where.encode(errors="replace"), secrets)
            else where,
            f"contains the value of {name}, so nothing is sent",
            "Find where it comes from (an environment variable, a message, a file), remove it, "
            "and change the secret: others may have seen it. env-values: hide leaves the attested "
            "environment out of the mail.",
        )
        for where, content in parts
        for name in readings.find_secrets(content, secrets)
    ]
    if problems:
        # An attachment's name and its content may both hold one.
        raise MessageError(*dict.fromkeys(problems))


def body(
    subject: str, text: str, html: str, summary: str, enclosed: Iterable[Part]
) -> Iterator[tuple[str, bytes]]:
    """What a mail says, whoever it goes to, before its encoding."""
    yield "subject", subject.encode(errors="replace")
    yield "text", text.encode(errors="replace")
    yield "html", html.encode(errors="replace")
    yield "summary", summary.encode(errors="replace")
    for part in enclosed:
        yield f"attachment {part.name}", part.name.encode(errors="replace")
        yield f"attachment {part.name}", part.content


def head(content: bytes) -> Iterator[tuple[str, bytes]]:
    """A mail's header, unfolded."""
    yield "headers", content.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ")
