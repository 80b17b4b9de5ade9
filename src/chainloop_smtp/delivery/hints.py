"""Host and reply -> the cause and the next step, in one sentence.

What a server says is meant for its own postmaster; what it means to somebody who mails from a
workflow depends on who runs it. The providers' rules stand before those that hold for any server,
and the first that fits is the one that is told.
"""

from typing import NamedTuple

from chainloop_smtp.model import Reply

_MICROSOFT = ("office365.com", "outlook.com", "office365.us", "partner.outlook.cn")
_GOOGLE = ("gmail.com", "googlemail.com", "google.com")
_AMAZON = ("amazonaws.com", "amazonaws.com.cn")
_SENDGRID = ("sendgrid.net",)
_MAILGUN = ("mailgun.org",)
_POSTMARK = ("postmarkapp.com",)
_BREVO = ("brevo.com", "sendinblue.com")
_RESEND = ("resend.com",)
_SMTP2GO = ("smtp2go.com",)
_ANYBODY = ("",)
_PROVIDERS = (
    (_MICROSOFT, "Microsoft 365"),
    (_GOOGLE, "Google"),
    (_AMAZON, "Amazon SES"),
    (_SENDGRID, "SendGrid"),
    (_MAILGUN, "Mailgun"),
    (_POSTMARK, "Postmark"),
    (_BREVO, "Brevo"),
    (_RESEND, "Resend"),
    (_SMTP2GO, "SMTP2GO"),
)


class _Rule(NamedTuple):
    """What fits a reply, and what to tell then.

    Attributes:
        domains: Of the server; an empty one is any.
        codes: Reply codes; none: any.
        enhanced: The RFC 3463 code, or how it begins up to a dot; empty: any.
        words: Some words of the text, in lower case; empty: any.
    """

    domains: tuple[str, ...]
    codes: tuple[int, ...]
    enhanced: str
    words: str
    hint: str


_LOGIN = (530, 534, 535)

