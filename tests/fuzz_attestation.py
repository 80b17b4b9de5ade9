"""Feeds broken evidence to the reader for as long as one likes; guided by the lines it reaches.

    python tests/fuzz_attestation.py [SECONDS] [SEED]

Whatever raises something else than an `AttestationError`, makes an `Attestation` that cannot be
judged or encoded, or takes longer than `SLOW` seconds, is written to ``tests/data/fuzz/`` where
``test_attestation_fuzz.py`` reads it from then on.
"""

import base64
import hashlib
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import builders
from chainloop_smtp import attestation
from chainloop_smtp.errors import AttestationError
from chainloop_smtp.model.attested import Attestation
from chainloop_smtp.model.facts import Job
from chainloop_smtp.verdict import judge

FINDS = Path(__file__).parent / "data" / "fuzz"
SLOW = 2.0


def certificate() -> bytes:
    """DER of what could be a certificate, were it signed; with an alternative name of each kind."""

    def value(tag: int, *parts: bytes) -> bytes:
        return bytes([tag, sum(map(len, parts))]) + b"".join(parts)

    def identifier(octets: str) -> bytes:
        return value(0x06, bytes.fromhex(octets))

    def name(text: bytes) -> bytes:
        return value(0x30, value(0x31, value(0x30, identifier("55040a"), value(0x0C, text))))

    other = value(0xA0, identifier("2b0601"), value(0xA0, value(0x0C, b"robo")))
    names = [value(0x81, b"a@b"), value(0x82, b"pier"), value(0x87, b"\xc0\x00\x02\x07"), other]
    held = value(0x04, value(0x30, *names))
    extensions = value(0xA3, value(0x30, value(0x30, identifier("551d11"), held)))
    version, serial, empty = value(0xA0, value(0x02, b"\x02")), value(0x02, b"7"), value(0x30)
    issuer, subject = name(b"Lakeside"), name(b"6f2d-id")
    body = value(0x30, version, serial, empty, issuer, empty, subject, empty, extensions)
    return value(0x30, body, empty, value(0x03, b"0"))


def seeds() -> list[bytes]:
    """One document of each shape, with everything that can stand in one."""
    statement = builders.statement(
        evaluations=EVALUATIONS,
        annotations={"stage": "pier"},
        environment={"QUAY": "7"},
        predicate={"policySuppressedCount": 1},
    )
    stored = builders.stored_evaluations(EVALUATIONS)
    material = {
        "certificate": {"rawBytes": base64.b64encode(certificate()).decode()},
        "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}]},
        "tlogEntries": [{"logIndex": "12"}],
    }
    documents = [
        builders.cli_push(statement, evaluations=EVALUATIONS),
        builders.cli_push(statement, unset=[builders.unset_material("junit", group="tests")]),
        builders.old_push(statement),
        builders.oldest_push(statement),
        builders.cli_describe(statement, evaluations=EVALUATIONS, material=material),
        builders.cli_describe(None, state="failed", reason="storm"),
        builders.bundle(statement, material=material),
        builders.dsse(statement),
        statement,
        builders.printed(statement),
        builders.referring(statement, stored),
        builders.webhook(statement),
        statement["predicate"],
        json.loads(stored),
    ]
    return [builders.encoded(one) for one in documents] + [builders.pae(statement), stored]


EVALUATIONS = [
    builders.evaluation(
        "cve",
        material="sbom",
        is_gate=True,
        violations=[
            builders.violation(
                "CVE",
                vulnerability={
                    "externalId": "CVE-2026-1",
                    "packagePurl": "pkg:deb/debian/zlib%2B@1.2?x=y#z",
                    "severity": "HIGH",
                    "cvssV3Score": 7.5,
                    "assessment": {"effectiveStatus": "ASSESSMENT_STATUS_AFFECTED"},
                },
            ),
            builders.violation("old", is_suppressed=True),
            builders.violation("s", sast={"ruleId": "R1", "location": "a.py", "lineNumber": 3}),
            builders.violation("l", license_violation={"licenseId": "AGPL-3.0-only"}),
        ],
    ),
    builders.evaluation("commit", skip_reasons=["no commit"]),
]


PUSH = builders.encoded(builders.cli_push(builders.statement(evaluations=EVALUATIONS)))


def check(evidence: bytes) -> None:
    """What has to hold of any input.

    Raises:
        AssertionError: It does not.
    """
    started = time.process_time()
    _check_one(lambda: attestation.parse(evidence))
    _check_one(lambda: attestation.with_evaluations(attestation.parse(PUSH), evidence))
    assert time.process_time() - started < SLOW, "slow"


def _check_one(reading: Callable[[], Attestation]) -> None:
    try:
        read = reading()
        judge(read, Job())
        encodable(read)
        attestation.join(read, read)
    except AttestationError as error:
        text = str(error)
        text.encode()
        assert len(text) < 2000, text
        for problem in error.problems:
            assert problem.where.isprintable()
            assert problem.why.isprintable()


def encodable(read: Attestation) -> None:
    """Half surrogate pairs would break whoever writes the values down."""
    repr(read).encode()
    for one in (*read.environment, *read.annotations):
        f"{one.name}={one.value}".encode()


# --- mutations ---------------------------------------------------------------------------------

