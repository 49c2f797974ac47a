"""Reading files of claims, and the error messages for files that are not valid."""

from __future__ import annotations

import pytest

from profiler.documents import FOLDER, documents, find_document
from profiler.errors import ClaimError, UnknownNameError

CLAIM = """
[[claims]]
id = "mine"
says = "ResNet-18 has 11.7 million parameters."
kind = "fact"
unit = "Mparameter"
printed = "11.7"
measures.ours = { target = "resnet18", count = "params" }
"""


def read(tmp_path, text, name="mine.toml"):
    path = tmp_path / name
    path.write_text(text)
    return find_document(str(path))


def test_a_claim_of_one_figure_needs_no_table_for_it(tmp_path):
    (claim,) = read(tmp_path, CLAIM).claims
    (figure,) = claim.figures
    assert (claim.id, figure.printed, figure.measures["ours"].target) == ("mine", "11.7", "resnet18")


def test_figures_inherit_what_stands_in_their_claim(tmp_path):
    more = (
        '[[claims.figures]]\nof = "a"\n[[claims.figures]]\nof = "b"\nprinted = "12"\nmeasures.more = { target = "a:b" }'
    )
    first, second = read(tmp_path, CLAIM + more).claims[0].figures
    assert (first.of, first.printed, list(first.measures)) == ("a", "11.7", ["ours"])
    assert (second.of, second.printed, list(second.measures)) == ("b", "12", ["ours", "more"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "mine.toml has no claims"),
        ("claims = 3", "mine.toml has no claims"),
        ("[[claims]\n", "mine.toml is not TOML"),
        (
            CLAIM.replace('"fact"', '"guess"'),
            "mine.toml: mine: kind: Input should be 'formula', 'arithmetic' or 'fact'",
        ),
        (CLAIM.replace('printed = "11.7"', ""), "mine.toml: mine: it needs `printed` or `expression`"),
        (CLAIM.replace("unit =", "units ="), "mine.toml: mine: unit"),
        (CLAIM.replace('"mine"', '"Mine it"'), "mine.toml: Mine it: an id is made of lower case letters"),
        (CLAIM.replace("target", "model"), "mine.toml: mine: measures.ours.model: "),
        (CLAIM.replace('count = "params"', 'device = "t4"'), "mine.toml: mine: measures.ours: name either a target or"),
        (CLAIM.replace("measures.ours", "measures.other"), "mine.toml: mine: it needs `measures.ours`"),
        (CLAIM.replace('"fact"', '"arithmetic"'), "mine.toml: mine: an arithmetic claim needs both"),
        (CLAIM + CLAIM, "mine.toml: two claims are named 'mine'"),
    ],
)
def test_a_mistake_names_the_file_the_claim_and_the_field(tmp_path, text, message):
    with pytest.raises(ClaimError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(ClaimError, match=r"cannot read .*nothing.toml: No such file"):
        find_document(str(tmp_path / "nothing.toml"))


def test_an_unknown_document_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="no document named 'estimates'; did you mean 'estimate'"):
        find_document("estimates")


def test_the_template_can_be_read():
    assert [claim.figures[0].kind for claim in find_document(str(FOLDER / "template.toml")).claims] == [
        "fact", "formula", "arithmetic",
    ]  # fmt: skip


def test_every_document_says_where_it_is_from_and_every_claim_what_it_says():
    for document in documents().values():
        assert document.title
        assert document.origin
        assert all(claim.says.endswith(".") for claim in document.claims), document.id


def test_ids_are_unique_over_all_documents():
    ids = [claim.id for document in documents().values() for claim in document.claims]
    assert len(ids) == len(set(ids))
