"""Closed forms of whole models, against formulas that can be derived by hand."""

from __future__ import annotations

import json

import pytest

from profiler.cli import main

pytestmark = pytest.mark.slow


def derive(capsys, *words):
    status = main(["derive", *words, "--format", "json", "--quiet"])
    captured = capsys.readouterr()
    assert status in {0, 1}, captured.err
    return json.loads(captured.out)


def terms(document, part=None):
    (piece,) = document["pieces"]
    return piece["parts"][part] if part else {term["term"]: term["coefficient"] for term in piece["terms"]}


def test_gpt2_in_all_its_sizes(capsys):
    """A block: QKV 6, output 2, FFN 8 + 8 times E²; scores and values 2·2·S·E. The head: 2·E·V."""
    formula = "L*(24*B*S*E**2 + 4*B*S**2*E) + 2*B*S*E*V"
    sizes = "batch,sequence,layers=1..4,hidden=48..384,vocab=100..900"
    form = derive(capsys, "hf:gpt2", "--vary", sizes, "--count", "contractions", "--with", formula)
    assert form["comparison"]["equal"]


def test_gpt2_parameters(capsys):
    """Two embeddings; in a block four products with biases (3E + E + 4E + E) and two norms of 2E; the last norm."""
    formula = "V*E + P*E + L*(12*E**2 + 13*E) + 2*E"
    form = derive(
        capsys, "hf:gpt2", "--vary", "layers=1..6,hidden=48..384,vocab,positions", "-c", "params", "--with", formula
    )
    assert form["comparison"]["equal"]


def test_gpt2_small_in_letters(capsys):
    words = ("--vary", "batch,sequence", "-c", "contractions", "--letters", "E=768,V=50257")
    form = derive(capsys, "hf:gpt2", *words, "--with", "12*(24*B*S*E**2 + 4*B*S**2*E) + 2*B*S*E*V")
    assert form["comparison"]["equal"]
    assert terms(form) == {"B*S*E**2": 288, "B*S**2*E": 48, "B*S*E*V": 2}
    (crossover,) = [c for c in form["crossovers"] if c["variable"] == "sequence"]
    assert crossover["size"] == -(-(288 * 768 + 2 * 50257) // 48)  # 48·S² = (288·E + 2·V)·S


def test_llama_with_grouped_queries_and_a_gated_ffn(capsys):
    """Queries and output 2·2·E², keys and values 2·2·E²/4 (8 of 32 heads), gate, up and down 3·2·E·F."""
    words = ("--vary", "batch,sequence", "-c", "contractions", "--letters", "E=4096,F=14336,V=128256")
    formula = "32*(5*B*S*E**2 + 6*B*S*E*F + 4*B*S**2*E) + 2*B*S*E*V"
    form = derive(capsys, "hf:llama-3.1-8b", *words, "--with", formula)
    assert form["comparison"]["equal"]
    assert terms(form) == {"B*S*E**2": 160, "B*S*E*F": 192, "B*S**2*E": 128, "B*S*E*V": 2}


def test_resnet50_in_its_resolution(capsys):
    """The first convolution is 3·64·7²; a stage has the square of its stride's step; the classifier has none."""
    form = derive(capsys, "resnet50", "--vary", "batch,resolution", "-c", "macs")
    assert terms(form) == {
        "B*ceil(R/2)**2": 3 * 64 * 49,
        "B*ceil(R/4)**2": 3 * 9 * 64**2 + 64 * (64 + 2 * 256) + 3 * 64 * 256 + 64 * 256 + 256 * 128,
        "B*ceil(R/8)**2": 4 * 9 * 128**2 + 3 * 512 * 128 + 4 * 128 * 512 + 256 * 512 + 512 * 256,
        "B*ceil(R/16)**2": 6 * 9 * 256**2 + 5 * 1024 * 256 + 6 * 256 * 1024 + 512 * 1024 + 1024 * 512,
        "B*ceil(R/32)**2": 3 * 9 * 512**2 + 2 * 2048 * 512 + 3 * 512 * 2048 + 1024 * 2048,
        "B": 2048 * 1000,
    }
    (piece,) = form["pieces"]
    assert len(piece["verified"]) >= len(piece["terms"])


def test_resnet50_flops_are_piecewise_with_the_pools_padding(capsys):
    form = derive(capsys, "resnet50", "--vary", "batch,resolution", "-c", "other_flops")
    (pool,) = [t for t in form["pieces"][0]["terms"] if t["term"] == "B*ceil(R/2)*ceil(R/4)"]
    assert [o["module"] for o in pool["origins"]] == ["maxpool"]


def test_a_vit_in_its_patches(capsys):
    """T = (R/16)² + 1 tokens, 12 layers: 12·(12·E²·T + 2·E·T²) MAC, 3·16²·E a patch, the head 1000·E."""
    tokens = "((R/16)**2 + 1)"
    formula = f"B*(12*(12*E**2*{tokens} + 2*E*{tokens}**2) + 768*E*(R/16)**2 + 1000*E)"
    words = ("--vary", "batch,resolution=32..320:16", "-c", "macs", "--letters", "E=768", "--with", formula)
    assert derive(capsys, "vit_b_16", *words)["comparison"]["equal"]


def test_a_training_step_of_gpt2(capsys):
    """Backward multiplies twice as much as forward, and fused attention computes its scores there once more."""
    words = ("--vary", "batch,sequence=2..64", "--set", "layers=2", "-c", "contractions", "--letters", "E=768,V=50257")
    formula = "3*(2*(24*B*S*E**2 + 4*B*S**2*E) + 2*B*S*E*V) + 2*(2*B*S**2*E)"
    assert derive(capsys, "hf:gpt2", *words, "--train", "--with", formula)["comparison"]["equal"]


def test_the_whisper_encoder_in_its_frames(capsys, tmp_path, monkeypatch):
    """T frames are T/2 positions: convolutions 3·80·E·T and 3·E²·T/2, a layer 12·E²·T/2 + 2·E·(T/2)²."""
    (tmp_path / "whispering.py").write_text(
        "from transformers import WhisperConfig\n"
        "from transformers.models.whisper.modeling_whisper import WhisperEncoder\n"
        "def encoder(d_model=96, encoder_layers=2, max_source_positions=1500):\n"
        "    return WhisperEncoder(WhisperConfig(d_model=d_model, encoder_layers=encoder_layers,\n"
        "        encoder_attention_heads=6, encoder_ffn_dim=4 * d_model, max_source_positions=max_source_positions))\n"
    )
    monkeypatch.chdir(tmp_path)
    form = derive(
        capsys,
        "whispering.py:encoder",
        *("--vary", "batch,frames=100..600:2,d_model=48..192:12,encoder_layers=1..3", "-c", "macs"),
        *("-i", "input_features=batch,80,frames", "-s", "max_source_positions=frames/2"),
        *("--with", "B*(3*80*E*T + 3*E**2*T/2 + L*(6*E**2*T + E*T**2/2))"),
    )
    assert form["comparison"]["equal"]
