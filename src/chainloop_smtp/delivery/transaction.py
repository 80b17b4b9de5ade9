"""Session and mail -> the mail's transaction: MAIL, RCPT, DATA, the content, QUIT.

RFC 5321 section 3.3 (mail transactions), RFC 2920 (command pipelining), RFC 1870 (SIZE).
"""

from chainloop_smtp.delivery.session import Session
from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.model import Mail, Refusal, Reply

_GROUP = 100  # commands sent ahead of their replies, which have to fit into socket buffers


def transact(
    session: Session, mail: Mail
) -> tuple[tuple[str, ...], tuple[Refusal, ...], Reply | None]:
    """MAIL, RCPT, DATA, the content, QUIT.

    Returns:
        Accepted recipients, refused ones, and the reply to the content; the reply is None
        when nobody was accepted.
    """
    connection = session.connection
    _check_size(session, mail)
    is_pipelined = "PIPELINING" in session.extensions
    size = f" SIZE={len(mail.content)}" if "SIZE" in session.extensions else ""
    commands = [
        f"MAIL FROM:<{mail.sender}>{size}".encode("ascii"),
        *(f"RCPT TO:<{recipient}>".encode("ascii") for recipient in mail.recipients),
    ]
    if is_pipelined:
        replies = _exchange_groups(session, [*commands, b"DATA"])
        data_reply: Reply | None = replies.pop()
    else:
        replies = [connection.exchange(commands[0])[0]]
        if _is_positive(replies[0]):
            replies += [connection.exchange(command)[0] for command in commands[1:]]
        data_reply = None
    if not _is_positive(replies[0]):
        _quit(session, data_reply)
        raise session.refusal(f"the server refused the sender {mail.sender}", replies[0])
    answers = list(zip(mail.recipients, replies[1:], strict=True))
    accepted = tuple(recipient for recipient, reply in answers if _is_positive(reply))
    refused = tuple(
        Refusal(recipient=recipient, reply=reply)
        for recipient, reply in answers
        if not _is_positive(reply)
    )
    if data_reply is None and accepted:
        (data_reply,) = connection.exchange(b"DATA")
    if not accepted:
        _quit(session, data_reply)
        return (), refused, None
    if data_reply is None or data_reply.code != 354:
        _quit(session)
        raise session.refusal("the server refused the mail before its content", data_reply)
    try:
        return accepted, refused, _send_content(session, mail, is_pipelined)
    except DeliveryError as error:
        told = (
            Problem(each.recipient, f"the server had refused this recipient: {each.reply}")
            for each in refused
        )
        raise DeliveryError(*error.problems, *told) from error


def _check_size(session: Session, mail: Mail) -> None:
    """RFC 1870 section 4: a server may say how much it takes; 0 means that it does not."""
    limit = session.extensions.get("SIZE", "")
    if limit.isdigit() and 0 < int(limit) < len(mail.content):
        _quit(session)
        raise session.error(
            f"the mail has {len(mail.content):,} octets, the server takes {int(limit):,}",
            _heaviest(mail),
        )


def _heaviest(mail: Mail) -> str:
    """What to do about a mail that is too large; the octets are those before their encoding."""
    ordered = sorted(mail.parts, key=lambda part: -len(part.content))[:3]
    named = (f"{part.name} ({len(part.content):,} octets)" for part in ordered)
    return f"The heaviest attachments: {', '.join(named)}. Attach less." if ordered else ""


def _exchange_groups(session: Session, commands: list[bytes]) -> list[Reply]:
    replies: list[Reply] = []
    for start in range(0, len(commands), _GROUP):
        replies += session.connection.exchange(*commands[start : start + _GROUP])
    return replies


def _send_content(session: Session, mail: Mail, is_pipelined: bool) -> Reply:
    connection = session.connection
    # RFC 5321 section 4.5.2: a line that starts with a dot gets a second one.
    stuffed = mail.content.replace(b"\r\n.", b"\r\n..")
    stuffed = b"." + stuffed if stuffed.startswith(b".") else stuffed
    end = b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n"
    # RFC 2920 section 3.1: content may be followed by the next command in one group.
    farewell = b"QUIT\r\n" if is_pipelined else b""
    try:
        connection.write(stuffed + end + farewell)
        reply = connection.read()
    except DeliveryError as error:
        if connection.unsent > len(farewell):
            # RFC 5321 section 4.1.1.4: without the final dot, there is no mail.
            raise
        raise DeliveryError(
            *error.problems,
            Problem(
                connection.where,
                f"whether the server took the mail {mail.message_id} is not known",
                "It was sent, and not confirmed. Look for it in the mailbox or in the "
                "server's log before you send it again.",
            ),
        ) from error
    if not _is_positive(reply):
        if not is_pipelined:
            _quit(session)
        raise session.refusal("the server rejected the mail", reply)
    session.farewell(b"" if is_pipelined else b"QUIT\r\n")
    return reply


def _quit(session: Session, data_reply: Reply | None = None) -> None:
    if data_reply and data_reply.code == 354:
        # RFC 2920 section 3.1: the server waits for content that nobody would get.
        session.farewell(b".\r\n")
    session.farewell(b"QUIT\r\n")


def _is_positive(reply: Reply) -> bool:
    return 200 <= reply.code < 300
