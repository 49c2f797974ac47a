"""The presets: published configurations, which build without a network and run."""

from __future__ import annotations

import socket
import subprocess
import sys
import textwrap
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from targets.published import DERIVED, PUBLISHED

import profiler
from profiler.errors import TargetError
from profiler.run.count_target import count_target
from profiler.run.runner import Runner
from profiler.targets import build, make_inputs, resolve
from profiler.targets.configurable import SETTING_NAMES
from profiler.targets.presets import all_presets, find_preset, read_presets
from profiler.targets.registry import find_configurable_target

PRESETS = all_presets()
A_FEW = {"gpt2", "bert-base", "llama-7b", "mixtral-8x7b", "t5-base", "whisper-tiny", "hifigan-22k"}
NAMES = [name if name in A_FEW else pytest.param(name, marks=pytest.mark.slow) for name in PRESETS]
LAYERS = {*SETTING_NAMES["layers"], "decoder_layers", "num_decoder_layers"}
COUNTS = {name: count for name, (count, _) in (PUBLISHED | DERIVED).items()}


@pytest.fixture
def _no_network(monkeypatch):
    def refuse(*_args, **_kwargs):
        msg = "the network was used"
        raise AssertionError(msg)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_every_preset_has_its_count_in_the_table():
    assert set(PRESETS) == set(COUNTS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("_no_network")
def test_parameters_are_as_many_as_are_published(name):
    module = build(resolve(f"hf:{name}"))
    assert all(tensor.is_meta for tensor in [*module.parameters(), *module.buffers()])
    assert sum(p.numel() for p in module.parameters()) == COUNTS[name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("_no_network")
def test_a_preset_runs_and_nothing_is_uncounted(name):
    profile = count_target(f"hf:{name}")
    assert profile.uncounted == ()
    assert profile.totals.params == COUNTS[name]
    assert profile.totals.macs > 0


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.usefixtures("_no_network")
def test_a_preset_of_one_layer_runs(name):
    model = find_configurable_target(f"hf:{name}")
    layers = [key for key in model.settings if key.rpartition(".")[2] in LAYERS]
    profile = Runner()(model.make(dict.fromkeys(layers, 1)))
    assert profile.uncounted == ()
    assert profile.totals.macs > 0


# 2 · MACs, as published in the models' papers and in issues of other counters.
@pytest.mark.parametrize(
    ("name", "spec", "flops"),
    [("gpt2", "input_ids=1x1024", 291_648_307_200), ("llama-7b", "input_ids=1x32", 423_389_822_976)],
)
def test_known_numbers_of_operations(name, spec, flops):
    target = resolve(f"hf:{name}")
    module = build(target)
    args, kwargs = make_inputs(target, module, [spec])
    with torch.no_grad():
        assert 2 * profiler.count(module, *args, **kwargs).totals.macs == flops


def test_fastspeech2_speaks_as_long_as_its_note_says():
    """30 phonemes of 8 frames are 240 frames of 80 mels, whatever the random weights are."""
    target = resolve("hf:fastspeech2")
    module = build(target, device="cpu")
    args, kwargs = make_inputs(target, module, device="cpu")
    with torch.no_grad():
        assert module(*args, **kwargs).spectrogram.shape == (1, 240, 80)
    assert "8 mel frames each" in target.note
    assert target.prefers == "cpu"


def test_building_leaves_the_preset_as_it_is():
    before = deepcopy(PRESETS["llama-3.1-8b"])
    build(resolve("hf:llama-3.1-8b"))
    assert find_preset("llama-3.1-8b") == before


@pytest.mark.parametrize(("name", "rate"), [("hifigan-16k", 16_000), ("hifigan-22k", 22_050)])
def test_a_vocoders_default_input_is_one_second(name, rate):
    target = resolve(f"hf:{name}")
    (waveform,) = build(target)(**make_inputs(target, build(target))[1])
    assert 0 <= len(waveform) - rate < 256  # no more than a frame over


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("qwen", "qwen2.5-7b"), ("gemma", "gemma-7b"), ("phi", "phi-2"), ("mamba", "mamba-130m"),
        ("hifigan", "hifigan-22k"),
    ],
)  # fmt: skip
def test_an_alias_is_its_preset(alias, name):
    assert find_preset(alias) is PRESETS[name]


def test_no_alias_stands_for_two_presets_or_hides_one():
    named = [name for key, preset in PRESETS.items() for name in (key, *preset.aliases)]
    assert len(named) == len(set(named))


@pytest.mark.parametrize("name", [*PRESETS])
def test_every_preset_says_where_its_configuration_was_published(name):
    assert PRESETS[name].source.startswith("https://")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a", "bad.toml is not TOML ("),
        ("[a]\nclass = 'A'\nsource = 's'\ninputs = {}\n", "bad.toml is not a valid preset file: a.configuration: "),
        (
            "[a]\nclass = 'A'\nsource = 's'\ninputs = {}\nconfiguration = {}\nmodell = 1\n",
            "bad.toml is not a valid preset file: a.modell: ",
        ),
        (
            "[a]\nclass = 'A'\nsource = 's'\nconfiguration = {}\ninputs.x = { shape = ['one'] }\n",
            "bad.toml is not a valid preset file: a.inputs.x.shape.0: ",
        ),
    ],
)
def test_a_file_that_holds_no_presets_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(TargetError) as caught:
        read_presets(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc exists on Linux only")
def test_llama_405b_at_8192_tokens_takes_seconds_and_less_than_one_and_a_half_gigabytes():
    """Run in a process of its own, whose peak memory is measured: imports, construction and the run.

    VmHWM starts with the process; ``getrusage`` would include the peak of the parent process.
    """
    script = """
        from pathlib import Path
        import profiler
        from profiler.targets import build, make_inputs, resolve

        target = resolve("hf:llama-3.1-405b")
        module = build(target)
        args, kwargs = make_inputs(target, module, ["input_ids=1x8192"])
        print(profiler.count(module, *args, **kwargs).totals.macs)
        print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, timeout=120
    )
    macs, memory = map(int, done.stdout.split())
    width, tokens, layers = 16384, 8192, 126
    # A layer: Q and O of d², K and V of d · 1024, three of d · 53248; scores and values of T² · d each. Then the head.
    layer = tokens * (2 * width**2 + 2 * width * 1024 + 3 * width * 53248) + 2 * tokens**2 * width
    assert macs == layers * layer + tokens * width * 128_256
    assert 1024 * memory < 1.5e9