_RULES = (
    _Rule(
        _MICROSOFT,
        (535,),
        "5.7.139",
        "",
        "Microsoft 365 has SMTP AUTH with a password switched off for this mailbox or tenant, as "
        "it is by default from the end of December 2026: set oauth2-provider: microsoft, or have "
        "an administrator enable SMTP AUTH for the mailbox.",
    ),
    _Rule(
        _MICROSOFT,
        (),
        "5.7.30",
        "",
        "Microsoft 365 takes no passwords over SMTP any more: set oauth2-provider: microsoft.",
    ),
    _Rule(
        _MICROSOFT,
        (535,),
        "5.7.3",
        "",
        "With a password: it is wrong, or the account has multi-factor authentication. With "
        "oauth2: the app needs the permission SMTP.SendAsApp with an administrator's consent, and "
        "New-ServicePrincipal with the object id of the enterprise application.",
    ),
    _Rule(
        _MICROSOFT,
        (),
        "5.7.57",
        "",
        "Microsoft 365 wants a login first: give user and password, or oauth2-provider: microsoft.",
    ),
    _Rule(
        _MICROSOFT,
        (),
        "5.7.60",
        "",
        "The user may not send as the address in from: use the user's own address, or give it "
        "Send As permission for that mailbox.",
    ),
    _Rule(
        _MICROSOFT,
        (432,),
        "4.3.2",
        "",
        "Microsoft 365 takes three connections of a mailbox at once and 30 mails a minute: let "
        "jobs mail one after the other, or from several mailboxes.",
    ),
    _Rule(
        _MICROSOFT,
        (),
        "5.2.2",
        "",
        "The sender's own mailbox is full, and Microsoft 365 keeps a copy of what it sends there: "
        "empty its Sent Items.",
    ),
    _Rule(
        _GOOGLE,
        _LOGIN,
        "",
        "",
        "Google takes an app password (made in the account with 2-step verification on) or "
        "oauth2-provider: google, and no account password.",
    ),
    _Rule(
        _GOOGLE,
        (),
        "5.4.5",
        "",
        "The account has sent its day's mails (500, or 2,000 in Workspace): wait until tomorrow, "
        "or send through another account.",
    ),
    _Rule(
        _GOOGLE,
        (421, 450, 454),
        "4.7",
        "",
        "Google slows down a sender of many mails: send fewer at a time, or raise deadline so "
        "that it is tried again later.",
    ),
    _Rule(
        _GOOGLE,
        (550,),
        "5.7.1",
        "relay",
        "Google's relay knows this machine's address not: allow it in the Admin console, or use "
        "smtp.gmail.com with a login.",
    ),
    _Rule(
        _AMAZON,
        _LOGIN,
        "",
        "",
        "Amazon SES has SMTP credentials of its own, made in its console and different for each "
        "region: an access key's secret is not the password, and the host has to be that region's.",
    ),
    _Rule(
        _AMAZON,
        (),
        "",
        "not verified",
        "Amazon SES sends only from verified identities, and in its sandbox only to verified "
        "ones: verify the address named, in this host's region, or ask for production access.",
    ),
    _Rule(
        _AMAZON,
        (454,),
        "",
        "throttling",
        "The account's sending quota at Amazon SES is used up for this second or day: raise "
        "deadline so that it is tried again, or ask for a higher quota.",
    ),
    _Rule(
        _AMAZON,
        (),
        "",
        "not authorized",
        "The IAM user behind these SMTP credentials lacks the permission ses:SendRawEmail for "
        "this sender.",
    ),
    _Rule(
        _SENDGRID,
        (*_LOGIN, 451, 454),
        "",
        "auth",
        "SendGrid's user is the word apikey and the password is an API key with the permission "
        "Mail Send, without a line break at its end.",
    ),
    _Rule(
        _SENDGRID,
        (),
        "",
        "verified sender",
        "SendGrid sends only from a verified sender identity: verify the address in from.",
    ),
    _Rule(
        _MAILGUN,
        _LOGIN,
        "",
        "",
        "Mailgun has SMTP users for each domain (not the API key), and EU domains live at "
        "smtp.eu.mailgun.org.",
    ),
    _Rule(
        _POSTMARK,
        _LOGIN,
        "",
        "",
        "Postmark takes a server's API token as both user and password, or an SMTP token with its "
        "own access key.",
    ),
    _Rule(
        _BREVO,
        (525,),
        "",
        "",
        "Brevo takes mails from known addresses only: authorize this machine's address under "
        "Security, or switch that check off for SMTP keys.",
    ),
    _Rule(
        _BREVO,
        _LOGIN,
        "",
        "",
        "Brevo's password is an SMTP key (it begins with xsmtpsib-), not the API key; the user is "
        "the login shown beside it.",
    ),
    _Rule(
        _RESEND,
        _LOGIN,
        "",
        "",
        "Resend's user is the word resend and the password is an API key.",
    ),
    _Rule(
        _SMTP2GO,
        _LOGIN,
        "",
        "",
        "SMTP2GO has SMTP users of its own, apart from the account that signs in to the site.",
    ),
    # Any server, by RFC 4954 section 6, RFC 5321 section 4.2 and RFC 3463.
    _Rule(
        _ANYBODY,
        (530,),
        "",
        "starttls",
        "The server wants TLS first: write tls: auto.",
    ),
    _Rule(
        _ANYBODY,
        (530,),
        "",
        "",
        "The server wants a login first: give user and password instead of auth: none.",
    ),
    _Rule(
        _ANYBODY,
        (534,),
        "5.7.9",
        "",
        "The server finds this way of logging in too weak: set auth to a stronger mechanism, or "
        "make an app password if the account has 2-step verification.",
    ),
    _Rule(
        _ANYBODY,
        (538,),
        "",
        "",
        "The server takes this login only over TLS: write tls: auto.",
    ),
    _Rule(
        _ANYBODY,
        (),
        "5.7.26",
        "",
        "The sender's domain does not vouch for this server: add it to the domain's SPF record or "
        "sign with DKIM, or send from a domain that does.",
    ),
    _Rule(
        _ANYBODY,
        (550, 551, 553, 554),
        "",
        "relay",
        "The server takes mail for this recipient only from those who log in or whom it knows: "
        "give user and password, or have this machine allowed there.",
    ),
    _Rule(
        _ANYBODY,
        (),
        "5.1.1",
        "",
        "There is no such mailbox: check the spelling.",
    ),
    _Rule(
        _ANYBODY,
        (),
        "5.1.2",
        "",
        "The recipient's domain does not exist, or takes no mail: check the spelling.",
    ),
    _Rule(
        _ANYBODY,
        (),
        "5.1.8",
        "",
        "The server does not know the sender's domain: check from and envelope-from.",
    ),
    _Rule(
        _ANYBODY,
        (),
        "5.2.2",
        "",
        "The recipient's mailbox is full.",
    ),
    _Rule(
        _ANYBODY,
        (552, 523),
        "5.3.4",
        "",
        "The mail is larger than this server takes: attach less.",
    ),
    _Rule(
        _ANYBODY,
        (450, 451, 452),
        "",
        "greylist",
        "The server puts off senders whom it does not know yet, often for five minutes: raise "
        "deadline so that it is tried again, or log in.",
    ),
    _Rule(
        _ANYBODY,
        (421, 450, 451, 452, 454),
        "",
        "too many",
        "The server limits how much one sender may send: raise deadline so that it is tried again "
        "later, or send less at a time.",
    ),
)


def hint(host: str, reply: Reply) -> str:
    """The cause behind a reply and the next step; empty where there is nothing to add.

    Args:
        host: As the user gave it.
    """
    name = host.lower().rstrip(".")
    text = reply.text.lower()
    return next(
        (
            rule.hint
            for rule in _RULES
            if _is_under(name, rule.domains)
            and (not rule.codes or reply.code in rule.codes)
            and f"{reply.enhanced}.".startswith(f"{rule.enhanced}." if rule.enhanced else "")
            and rule.words in text
        ),
        "",
    )


def provider(host: str) -> str:
    """The name of the provider whose server it is; empty: nobody known."""
    name = host.lower().rstrip(".")
    return next((who for domains, who in _PROVIDERS if _is_under(name, domains)), "")


def _is_under(name: str, domains: tuple[str, ...]) -> bool:
    return any(not domain or name == domain or name.endswith(f".{domain}") for domain in domains)
