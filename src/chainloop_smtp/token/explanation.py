"""A token endpoint's refusal -> what is wrong and what to do, for somebody who knows no OAuth."""

import re
from collections.abc import Callable

_LONGEST = 300  # characters of somebody else's text

_SUBJECT = "The federated credential must name this job's subject, letter by letter: {subject}"
# https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_ENTRA = {
    "50034": "The mailbox's directory is another one: check oauth2-tenant.",
    "53003": "A Conditional Access policy blocks it: let an administrator exempt the application.",
    "65001": "An administrator has to consent: Entra, App registrations, API permissions, Grant "
    "admin consent for SMTP.SendAsApp.",
    "70011": "Leave out oauth2-scope, or write https://outlook.office365.com/.default.",
    "70021": _SUBJECT,
    "90002": "There is no such directory: check oauth2-tenant.",
    "500011": "Leave out oauth2-scope, or write https://outlook.office365.com/.default.",
    "700016": "The directory knows no such application: check oauth2-client-id and oauth2-tenant.",
    "700024": "The runner's clock is wrong, or the job waited too long.",
    "700082": "The refresh token has expired: have the mailbox's owner sign in again.",
    "700211": "The federated credential's issuer must be https://token.actions.githubusercontent.com.",
    "700212": "The federated credential's audience must be api://AzureADTokenExchange.",
    "700213": _SUBJECT,
    "900023": "This is no directory's id or domain: check oauth2-tenant.",
    "1002012": "Leave out oauth2-scope, or write https://outlook.office365.com/.default.",
    "7000215": "Give the secret's value, and not its id: Entra, App registrations, Certificates & "
    "secrets. Or use none: oauth2-federated.",
    "7000222": "The secret has expired: make a new one, or use none: oauth2-federated.",
}
# RFC 6749 section 5.2, and Google's own words behind the same codes.
_GENERAL = (
    ("permission_denied", "Grant the workload identity (principalSet) the role Service Account "
     "Token Creator on the service account, and enable the IAM Service Account Credentials API."),
    ("unauthorized_client", "Let an administrator allow the client: in Google's admin console, "
     "Security, API controls, Domain-wide delegation, with the scope https://mail.google.com/."),
    ("invalid email or user id", "user must be a mailbox of the Workspace domain."),
    ("invalid jwt signature", "The key was deleted or belongs to another account: make a new one."),
    ("invalid_client", "Check oauth2-client-id and oauth2-client-secret."),
    ("invalid_scope", "Leave out oauth2-scope, or write what the provider asks for sending mail."),
    ("invalid_target", "Check oauth2-tenant: is it the provider's own resource name?"),
    ("unsupported_grant_type", "The endpoint does not know this grant: check oauth2-token-url."),
)  # fmt: skip


def explained(
    status: int, answer: object, subject: str, redact: Callable[[str], str]
) -> tuple[str, str]:
    """Why and hint.

    Args:
        status: Of HTTP.
        answer: The decoded JSON; None where it was none.
        subject: Of the job's own token; empty where that plays no part.
        redact: Takes our secrets out, before anything is cut.
    """
    error, description = _words(answer, redact)
    told = ": ".join(filter(None, (error, description)))
    if not told:
        why = f"the answer is HTTP {status} and no token"
        return why, "Check oauth2-token-url." if status < 500 else "Try again later."
    return f"refused: {told}", _hint(error, description, status, subject)


def _words(answer: object, redact: Callable[[str], str]) -> tuple[str, str]:
    """Code and text of RFC 6749 section 5.2, of Google's APIs, or of GitHub's."""
    if not isinstance(answer, dict):
        return "", ""
    error = answer.get("error")
    if isinstance(error, dict):
        return _printable(error.get("status"), redact), _printable(error.get("message"), redact)
    text = answer.get("error_description") or answer.get("message")
    return _printable(error, redact), _printable(text, redact)


def _hint(error: str, description: str, status: int, subject: str) -> str:
    if code := re.search(r"AADSTS(\d+)", description):
        hint = _ENTRA.get(code[1], "")
        return hint.format(subject=subject or "(it has none)")
    words = f"{error}: {description}".lower()
    for sign, hint in _GENERAL:
        if sign in words:
            return hint
    if "invalid_grant" in words:
        return (
            "The provider's attribute mapping or condition refuses this job, or its audience is "
            f"not the default one. The job's subject: {subject}"
            if subject
            else "The refresh token is expired or withdrawn, or belongs to another client."
        )
    return "Try again later." if status >= 500 else ""


def _printable(text: object, redact: Callable[[str], str]) -> str:
    """The first line: Entra's further ones are ids of its own log."""
    if not isinstance(text, str):
        return ""
    line = "".join(c if c.isprintable() else "\n" for c in redact(text).strip()).partition("\n")[0]
    line = line.partition(" Trace ID:")[0].strip()
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."
