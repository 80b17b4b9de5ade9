"""What a token endpoint's refusal means: each known answer, and the advice it gets."""

import pytest

from chainloop_smtp.token.endpoint import explain_refusal

SUBJECT = "repo:octo/app:ref:refs/heads/main"
SUBJECT_HINT = (
    f"The federated credential must name this job's subject exactly: {SUBJECT}"
    ". If it names an environment, give the job `environment:`."
)
ENTRA = {
    "70021": SUBJECT_HINT,
    "700213": SUBJECT_HINT,
    "7002138": SUBJECT_HINT,
    "7000215": (
        "Give the secret's value, not its id: Entra, App registrations, "
        "Certificates & secrets. Or use none: oauth2-federated."
    ),
}
# Error, description, and advice.
GENERAL = [
    (
        "unauthorized_client",
        "The given credential is rejected by the attribute condition.",
        (
            "The provider's attribute condition does not hold for this job: compare it with the "
            "repository, branch or environment. The job's subject: (it has none)"
        ),
    ),
    (
        "invalid_request",
        "The size of mapped attribute google.subject exceeds the 127 bytes limit.",
        (
            "google.subject takes 127 bytes: map it to something shorter, such as "
            "google.subject=assertion.repository_id."
        ),
    ),
    (
        "invalid_request",
        'Invalid value for "audience". This value should be the full resource name.',
        (
            "oauth2-tenant must have the project's number, not its name: "
            "projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME."
        ),
    ),
    (
        "PERMISSION_DENIED",
        "Permission 'iam.serviceAccounts.signJwt' denied on resource",
        (
            "Grant the workload identity (principalSet) the role Service Account "
            "Token Creator on the service account, and enable the IAM Service "
            "Account Credentials API."
        ),
    ),
    (
        "unauthorized_client",
        "Client is unauthorized to retrieve access tokens using this method",
        (
            "Let an administrator allow the client: in Google's admin console, "
            "Security, API controls, Domain-wide delegation, with the scope "
            "https://mail.google.com/."
        ),
    ),
    (
        "invalid_grant",
        "Invalid email or User ID",
        "user must be a mailbox of the Workspace domain.",
    ),
    (
        "invalid_grant",
        "Invalid JWT Signature.",
        "The key was deleted or belongs to another account: make a new one.",
    ),
    (
        "invalid_client",
        "The OAuth client was not found.",
        "Check oauth2-client-id and oauth2-client-secret.",
    ),
    (
        "invalid_scope",
        "Some requested scopes were invalid.",
        ("Leave out oauth2-scope, or write what the provider asks for sending mail."),
    ),
    (
        "invalid_target",
        "The target service indicated by the audience is invalid.",
        "Check oauth2-tenant: is it the provider's own resource name?",
    ),
    (
        "unsupported_grant_type",
        "Invalid grant_type",
        "The endpoint does not know this grant: check oauth2-token-url.",
    ),
]


def said(answer: object, status: int = 400, subject: str = "") -> tuple[str, str]:
    return explain_refusal(status, answer, subject, lambda text: text.replace("s3cret", "***"))


@pytest.mark.parametrize("code", ENTRA)
def test_a_code_of_entra_has_its_advice(code: str) -> None:
    text = f"AADSTS{code}: It says so. Trace ID: 1 Correlation ID: 2"
    answer = {"error": "invalid_client", "error_description": text}
    why = f"refused: invalid_client: AADSTS{code}: It says so."
    assert said(answer, subject=SUBJECT) == (why, ENTRA[code])
    assert said(answer | {"error_description": text + "\r\nmore"}, subject=SUBJECT)[0] == why


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "The request failed: AADSTS70021: No match.",
            "The request failed: AADSTS70021: No match.",
        ),
        ("AADSTS70021: No match.   Trace ID: 1", "AADSTS70021: No match."),
        ("  AADSTS70021: No match.  \nTrace ID: 1", "AADSTS70021: No match."),
    ],
)
def test_a_code_of_entra_may_stand_anywhere_in_the_first_line(text: str, shown: str) -> None:
    answer = {"error": "x", "error_description": text}
    assert said(answer, subject=SUBJECT) == (f"refused: x: {shown}", SUBJECT_HINT)