STRANGE: list[Any] = [
    None, True, False, 0, -1, 1e308, 2**70, 0.5, "", "x", "\x00\x1b[31m", "\ud800", "\u202e",
    "1970-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2026-13-01T00:00:00Z", "e30=", "eyJ9",
    [], {}, [None], [[]], {"a": None}, {"name": 3}, "sha256:", "::error::x", "a" * 5000,
]  # fmt: skip

BYTES = [
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\\u", b"\\ud800", b"NaN", b"Infinity",
    b"-", b"1e999", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\n", b"\r\n", b"null",
    b"DSSEv1 ", b"9" * 5000, b"[" * 200, b'{"a":' * 200, b"\xf0\x9f\x98\x80",
]  # fmt: skip


def mutated(evidence: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        evidence = chance.choice((_of_document, _of_document, _of_bytes))(evidence, chance)
    return evidence


def _of_bytes(evidence: bytes, chance: random.Random) -> bytes:
    here, there = sorted(chance.randint(0, len(evidence)) for _ in range(2))
    there = min(there, here + chance.choice((0, 1, 4, 64, 4096)))
    match chance.randint(0, 6):
        case 0:
            return evidence[:here] + chance.choice(BYTES) + evidence[there:]
        case 1:
            return evidence[:here] + evidence[there:]
        case 2:
            return evidence[:here]
        case 3:
            return evidence[:there] + evidence[here:]
        case 4:
            return evidence[:here] + chance.randbytes(there - here) + evidence[there:]
        case 5:
            text = evidence.decode(errors="replace")
            return text.encode(chance.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig")))
        case _:
            noise = chance.choice((b"[INFO] hi\n", b'{"a": 1}\n', b'"quote\n', b"x {\n", b"[[[\n"))
            return noise + evidence if chance.random() < 0.5 else evidence + b"\n" + noise


def _of_document(evidence: bytes, chance: random.Random) -> bytes:
    """Changes one value, be it deep in what is encoded in a string."""
    try:
        document = json.loads(evidence)
    except (ValueError, RecursionError):
        return _of_bytes(evidence, chance)
    return json.dumps(_changed(document, chance)).encode()


def _changed(value: Any, chance: random.Random) -> Any:
    if chance.random() < 0.12:
        return chance.choice(STRANGE)
    if isinstance(value, dict) and value:
        value = dict(value)
        key = chance.choice(sorted(value))
        match chance.randint(0, 9):
            case 0:
                del value[key]
            case 1:
                value[chance.choice(sorted(value))] = value[key]
            case 2:
                value[chance.choice(("x", "materials", "evaluations", "envelope"))] = value[key]
            case _:
                value[key] = _changed(value[key], chance)
        return value
    if isinstance(value, list) and value:
        value = list(value)
        index = chance.randrange(len(value))
        match chance.randint(0, 7):
            case 0:
                del value[index]
            case 1:
                value.append(value[index])
            case 2:
                chance.shuffle(value)
            case _:
                value[index] = _changed(value[index], chance)
        return value
    if isinstance(value, str):
        return _changed_text(value, chance)
    return chance.choice(STRANGE)


def _changed_text(value: str, chance: random.Random) -> str:
    try:
        inner = base64.b64decode(value, validate=True)
    except ValueError:
        inner = b""
    if len(inner) > 8 and chance.random() < 0.9:
        changed = mutated(inner, chance) if inner[:1] == b"{" else _of_bytes(inner, chance)
        return base64.b64encode(changed).decode()
    return _of_bytes(value.encode(errors="replace"), chance).decode(errors="replace")


# --- guidance ----------------------------------------------------------------------------------


class Guide:
    """Which steps from line to line of the reader an input takes."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, int, int]] = set()
        self._new = False
        self._package = str(Path(attestation.__file__).parent)

    def is_new(self, function: Callable[[bytes], None], evidence: bytes) -> bool:
        self._new = False
        sys.settrace(self._call)
        try:
            function(evidence)
        finally:
            sys.settrace(None)
        return self._new

    def _call(self, frame: FrameType, _event: str, _value: object) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(self._package):
            return None
        last = 0

        def line(frame: FrameType, _event: str, _value: object) -> Any:
            nonlocal last
            step = (name, last, frame.f_lineno)
            last = frame.f_lineno
            if step not in self.seen:
                self.seen.add(step)
                self._new = True
            return line

        return line


def main(seconds: float, seed: int) -> int:
    chance = random.Random(seed)
    guide = Guide()
    corpus = seeds()
    for one in corpus:
        guide.is_new(check, one)
    ends, runs, finds, told = time.monotonic() + seconds, 0, 0, 0.0
    while time.monotonic() < ends:
        evidence = mutated(chance.choice(corpus), chance)
        runs += 1
        try:
            if runs % 4:
                check(evidence)
            elif guide.is_new(check, evidence) and len(evidence) < 100_000:
                corpus.append(evidence)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a find
            finds += 1
            name = hashlib.sha256(evidence).hexdigest()[:12]
            (FINDS / f"{name}.bin").write_bytes(evidence)
            print(f"{name}: {type(error).__name__}: {str(error)[:200]}")
        if time.monotonic() - told > 30:
            told = time.monotonic()
            print(
                f"{runs} runs, {len(corpus)} in the corpus, {len(guide.seen)} steps, {finds} finds"
            )
    print(f"{runs} runs, {len(corpus)} in the corpus, {len(guide.seen)} steps, {finds} finds")
    return finds


if __name__ == "__main__":
    said = [int(one) for one in sys.argv[1:]]
    sys.exit(bool(main(*(said + [60, 0][len(said) :]))))
