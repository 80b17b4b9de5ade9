"""HTML and text say the same: no word, no link and no cut is in one of them alone."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings

import release
from chainloop_smtp.message.budget import HTML_BYTES
from chainloop_smtp.model.attested import Attestation, Evaluation, Material, Violation
from chainloop_smtp.model.facts import FailedStep, Job
from chainloop_smtp.model.mail import Mail
from chainloop_smtp.received.visible import visible
from states import (
    EARLIER,
    JOB,
    OTHERS,
    RECORDED,
    STATES,
    Html,
    attestations,
    compared,
    golden_mails,
    jobs,
    tame,
    with_policies,
    written,
)
from stress import mails

# The head of the table of evaluations, which the text has no room for.
HEAD = {"policy", "material", "result"}
RELEASE = STATES["release"][0] or RECORDED
BEFORE = replace(
    RELEASE,
    run=EARLIER.run,
    digest=EARLIER.digest,
    policies=EARLIER.policies,
    materials=tuple(
        replace(each, digest=release.digest(f"earlier {each.name}")) for each in RELEASE.materials
    ),
)


def crowded() -> Attestation:
    """More of everything than there is room for."""
    evaluations = (
        Evaluation(
            name=f"policy-{number}",
            material=f"sbom-{each}",
            description="Every license is on the list",
            is_gate=number < 6,
            violations=tuple(
                Violation(message=f"component-{number}-{one} is AGPL-3.0-only") for one in range(30)
            ),
        )
        for number in range(40)
        for each in range(3)
    )
    return replace(
        with_policies(*evaluations),
        materials=tuple(Material(name=f"sbom-{each}", digest="sha256:0f") for each in range(600)),
    )


@cache
def everything() -> dict[str, Mail]:
    return mails() | {
        "release-changed": written(RELEASE, JOB, changes=compared(BEFORE, RELEASE)),
        "crowded": written(crowded(), JOB),
        "two-failed-steps": written(RECORDED, replace(JOB, failed_steps=tuple(map(step, "ab")))),
    }


def step(name: str) -> FailedStep:
    return FailedStep(job=name, name="Run tests", need=None, url=f"{JOB.run_url}/job/{name}")


NAMES = (
    *STATES,
    *OTHERS,
    *(name for name in mails() if name not in golden_mails()),
    *("release-changed", "crowded", "two-failed-steps"),
)


def words(text: str) -> Iterator[str]:
    yield from re.findall(r"\w+", text.lower())


def disagreements(mail: Mail) -> set[str]:
    """Words and links that one of the two parts has, and the other has not."""
    links = {each["href"] for _, each in Html(mail.html).elements if "href" in each}
    shown = set(words(" ".join(visible(mail.html).lines)))
    said = set(words(mail.text))
    linked = {word for link in links for word in words(link)}
    return (
        (shown - said - HEAD) | (said - shown - linked) | {e for e in links if e not in mail.text}
    )


@pytest.mark.parametrize("name", NAMES)
def test_no_word_and_no_link_is_in_one_part_alone(name: str) -> None:
    assert disagreements(everything()[name]) == set()


@pytest.mark.parametrize("name", NAMES)
def test_each_link_is_in_both_parts_as_often(name: str) -> None:
    mail = everything()[name]

    # Rspamd distrusts an odd number in both together (URI_COUNT_ODD).
    links = Counter(each["href"] for _, each in Html(mail.html).elements if "href" in each)
    said = Counter(re.findall(r"https?://\S+", mail.text))
    assert {link: said[link] for link in links} == links


@pytest.mark.parametrize("name", NAMES)
def test_no_line_of_the_text_is_longer_than_a_mail_allows(name: str) -> None:
    assert max(map(len, everything()[name].text.split("\n"))) <= 998


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(attestations(tame), jobs(tame))
def test_the_parts_of_any_mail_agree(attestation: Attestation, job: Job) -> None:
    assert disagreements(written(attestation, job)) == set()


@pytest.mark.parametrize("name", ["release", "release-changed"])
def test_a_release_is_whole_and_no_longer_than_a_person_reads(name: str) -> None:
    mail = everything()[name]

    assert mail.text.count("\n") <= 400
    assert len(mail.html.encode()) <= HTML_BYTES
    assert not mail.is_cut
    for each in release.materials():
        for fact in (each.name, each.value, each.digest):
            assert fact in mail.text
            assert fact in mail.html


def test_a_release_says_on_the_first_lines_what_is_wrong_and_with_what() -> None:
    lines = golden_mails()["release"].text.split("\n")

    first = " ".join(" ".join(lines[:32]).split())
    for said in (
        "BLOCKED BY GATE: vulnerabilities blocks harbour 2.14.0",
        "225 policy violations: 6 in a gate, 219 advisory.",
        "Gate on 3 of 24 materials",
        "6 violations, 2 different: 1 critical, 1 high",
        "On beacon-sbom (also -amd64, -arm64): - CVE-2026-21441 (critical, CVSS 9.8) in openssl",
    ):
        assert said in first
