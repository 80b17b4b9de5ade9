"""Broken evidence raises nothing but an `AttestationError`, and soon."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fuzz_attestation

FINDS = sorted((Path(__file__).parents[1] / "data" / "fuzz").glob("*.bin"))


@pytest.mark.parametrize("find", FINDS, ids=lambda path: path.stem)
def test_what_broke_the_reader_once_does_not_again(find: Path) -> None:
    fuzz_attestation.check(find.read_bytes())


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(fuzz_attestation.seeds()), st.integers(0, 2**32))
def test_broken_documents_are_read_or_refused(seed: bytes, chance: int) -> None:
    fuzz_attestation.check(fuzz_attestation.mutated(seed, random.Random(chance)))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_bytes_are_refused(evidence: bytes) -> None:
    fuzz_attestation.check(evidence)
