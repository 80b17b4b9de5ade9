"""Times the composing of one mail: an ordinary run, and one of 300 materials with 1,000 findings.

Usage: ``python bench/rendering.py [RUNS]``. Each run composes the whole mail, all its parts and the
report that is attached where not everything fits; medians of processor time count, the first run
apart, since it compiles the templates. Memory is the peak of what Python allocates for one mail.
"""

import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files

from chainloop_smtp import attestation, message, options
from chainloop_smtp.model.attested import (
    Attestation,
    Evaluation,
    Finding,
    FindingKind,
    Material,
    Policies,
    Violation,
)
from chainloop_smtp.model.facts import Job, RunFacts
from chainloop_smtp.model.mail import Mail
from chainloop_smtp.verdict import judge

NOW = datetime(2026, 3, 12, 9, 47, 5, tzinfo=UTC)
OPTIONS = options.parse(
    {
        "host": "smtp.example.test",
        "port": "587",
        "user": "reports",
        # Looked for in every part, as any run's is.
        "password": "correct horse battery",
        "from": "reports@example.test",
        "to": "security@example.test",
    }
)


def main(runs: int) -> None:
    """Prints a line for each kind of run."""
    sample = files("chainloop_smtp").joinpath("samples/attestation.json").read_bytes()
    ordinary = attestation.parse(sample)
    print(f"{'run':<28} {'first ms':>9} {'median ms':>10} {'peak MB':>8} {'HTML kB':>8}")
    for name, attested in (
        ("the sample", ordinary),
        ("300 materials, 1,000 findings", large(ordinary)),
    ):
        first, *others = (_timed(attested) for _ in range(runs + 1))
        mail = first[1]
        median = statistics.median(seconds for seconds, _ in others) * 1000
        peak = _peak(partial(_composed, attested)) / 1e6
        print(
            f"{name:<28} {first[0] * 1000:9.0f} {median:10.1f} {peak:8.1f} "
            f"{len(mail.html.encode()) / 1000:8.1f}"
        )


def large(ordinary: Attestation) -> Attestation:
    """100 policies with ten findings each, on 300 materials."""
    evaluations = tuple(
        Evaluation(
            name=f"vulnerabilities-{number}",
            material=f"sbom-{number}",
            description="No known vulnerability with a fix",
            is_gate=number < 5,
            violations=tuple(
                Violation(
                    message="Update the package",
                    finding=Finding(
                        kind=FindingKind.VULNERABILITY,
                        id=f"CVE-2026-{number:03}{each}",
                        severity="HIGH",
                        score=8.1,
                        component="openssl",
                        component_version="3.0.14-r0",
                        fixed_version="3.0.16-r0",
                    ),
                )
                for each in range(10)
            ),
        )
        for number in range(100)
    )
    materials = tuple(
        Material(
            name=f"sbom-{number}",
            type="SBOM_CYCLONEDX_JSON",
            value=f"build/sbom-{number}.cdx.json",
            digest="sha256:" + "0123456789abcdef" * 4,
        )
        for number in range(300)
    )
    policies = Policies(
        evaluations=evaluations,
        evaluation_count=100,
        violation_count=1000,
        has_violations=True,
        has_gated_violations=True,
    )
    return replace(ordinary, materials=materials, policies=policies)


def _composed(attested: Attestation) -> Mail:
    job = Job()
    facts = RunFacts(job=job, verdict=judge(attested, job), attestation=attested, now=NOW)
    rendered = message.render(message.CleanFacts(facts), OPTIONS)
    return message.compose(rendered, OPTIONS, message_id="bench@example.test")


def _timed(attested: Attestation) -> tuple[float, Mail]:
    started = time.process_time()
    mail = _composed(attested)
    return time.process_time() - started, mail


def _peak(work: Callable[[], object]) -> int:
    """Octets, of what the work allocates at most at one time."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
