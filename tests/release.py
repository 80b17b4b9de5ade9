"""A release as projects of many images make one: each SBOM three times, and so each finding.

78 evaluations, 225 violations and 29 materials: eight images, built for two platforms and joined by
an index, with an SBOM of each.
"""

import hashlib

from chainloop_smtp.model.attested import (
    Annotation,
    Evaluation,
    Finding,
    FindingKind,
    Material,
    Violation,
)

IMAGES = ("pilot", "tide", "ledger", "crane", "customs", "lock", "quay", "beacon")
PLATFORMS = ("", "-amd64", "-arm64")
SBOMS = tuple(f"{image}-sbom{platform}" for image in IMAGES for platform in PLATFORMS)
# What every image has, and what one image has.
COMMON = (
    ("GPL-3.0-or-later", "example.test/harbour/readline", "v8.2.13"),
    ("GPL-2.0-only", "example.test/harbour/busybox", "v1.37.0"),
    ("AGPL-3.0-only", "example.test/quays/ledgerd", "v1.8.2"),
    ("GPL-2.0-or-later", "example.test/quays/soundings", "v0.4.0"),
    ("GPL-3.0-only", "example.test/quays/tidetable", "v2.0.1"),
    ("AGPL-3.0-or-later", "example.test/quays/berths", "v3.1.4"),
    ("GPL-2.0-only", "example.test/buoys/lanterns", "v0.9.9"),
)


def digest(name: str) -> str:
    """Any, but always the same."""
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def materials() -> tuple[Material, ...]:
    sboms = (
        Material(
            name=name,
            type="SBOM_CYCLONEDX_JSON",
            value=f"{name.replace('-sbom', '')}.cdx.json",
            digest=digest(name),
            annotations=(Annotation(name="image", value=name.partition("-")[0]),),
        )
        for name in SBOMS
    )
    others = (
        ("source", "ARTIFACT", "harbour-2.14.0.tar.gz"),
        ("checksums", "ARTIFACT", "checksums.txt"),
        ("chart", "HELM_CHART", "harbour-2.14.0.tgz"),
        ("provenance", "SLSA_PROVENANCE", "provenance.intoto.jsonl"),
        ("unit-tests", "JUNIT_XML", "junit.zip"),
    )
    return (
        *sboms,
        *(
            Material(name=name, type=kind, value=value, digest=digest(name), is_output=not number)
            for number, (name, kind, value) in enumerate(others)
        ),
    )


def evaluations() -> tuple[Evaluation, ...]:
    """Violated ones first, then passed ones, as a parsed attestation has them."""
    all_ = (
        *map(_licenses, SBOMS),
        *map(_vulnerabilities, SBOMS),
        *map(_signed, ("source", "checksums", "chart")),
        Evaluation(
            name="containers-with-sbom",
            description="Checks that every container image has an SBOM",
            violations=(
                Violation(
                    subject="containers-with-sbom",
                    message="image registry.example.test/harbour/dredger has no SBOM",
                ),
            ),
        ),
        *(
            Evaluation(
                name="sbom-freshness",
                material=name,
                description="Checks that the SBOM is not older than five days",
            )
            for name in SBOMS
        ),
        Evaluation(name="source-commit", description="Checks that the commit is signed"),
        Evaluation(name="slsa-runner", description="Checks which runner built it"),
    )
    return tuple(sorted(all_, key=lambda each: not each.active_violations))


def _licenses(sbom: str) -> Evaluation:
    image = sbom.partition("-")[0]
    own = (
        ("GPL-3.0-only", f"example.test/{image}/gpl", "v1.0.0"),
        ("Custom-EULA", f"example.test/{image}/eula", "v2.3.0"),
    )
    return Evaluation(
        name="sbom-banned-licenses",
        material=sbom,
        description="Checks that no component has a banned license",
        violations=tuple(
            Violation(
                subject="sbom-banned-licenses",
                # Where it was found in which image makes the id another one.
                message=f"Forbidden license {license_} for {package} "
                f"(pkg:golang/{package}@{version}?package-id={digest(sbom + package)[7:23]})",
            )
            for license_, package, version in (*COMMON, *own)
        ),
    )


def _vulnerabilities(sbom: str) -> Evaluation:
    found = (
        ("CVE-2026-30007", "HIGH", 8.1, "musl", "1.2.5-r9", "1.2.5-r10"),
        ("CVE-2026-21441", "CRITICAL", 9.8, "openssl", "3.0.14-r0", "3.0.16-r0"),
    )
    return Evaluation(
        name="vulnerabilities",
        material=sbom,
        description="No critical or high vulnerability that has a fix",
        is_gate=True,
        violations=tuple(
            Violation(
                subject="vulnerabilities",
                message=id_,
                finding=Finding(
                    kind=FindingKind.VULNERABILITY,
                    id=id_,
                    severity=severity,
                    score=score,
                    component=component,
                    component_version=version,
                    fixed_version=fixed,
                ),
            )
            for id_, severity, score, component, version, fixed in found
        )
        if sbom.startswith("beacon")
        else (),
    )


def _signed(name: str) -> Evaluation:
    message = f"{name} has no signature"
    return Evaluation(
        name="artifact-signed",
        material=name,
        description="Checks that the artifact is signed",
        violations=() if name == "source" else (Violation(message=message),),
    )
