"""``profiler verify``, ``profiler documents``, and the claims of documents in a profile."""

from __future__ import annotations

import json

import pytest

from profiler.cli import main
from profiler.documents import FOLDER

TEMPLATE = str(FOLDER / "template.toml")


def test_a_file_of_ones_own_is_checked(capsys):
    assert main(["verify", TEMPLATE]) == 1
    captured = capsys.readouterr()
    assert "resnet18-gflops: contradicted" in captured.out
    assert "Note: These are multiply-adds: 3.643 GFLOP in FLOPs." in captured.out
    assert captured.err.strip() == "error: 1 of 3 claims does not hold: resnet18-gflops contradicted"


def test_one_claim_can_be_asked_for(capsys):
    assert main(["verify", TEMPLATE, "--claim", "ridge"]) == 0
    assert "1 claim: 1 agrees" in capsys.readouterr().out


def test_json_has_findings_with_the_id_of_their_claim(capsys):
    main(["verify", TEMPLATE, "--format", "json"])
    document = json.loads(capsys.readouterr().out)
    assert document["verdicts"] == {"resnet18-gflops": "contradicted", "linear-parameters": "agrees", "ridge": "agrees"}
    first = document["findings"][0]
    assert (first["id"], first["claimed"], first["ours"], first["unexplained"]) == (
        "resnet18-gflops", 1_800_000_000, 3_642_757_352, 0,
    )  # fmt: skip
    assert [(c["kind"], c["amount"]) for c in first["causes"]] == [("unit", 1_828_684_008), ("rounding", 14_073_344)]


def test_markdown_is_a_page(capsys):
    main(["verify", TEMPLATE, "--claim", "ridge", "--format", "markdown"])
    out = capsys.readouterr().out
    assert out.startswith("# Claims of documents")
    assert "### ridge: agrees" in out


def test_the_result_can_be_written_to_a_file(tmp_path, capsys):
    path = tmp_path / "claims.json"
    assert main(["verify", TEMPLATE, "-c", "ridge", "-f", "json", "-o", str(path)]) == 0
    assert capsys.readouterr().out == ""
    assert json.loads(path.read_text())["verdicts"] == {"ridge": "agrees"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["verify", "esstimate"], "no document named 'esstimate'; did you mean 'estimate'?"),
        (["verify", TEMPLATE, "--claim", "rigde"], "no claim named 'rigde'; did you mean 'ridge'?"),
        (["verify", "nothing.toml"], "cannot read nothing.toml: No such file or directory; give a TOML file"),
    ],
)
def test_a_wrong_word_is_one_line(words, message, capsys):
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_the_documents_are_listed(capsys):
    assert main(["documents"]) == 0
    out = capsys.readouterr().out
    assert [name for name in ("decoder", "estimate", "gpu", "petaflop", "tops") if name in out] == [
        "decoder", "estimate", "gpu", "petaflop", "tops",
    ]  # fmt: skip


def test_the_template_can_be_printed_and_checked(tmp_path, capsys):
    assert main(["documents", "--template"]) == 0
    path = tmp_path / "mine.toml"
    path.write_text(capsys.readouterr().out)
    assert main(["verify", str(path), "--claim", "linear-parameters"]) == 0


def test_a_profile_shows_what_documents_say_of_the_model(capsys):
    assert main(["vit_b_16", "--depth", "0", "--against", "documents"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Claims of documents about it: " in out
    assert "tops-vit-b16" in out
    assert "Claimed 17.60 GFLOP, measured 35.23 GFLOP; 17.66 GFLOP unit: multiply-adds are printed as FLOPs" in out


def test_a_profile_names_the_claims_that_need_more_than_its_run(capsys):
    assert main(["resnet18", "--depth", "0", "--against", "documents"]) == 0
    out, err = capsys.readouterr()
    assert "Claims of documents" not in out
    assert "note: no document has a claim about resnet18 that this run settles" in err
    assert "note: other claims about resnet18: profiler verify --claim est-training,tops-tools" in err


def test_claims_are_shown_for_the_default_run_only(capsys):
    against = ("--format", "json", "--against", "documents")
    assert main(["vit_b_16", "--batch", "2", *against]) == 0
    assert "findings" not in json.loads(capsys.readouterr().out)
    assert main(["vit_b_16", *against]) == 0
    assert [f["id"] for f in json.loads(capsys.readouterr().out)["findings"]]


def test_the_findings_of_documents_are_saved_and_read_again(tmp_path, capsys):
    path = tmp_path / "vit.json"
    assert main(["vit_b_16", "--against", "documents", "--format", "json", "--output", str(path)]) == 0
    assert main(["view", str(path), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == json.loads(path.read_text())["findings"]


def test_a_report_has_no_claims_of_documents_unless_they_are_asked_for(capsys):
    assert main(["vit_b_16", "--depth", "0"]) == 0
    out, err = capsys.readouterr()
    assert "documents" not in out + err
    assert main(["vit_b_16", "--format", "json"]) == 0
    assert "findings" not in json.loads(capsys.readouterr().out)


def test_several_models_are_not_compared_with_documents(capsys):
    assert main(["compare", "vit_b_16", "resnet18", "--against", "documents"]) == 2
    assert "`profiler TARGET --against documents`" in capsys.readouterr().err
