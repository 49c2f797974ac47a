"""Variables of a model's sizes: what they set, which sizes they take, and what is rejected."""

from __future__ import annotations

import json

import pytest

from profiler.errors import InputError, ProfilerError
from profiler.targets import build, make_inputs
from profiler.targets.registry import find_configurable_target
from profiler.targets.sized_target import SizedTarget
from profiler.targets.vary import parse_vary, variables

NETS = """
from torch import nn

class Net(nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        self.linear = nn.Linear(hidden, heads)
    def forward(self, x, mask=None):
        return self.linear(x)

def net(hidden=64, heads=4, rate=0.5, name="a"): return Net(hidden, heads)
def needs(hidden): return Net(hidden, 2)
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    (tmp_path / "sized_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    return "sized_nets.py"


def shapes(sized, point):
    target = sized.target(point)
    return {argument.name: argument.value.shape for argument in target.inputs}


def ranges(name, *words, **kwargs):
    options = parse_vary(words)
    names = tuple(option.name for option in options)
    return variables(options, SizedTarget(find_configurable_target(name), names, **kwargs))


def test_inputs_take_their_sizes():
    sized = SizedTarget(find_configurable_target("hf:t5-base"), ("batch", "sequence"))
    point = {"batch": 3, "sequence": 17}
    assert shapes(sized, point) == {"input_ids": (3, 17), "decoder_input_ids": (3, 17)}


def test_an_axis_of_one_input_has_a_name():
    sized = SizedTarget(find_configurable_target("hf:t5-base"), ("decoder_input_ids.1",))
    assert shapes(sized, {"decoder_input_ids.1": 5}) == {"input_ids": (1, 512), "decoder_input_ids": (1, 5)}


def test_a_resolution_is_both_sides_of_an_image():
    assert shapes(SizedTarget(find_configurable_target("resnet18"), ("resolution",)), {"resolution": 96}) == {
        None: (1, 3, 96, 96)
    }
    point = {"height": 96, "width": 64}
    assert shapes(SizedTarget(find_configurable_target("resnet18"), ("height", "width")), point) == {
        None: (1, 3, 96, 64)
    }


@pytest.mark.parametrize("name", ["vit_b_32", "hf:vit-l-14"])
def test_the_resolution_of_a_vit_is_also_that_of_its_positions(name):
    sized = SizedTarget(find_configurable_target(name), ("resolution",))
    assert list(sized.settings_at({"resolution": 112}).values()) == [112]


def test_the_fields_words_and_a_models_own_name_the_same_setting():
    family = find_configurable_target("hf:gpt2")
    assert (family.setting("hidden"), family.setting("layers"), family.setting("heads")) == (
        "n_embd",
        "n_layer",
        "n_head",
    )
    for word in ("hidden", "n_embd"):
        assert SizedTarget(family, (word,)).settings_at({word: 96}) == {"n_embd": 96}
        assert SizedTarget(family, (word,)).base == {word: 768}


def test_a_configuration_is_built_in_the_size_asked_for():
    sized = SizedTarget(find_configurable_target("hf:gpt2"), ("hidden", "layers", "vocab"))
    model = build(sized.target({"hidden": 24, "layers": 2, "vocab": 50}))
    # 12E² + 13E a layer, the embeddings of 50 tokens and 1024 positions, and the last norm
    assert sum(p.numel() for p in model.parameters()) == 2 * (12 * 24**2 + 13 * 24) + (50 + 1024) * 24 + 2 * 24


def test_a_configuration_file_has_sizes_too(tmp_path):
    path = tmp_path / "config.json"
    values = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 48, "n_layer": 1, "vocab_size": 90}
    path.write_text(json.dumps(values | {"n_head": 4, "n_positions": 16}))
    sized = SizedTarget(find_configurable_target(f"hf:{path}"), ("layers",))
    assert sized.base == {"layers": 1}
    small, large = (build(sized.target({"layers": n})) for n in (1, 3))
    assert len(large.transformer.h) == 3 * len(small.transformer.h)


def test_a_factory_has_the_sizes_of_its_parameters(nets):
    family = find_configurable_target(f"{nets}:net")
    assert family.settings == {"hidden": 64, "heads": 4}
    sized = SizedTarget(family, ("batch", "hidden"), ("x=batch,2*hidden/2",), ("heads=7",))
    model = build(sized.target({"batch": 3, "hidden": 10}))
    assert (model.linear.in_features, model.linear.out_features) == (10, 7)
    args, kwargs = make_inputs(sized.target({"batch": 3, "hidden": 10}), model)
    assert (args, kwargs["x"].shape) == ((), (3, 10))


def test_a_factory_may_need_what_is_varied(nets):
    sized = SizedTarget(find_configurable_target(f"{nets}:needs"), ("hidden",), ("4,hidden",))
    assert build(sized.target({"hidden": 6})).linear.in_features == 6
    assert shapes(sized, {"hidden": 6}) == {None: (4, 6)}


def test_integers_and_dtypes_of_inputs_are_said_or_guessed(nets):
    sized = SizedTarget(find_configurable_target(f"{nets}:net"), ("batch",), ("x=batch,64:float64", "mask=batch,1"))
    dtypes = {a.name: a.value.dtype for a in sized.target({"batch": 2}).inputs}
    assert dtypes == {"x": "float64", "mask": "int64"}


@pytest.mark.parametrize(
    ("words", "sizes"),
    [
        (["batch=2..9"], [range(2, 10)]),
        (["batch", "sequence"], [range(1, 9), range(2, 1025)]),
        (["hidden=64..512:64"], [range(64, 513, 64)]),
        (["hidden=64..512"], [range(72, 513, 24)]),  # twice the heads: 12·2
        (["layers"], [range(1, 13)]),
        (["heads"], [[1, 2, 3, 4, 6, 8, 12]]),  # the divisors of 768 up to 12
    ],
)
def test_ranges_are_as_asked_for_or_fit_the_model(words, sizes):
    assert [v.sizes for v in ranges("hf:gpt2", ",".join(words))] == sizes


def test_grouped_heads_are_a_multiple_of_their_groups():
    (heads,) = ranges("hf:llama-3.1-8b", "heads")
    assert heads.sizes == [8, 16, 32]


def test_letters_stand_for_sizes_and_never_for_two():
    assert [v.letter for v in ranges("hf:gpt2", "batch,sequence,n_embd")] == ["B", "S", "E"]
    assert [v.letter for v in ranges("hf:gpt2", "hidden,n_embd")] == ["hidden", "n_embd"]


@pytest.mark.parametrize(
    "word", ["", "batch=", "batch=8", "batch=8..2", "batch=1..1", "batch=0..4", "batch=1..4:0", "batch,batch", "a b"]
)
def test_ranges_that_mean_nothing_are_refused_in_a_line(word):
    with pytest.raises(InputError, match="--vary") as caught:
        parse_vary([word])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "names", "settings", "message"),
    [
        ("hf:gpt2", ("sequenze",), (), "no variable of hf:gpt2 named 'sequenze'; did you mean 'sequence'"),
        ("resnet18", ("hidden",), (), "no variable of resnet18 named 'hidden'"),
        ("hf:gpt2", ("batch",), ("wide=2",), "no setting of hf:gpt2 named 'wide'"),
        ("hf:gpt2", ("batch",), ("hidden",), "cannot read the setting 'hidden'"),
        ("hf:gpt2", ("batch",), ("hidden=batch/2",), "is 1/2 at batch=1"),
        ("hf:gpt2", ("batch",), ("hidden=sequence",), "unknown name 'sequence'"),
    ],
)
def test_sizes_that_a_model_does_not_have_are_refused(name, names, settings, message):
    sized = SizedTarget(find_configurable_target(name), names, (), settings)
    with pytest.raises(ProfilerError, match=message) as caught:
        sized.target(dict.fromkeys(sized.base, 1))
    assert caught.value.exit_status == 2
