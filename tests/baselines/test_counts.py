"""The counts of sixty models equal the reviewed baseline."""

from __future__ import annotations

import pytest
from baselines.counts import COSTS, MODEL_SIZES, MODELS, TABLE, installed_version, libraries_of, lines, read

VERSIONS, ACCEPTED = read()
QUICK = ("resnet18", "mobilenet_v3_small", "vit_b_32", "vit_b_32 trained", "hf:gpt2")
HINT = "the counts changed; if this is intended, run python tests/baselines/counts.py --update and review the lines"


def assert_accepted(name: str) -> None:
    for library in libraries_of(name):
        if installed_version(library).split(".")[:2] != VERSIONS[library].split(".")[:2]:
            pytest.skip(f"the table has {library} {VERSIONS[library]}; {installed_version(library)} is installed")
    assert lines(name) == ACCEPTED[name], HINT


@pytest.mark.parametrize("name", QUICK)
def test_the_counts_of_a_few_models_are_those_accepted(name):
    assert_accepted(name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in MODELS if name not in QUICK])
def test_the_counts_of_every_model_are_those_accepted(name):
    assert_accepted(name)


def test_there_are_sixty_models_and_each_has_lines():
    assert len(MODELS) == len(set(MODELS)) == 60
    assert list(ACCEPTED) == list(MODELS)


def test_the_table_can_be_read_by_column():
    _, columns, *_ = TABLE.read_text(encoding="utf-8").splitlines()
    assert columns.split(",") == ["model", "phase", "operator", "dtype", "calls", *COSTS, *MODEL_SIZES]


def test_the_accepted_macs_of_resnet18_are_the_published_ones():
    """Source: torchvision's ResNet18_Weights, 1.814 GMAC."""
    column = 5
    assert sum(int(line.split(",")[column] or 0) for line in ACCEPTED["resnet18"]) == 1_814_073_344
