"""Which keys an entry of the configuration file may have: an input's name, or a word of its own."""

from chainloop_smtp.options.inputs import ABOUT_THE_RUN, INPUTS

# About the server and the way there, so only in a registration.
_DELIVERY = frozenset(
    (
        "auth",
        "deadline",
        "dsn",
        "envelope-from",
        "fail-on-error",
        "from",
        "host",
        "max-recipients",
        "password",
        "port",
        "proxy",
        "require-tls",
        "timeout",
        "user",
    )
)
_DELIVERY_GROUPS = ("tls", "oauth2", "ehlo")

REGISTRATION_WORDS = ("name", "description", "created-at")
CONDITIONS = ("workflow", "project", "branch", "tag", "event", "outcome", "policy", "findings")
ATTACHMENT_WORDS = ("registration", *CONDITIONS, "send-on", "created-at")


def registration() -> tuple[str, ...]:
    """Every key of a registration, its own words first."""
    inputs = (each.name for each in INPUTS if each.name not in ABOUT_THE_RUN)
    return (*REGISTRATION_WORDS, *inputs)


def attachment() -> tuple[str, ...]:
    """Every key of an attachment, its own words first."""
    inputs = (
        each.name
        for each in INPUTS
        if each.name not in ABOUT_THE_RUN and not _is_delivery(each.name)
    )
    return tuple(dict.fromkeys((*ATTACHMENT_WORDS, *inputs)))


def about_the_way() -> frozenset[str]:
    """Inputs that only a registration takes, apart from those of TLS, EHLO and OAuth2."""
    return _DELIVERY


def is_of_mail(name: str) -> bool:
    """The input may differ from mail to mail."""
    return name not in ABOUT_THE_RUN


def home(name: str) -> str:
    """Where a known key belongs that is not taken; empty when it is not known."""
    if name in ATTACHMENT_WORDS:
        return "It belongs into an attachment."
    if name in ABOUT_THE_RUN:
        return "It is an input of the step, the same for every mail."
    return "It belongs into a registration." if name in registration() else ""


def _is_delivery(name: str) -> bool:
    return name in _DELIVERY or name.partition("-")[0] in _DELIVERY_GROUPS
