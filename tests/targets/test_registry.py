"""Resolving names to targets through the registry of sources."""

from __future__ import annotations

import pytest

from profiler.errors import InstallationError, TargetError, UnknownNameError
from profiler.targets import list_targets, optional_imports, registry, resolve
from profiler.targets.registry import Source
from profiler.targets.target import Target


@pytest.mark.parametrize("name", ["resnet18", "torchvision:resnet18", "timm:resnet18", "hf:gpt2"])
def test_a_target_has_the_name_that_it_was_asked_for_by(name):
    assert resolve(name).name == name


def test_every_source_that_has_names_lists_them_as_they_are_written():
    names = list_targets()
    assert {"resnet18", "timm:resnet18", "hf:gpt2", "hf:qwen"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnt18", "no torchvision model named 'resnt18'; did you mean 'resnet18'"),
        ("gpt2", "no torchvision model named 'gpt2'; did you mean 'hf:gpt2'?"),
        ("torchvision:resnt18", "no torchvision model named 'resnt18'; did you mean 'resnet18'"),
        ("timm:resnett18", "no timm model named 'resnett18'; did you mean 'resnet18'"),
        ("timm:resnet18.none", "no timm model named 'resnet18.none'; did you mean 'resnet18."),
        ("timm:hf-hub:some/repository", "no timm model named 'hf-hub:some/repository'; "),
        ("hf:gtp2", "no preset named 'gtp2'; did you mean 'gpt2'?"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, message):
    with pytest.raises(UnknownNameError) as caught:
        resolve(name)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", ["", "some/path", "a b", "model.onnx/", "résumé!"])
def test_what_has_the_form_of_no_target_is_answered_with_the_forms(name):
    with pytest.raises(TargetError) as caught:
        resolve(name)
    assert str(caught.value) == (
        f"cannot read the target {name!r}; "
        "write resnet18, timm:NAME, hf:NAME, module:factory, file.py:factory or a .pt2 file"
    )


def test_a_source_is_added_by_registering_it(monkeypatch):
    resolve("resnet18")
    monkeypatch.setattr(registry, "_SOURCES", catalogue := list(registry._SOURCES))
    monkeypatch.setattr(registry, "_load", lambda: catalogue)
    registry.register(Source(lambda name: Target(name, list), "zoo", names=lambda: ["zoo:lion"]))
    assert resolve("zoo:lion").construct is list
    assert "zoo:lion" in list_targets()


def test_a_source_that_is_not_installed_has_no_names(monkeypatch):
    monkeypatch.setattr(optional_imports, "import_module", missing("timm"))
    assert not [name for name in list_targets() if name.startswith("timm:")]
    assert "hf:gpt2" in list_targets()


def missing(*packages):
    def import_module(name):
        if name.partition(".")[0] in packages:
            msg = f"No module named {name!r}"
            raise ModuleNotFoundError(msg, name=name.partition(".")[0])
        return __import__("importlib").import_module(name)

    return import_module


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:resnet18", "timm is not installed; pip install 'profiler[hf]'"),
        ("hf:gpt2", "transformers is not installed; pip install 'profiler[hf]'"),
        (
            "resnet18",
            "torchvision is not installed; pip install --upgrade --force-reinstall torch torchvision",
        ),
    ],
)
def test_a_missing_package_is_named_with_its_cure(monkeypatch, name, message):
    monkeypatch.setattr(optional_imports, "import_module", missing("timm", "transformers", "torchvision"))
    with pytest.raises(InstallationError) as caught:
        resolve(name).construct()
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["resnet18", "torchvision:resnet18", "timm:resnet18"])
def test_a_torchvision_that_does_not_match_torch_is_named_with_its_cure(monkeypatch, name):
    def import_module(_name):
        msg = "operator torchvision::nms does not exist"
        raise RuntimeError(msg)

    monkeypatch.setattr(optional_imports, "import_module", import_module)
    with pytest.raises(InstallationError) as caught:
        resolve(name)
    assert str(caught.value) == (
        "torchvision does not fit this torch (RuntimeError: operator torchvision::nms does not exist); "
        "pip install --upgrade --force-reinstall torch torchvision"
    )
