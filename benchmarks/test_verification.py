"""Documents: reading their files, and what a formula and a figure of them take to check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from profiler.documents import documents, find_document
from profiler.verify import Bench, check

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from profiler.documents import ClaimResult


def test_reading_all_documents(benchmark: BenchmarkFixture) -> None:
    """From TOML, validated."""

    def read() -> object:
        documents.cache_clear()
        return documents()

    benchmark(read)


@pytest.mark.parametrize("name", ["est-linear-params", "est-mhsa-flops-text", "est-gpt2"])
def test_checking_a_claim(benchmark: BenchmarkFixture, name: str) -> None:
    """With nothing measured before: the models are built and run, and the closed form derived."""
    document = find_document("estimate")
    (claim,) = (claim for claim in document.claims if claim.id == name)

    def checked() -> ClaimResult:
        return check(document, claim, Bench())

    benchmark.pedantic(checked, rounds=3, warmup_rounds=1)
