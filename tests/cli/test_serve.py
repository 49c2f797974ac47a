"""``serve``: a language model in service, against sums by hand."""

from __future__ import annotations

import json

import pytest
from cli.command import run

GPT2 = ("serve", "hf:gpt2", "--users", "4", "--context", "512", "--output-tokens", "256", "--quiet")
#: Parameters of GPT-2; keys and values of a token: 2 · 12 layers · 768.
WEIGHTS, TOKEN = 124_439_808, 2 * 12 * 768


def plans(capsys, *words):
    status, out, _ = run(capsys, *words, "--format", "json")
    assert status == 0
    return json.loads(out)["plans"]


def test_weights_and_cache_in_their_precisions(capsys):
    (plan,) = plans(capsys, *GPT2, "--on", "l4", "--precision", "bf16")
    assert plan["weights"]["value"] == 2 * WEIGHTS
    assert plan["kv_cache"]["value"] == 4 * (512 + 256) * TOKEN * 2
    (narrow,) = plans(capsys, *GPT2, "--on", "l4", "--precision", "int4-weights", "--kv-precision", "fp8")
    assert narrow["weights"]["value"] == WEIGHTS // 2
    assert narrow["kv_cache"]["value"] == 4 * (512 + 256) * TOKEN
    assert narrow["token_s"]["value"] < plan["token_s"]["value"]


def test_the_memory_is_what_is_used_and_what_is_left(capsys):
    (plan,) = plans(capsys, *GPT2, "--on", "l4", "--precision", "bf16")
    usable = int(24 * 2**30 * 46068 / 49152)
    used = sum(plan[name]["value"] for name in ("weights", "kv_cache", "workspace"))
    assert plan["free"]["value"] == pytest.approx(usable - used, abs=2)
    cache = (512 + 256) * TOKEN * 2
    room = usable - plan["weights"]["value"] - plan["workspace"]["value"]
    assert plan["largest_users"]["value"] == room // cache
    assert plan["longest_context"]["value"] == room // (4 * TOKEN * 2) - 256


def test_rates_of_each_user_and_of_all(capsys):
    (plan,) = plans(capsys, *GPT2, "--on", "l4", "--precision", "bf16", "--price-per-hour", "3.6")
    assert plan["tokens_per_s_per_user"]["value"] == pytest.approx(1 / plan["token_s"]["value"])
    assert plan["tokens_per_s"]["value"] == pytest.approx(4 / plan["token_s"]["value"])
    assert plan["price_per_million_tokens"]["value"] == pytest.approx(1e3 / plan["tokens_per_s"]["value"])


def test_a_step_reads_weights_and_caches_and_little_more(capsys):
    """L4: 300 GB/s of which 0.69 are reached for weights; caches of 640 tokens, of which no byte is moved elsewhere."""
    (plan,) = plans(capsys, *GPT2, "--on", "l4", "--precision", "bf16")
    weights_s, cache_s = 2 * WEIGHTS / 0.69 / 300e9, 4 * 640 * TOKEN * 2 / 300e9
    assert weights_s < plan["token_s"]["value"] < 2 * (weights_s + cache_s)


def test_the_ranges_are_those_of_the_passes_around_the_estimates(capsys):
    """An FP8 cache makes a step shorter, and both ends of its range by the same factor."""
    (plan,) = plans(capsys, *GPT2, "--on", "l4", "--precision", "bf16")
    (narrow,) = plans(capsys, *GPT2, "--on", "l4", "--precision", "bf16", "--kv-precision", "fp8")
    for name in ("first_token", "token"):
        low, high = plan[f"{name}_range_s"]
        assert low < plan[f"{name}_s"]["value"] < high
    shorter = narrow["token_s"]["value"] / plan["token_s"]["value"]
    assert shorter < 1
    assert narrow["token_range_s"] == pytest.approx([shorter * end for end in plan["token_range_s"]])


def test_a_step_of_grouped_heads_reads_each_head_once(capsys):
    """Llama 3.1 8B: 8 key-value heads of 128 in 32 layers; its cache is not copied for the 32 heads of the queries."""
    words = ("serve", "hf:llama-3.1-8b", "--users", "2", "--context", "1000", "--output-tokens", "48", "--quiet")
    (plan,) = plans(capsys, *words, "--on", "h100-sxm", "--precision", "bf16")
    assert plan["kv_cache"]["value"] == 2 * 1048 * 2 * 8 * 128 * 32 * 2


def test_several_devices_are_side_by_side(capsys):
    status, out, _ = run(capsys, *GPT2, "--on", "l4, rtx-4090", "--precision", "bf16")
    assert status == 0
    assert out.splitlines()[0].startswith("hf:gpt2: 4 users at once")
    assert all(len([line for line in out.splitlines() if line.startswith(name)]) == 2 for name in ("l4 ", "rtx-4090"))


def test_what_does_not_fit_is_seen(capsys):
    words = ("serve", "hf:llama-7b", "--users", "8", "--context", "64", "--on", "rtx-3080", "--quiet")
    status, out, err = run(capsys, *words, "--precision", "bf16", "--strict")
    assert status == 1
    assert "lacks" in out
    assert "does" in out.split("per 10⁶ tokens")[1]
    assert "fits no device" in err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("hf:gpt2", "--on", "l4", "--users", "0"), "write 1 or more"),
        (("hf:gpt2", "--on", "l4,nonsense"), "nonsense"),
        (("resnet18", "--on", "l4"), "input_ids"),
        (("hf:gpt2", "--on", "l4", "--price-per-hour", "-1"), "price"),
        (("hf:gpt2", "--on", "l4", "--precision", "fp4"), "fp4"),
    ],
)
def test_what_cannot_be_served_is_one_line(capsys, words, part):
    status, out, err = run(capsys, "serve", *words, "--quiet")
    assert (status, out) == (2, "")
    assert part in err
    assert len(err.splitlines()) == 1
