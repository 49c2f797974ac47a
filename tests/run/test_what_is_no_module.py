"""What is no module is refused in words that say what to pass; optimizers can be named; a model's own methods rest."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import InputError, ProfilerError


class Pipeline:
    def __init__(self):
        self.unet = nn.Linear(8, 8)
        self.steps = 4

    def __call__(self, x):
        return self.unet(x)


@pytest.mark.parametrize("call", [profiler.count, profiler.count_step, profiler.measure, profiler.profile])
@pytest.mark.parametrize(
    ("model", "part"),
    [
        ("resnet18", "the text 'resnet18' is no nn.Module; build the model and pass it"),
        (nn.functional.relu, "the function relu is no nn.Module; call it in `with profiler.profile() as p:`"),
        (Pipeline(), "a Pipeline is no nn.Module; pass its `unet`"),
        (nn.Linear, "the class Linear is no nn.Module; pass an instance, Linear(...)"),
        (7, "a int is no nn.Module"),
        (nn.Linear(2, 2).state_dict(), "a OrderedDict is no nn.Module"),
    ],
)
def test_what_is_no_module_is_refused_in_words(call, model, part):
    with pytest.raises(InputError) as caught:
        call(model) if call is profiler.profile else call(model, torch.ones(1, 8))
    assert str(caught.value).startswith(part)


def test_an_optimizer_can_be_named_as_on_the_command_line():
    model, x = nn.Linear(8, 4), torch.ones(2, 8)
    named = profiler.count_step(model, x, optimizer="AdamW")
    made = profiler.count_step(model, x, optimizer=torch.optim.AdamW(model.parameters()))
    assert named.phases["optimizer"] == made.phases["optimizer"]
    assert named.phases["optimizer"].other_flops > 0


@pytest.mark.parametrize(
    ("optimizer", "part"),
    [
        ("adamm", "no optimizer named 'adamm'; did you mean 'adam'"),
        ("lbfgs", "LBFGS evaluates the model several times in a step"),
        ("muon", "Muon cannot optimize this model"),
        (torch.optim.SGD, "the optimizer is 'SGD'; pass an instance"),
        (7, "the optimizer is 'int'; pass an instance"),
    ],
)
def test_an_optimizer_that_cannot_step_is_refused_in_words(optimizer, part):
    with pytest.raises(ProfilerError) as caught:
        profiler.count_step(nn.Linear(8, 4), torch.ones(2, 8), optimizer=optimizer)
    assert str(caught.value).startswith(part)


class Wrapper(nn.Module):
    """A wrapper whose ``train`` is its training loop, as that of ultralytics' YOLO was."""

    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout())
        self.trained = 0

    def train(self, mode=True, **settings):
        self.trained += 1
        return self

    def eval(self):
        return self.train(False)

    def forward(self, x):
        assert not self.model[1].training
        return self.model(x)


def test_comparing_never_calls_a_models_own_train_or_eval():
    model = Wrapper()
    model.model[1].training = False
    with profiler.profile(model) as p:
        model(torch.ones(1, 3, 8, 8))
    model.model[1].training = True
    p.compare("flop_counter")
    assert model.trained == 0
    assert model.model[1].training
