"""How long it takes to read the documents, and to check a formula and a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from profiler.documents import documents, find_document
from profiler.verify import Measurements, check

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from profiler.documents import ClaimResult


def test_reading_all_documents(benchmark: BenchmarkFixture) -> None:
    """Read and validate every TOML file."""

    def read() -> object:
        documents.cache_clear()
        return documents()

    benchmark(read)


@pytest.mark.parametrize("name", ["est-linear-params", "est-mhsa-flops-text", "est-gpt2"])
def test_checking_a_claim(benchmark: BenchmarkFixture, name: str) -> None:
    """Check a claim with an empty cache: build and run the models, and derive the closed form."""
    document = find_document("estimate")
    (claim,) = (claim for claim in document.claims if claim.id == name)

    def check_claim() -> ClaimResult:
        return check(document, claim, Measurements())

    benchmark.pedantic(check_claim, rounds=3, warmup_rounds=1)