def test_a_job_with_an_environment_is_not_told_to_have_one() -> None:
    answer = {"error": "x", "error_description": "AADSTS700213: No match"}
    subject = "repo:octo@1/app@2:environment:mail"
    hint = f"The federated credential must name this job's subject exactly: {subject}"
    assert said(answer, subject=subject)[1] == hint


def test_a_code_of_entra_that_nobody_knows_has_none() -> None:
    answer = {"error": "invalid_client", "error_description": "AADSTS999999: What?"}
    assert said(answer, 500) == ("refused: invalid_client: AADSTS999999: What?", "")


def test_a_job_without_a_subject_is_told_that_it_has_none() -> None:
    answer = {"error": "x", "error_description": "AADSTS70021: No match"}
    assert said(answer)[1] == SUBJECT_HINT.replace(SUBJECT, "(it has none)")


@pytest.mark.parametrize(("error", "text", "hint"), GENERAL)
def test_a_known_refusal_has_its_advice(error: str, text: str, hint: str) -> None:
    told = (f"refused: {error}: {text}", hint)
    assert said({"error": error, "error_description": text}) == told
    assert said({"error": error, "message": text}) == told
    # As Google's own APIs have it.
    assert said({"error": {"status": error, "message": text, "code": 1}}) == told
    assert said({"error": error})[0] == f"refused: {error}"


def test_a_grant_that_is_not_taken_is_a_token_or_a_job() -> None:
    answer = {"error": "invalid_grant", "error_description": "Bad Request"}
    why = "refused: invalid_grant: Bad Request"
    assert said(answer) == (
        why,
        "The refresh token is expired or withdrawn, or belongs to another client.",
    )
    assert said(answer, subject=SUBJECT) == (
        why,
        "The provider's attribute mapping or condition refuses this job, or its audience is not "
        f"the default one. The job's subject: {SUBJECT}",
    )


@pytest.mark.parametrize("answer", [None, [], {}, 3, {"error": 1}, {"error": {"status": 1}}])
@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (404, "Check oauth2-token-url."),
        (499, "Check oauth2-token-url."),
        (500, "Try again later."),
        (503, "Try again later."),
    ],
)
def test_an_answer_that_says_nothing_is_its_status(answer: object, status: int, hint: str) -> None:
    assert said(answer, status) == (f"the answer is HTTP {status} and no token", hint)


@pytest.mark.parametrize(("status", "hint"), [(499, ""), (500, "Try again later.")])
def test_an_unknown_refusal_may_pass(status: int, hint: str) -> None:
    assert said({"error": "strange"}, status) == ("refused: strange", hint)
    assert said({"message": "strange"}, status) == ("refused: strange", hint)


def test_a_description_comes_before_a_message() -> None:
    assert said({"error_description": "a", "message": "b"})[0] == "refused: a"


@pytest.mark.parametrize(("length", "is_cut"), [(300, False), (301, True)])
def test_300_characters_of_a_text_are_shown(length: int, is_cut: bool) -> None:
    text = "a" * length
    shown = "a" * 297 + "..." if is_cut else text
    assert said({"error_description": text})[0] == f"refused: {shown}"


def test_a_text_is_redacted_before_it_is_cut_and_shown_on_one_line() -> None:
    assert said({"message": " \x07\n"})[0] == "the answer is HTTP 400 and no token"
    assert said({"message": " a s3cret\x07b\nc "})[0] == "refused: a ***"
    assert said({"message": "x" * 296 + "s3cret"})[0] == "refused: " + "x" * 296 + "***"
