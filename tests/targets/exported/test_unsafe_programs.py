"""Exported programs that run code when torch loads or runs them: each attack works on torch, and is refused here."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import TargetError
from profiler.targets import Permissions, build, make_inputs, permit, resolve

PWNED = "PWNED"


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x, scale):
        return self.fc(x) * scale["by"]


class Touch:
    """Creates a file when it is unpickled."""

    def __reduce__(self):
        return os.system, (f"touch {PWNED}",)


@pytest.fixture
def records(tmp_path, monkeypatch):
    """Return the records of an exported program with a batch of any size, by their full names in the archive."""
    monkeypatch.chdir(tmp_path)
    dynamic = {"x": {0: torch.export.Dim.AUTO}, "scale": {"by": None}}
    program = torch.export.export(Net(), (torch.zeros(3, 4), {"by": torch.ones(4)}), dynamic_shapes=dynamic)
    torch.export.save(program, "net.pt2")
    with zipfile.ZipFile("net.pt2") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(records, name="evil.pt2"):
    with zipfile.ZipFile(name, "w") as archive:
        for record, data in records.items():
            archive.writestr(record, data)
    return name


def with_json(records, ending, change):
    """Return the records after *change* was called with the parsed JSON of the one whose name has the ending."""
    name = next(name for name in records if name.endswith(ending))
    value = json.loads(records[name])
    change(value)
    return records | {name: json.dumps(value).encode()}


def with_program(records, change):
    return with_json(records, "models/model.json", change)


def pickled(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def replace_record(records, part, data):
    return {name: data if part in name else old for name, old in records.items()}


def nodes(program):
    return program["graph_module"]["graph"]["nodes"]


def in_sample_inputs(records):
    return replace_record(records, "sample_inputs", pickled(Touch()))


def in_nested_sample_inputs(records):
    return replace_record(records, "sample_inputs", pickled(((torch.zeros(3, 4), {"by": [Touch()]}), {})))


def in_a_weight(records):
    def change(table):
        row = next(iter(table["config"].values()))
        row["use_pickle"] = True
        records[next(n for n in records if n.endswith(row["path_name"]))] = pickled(Touch())

    return with_json(records, "model_weights_config.json", change) | {
        n: d for n, d in records.items() if "weight_" in n and not n.endswith("json")
    }


def in_an_expression(records):
    evil = f"__import__('os').system('touch {PWNED}')"

    def change(program):
        text = json.dumps(program["graph_module"]["graph"]["tensor_values"])
        shape = next(s for v in json.loads(text).values() for s in v["sizes"] if "as_expr" in s)
        old = json.dumps(shape["as_expr"]["expr_str"])
        program["graph_module"]["graph"]["tensor_values"] = json.loads(text.replace(old, json.dumps(evil)))

    return with_program(records, change)


def as_an_operator_that_creates_a_file(records):
    def change(program):
        arguments = {"filename": {"as_string": PWNED}, "shared": {"as_bool": True}, "size": {"as_int": 4}}
        nodes(program)[0] |= {
            "target": "torch.ops.aten.from_file.default",
            "inputs": [{"name": name, "arg": value, "kind": 1} for name, value in arguments.items()],
        }

    return with_program(records, change)


def as_a_name(records):
    def change(program):
        evil = f"scale_by=__import__('os').system('touch {PWNED}')"
        program.update(json.loads(json.dumps(program).replace('"scale_by"', json.dumps(evil))))

    return with_program(records, change)


def as_a_tree_of_defaults(records):
    Path("evil_module.py").write_text(f"open({PWNED!r}, 'w')\ndef factory(): ...\n")

    def change(program):
        context = {
            "default_factory_module": "evil_module",
            "default_factory_name": "factory",
            "dict_context": ["by"],
        }
        _, tree = json.loads(program["graph_module"]["module_call_graph"][0]["signature"]["in_spec"])
        positional = tree["children_spec"][0]
        positional["children_spec"][1] |= {"type": "collections.defaultdict", "context": context}
        program["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = json.dumps([1, tree])

    return with_program(records, change)


def as_a_tree_of_enumerations(records):
    Path("evil_module.py").write_text(f"open({PWNED!r}, 'w')\nimport enum\nclass E(enum.Enum):\n    by = 1\n")

    def change(program):
        _, tree = json.loads(program["graph_module"]["module_call_graph"][0]["signature"]["in_spec"])
        inner = tree["children_spec"][0]["children_spec"][1]
        inner["context"] = '[{"\\u005f_enum__": true, "fqn": "evil_module:E", "name": "by"}]'
        program["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = json.dumps([1, tree])

    return with_program(records, change)


ATTACKS = [
    in_sample_inputs,
    in_nested_sample_inputs,
    in_a_weight,
    in_an_expression,
    as_an_operator_that_creates_a_file,
    as_a_name,
    as_a_tree_of_defaults,
    as_a_tree_of_enumerations,
]


def load_and_run(name):
    """Do what a profile does, and let the model fail."""
    target = resolve(name)
    module = build(target, device="cpu")
    args, kwargs = make_inputs(target, module, device="cpu")
    module(*args, **kwargs)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_code_is_refused_in_one_line_before_torch_loads_it(attack, records, monkeypatch):
    monkeypatch.syspath_prepend(Path.cwd())
    name = write(attack(records))
    with pytest.raises(TargetError) as caught:
        load_and_run(name)
    assert str(caught.value).startswith("evil.pt2 could run code when it is loaded: ")
    assert str(caught.value).endswith("if you trust its author, add --trust")
    assert "\n" not in str(caught.value)
    assert not Path(PWNED).exists()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_the_attack_is_one_that_works_on_torch(attack, records, monkeypatch):
    monkeypatch.syspath_prepend(Path.cwd())
    sys.modules.pop("evil_module", None)
    name = write(attack(records))
    with permit(Permissions(trust=True)):
        try:
            load_and_run(name)
        except profiler.errors.ProfilerError:
            pass
        except Exception:  # noqa: BLE001, S110 - what the model does then is of no interest
            pass
    assert Path(PWNED).exists()


@pytest.mark.parametrize(
    "record", ["data/aotinductor/model/model.so", "data/constants/net.bin", "data/sample_inputs/model.pkl"]
)
def test_a_record_that_no_exported_program_has_is_refused(record, records):
    root = next(iter(records)).partition("/")[0]
    with pytest.raises(TargetError, match="could run code when it is loaded"):
        resolve(write(records | {f"{root}/{record}": b"x"}))


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system",
        "torch.hub.load",
        "torch.ops.load_library",
        "torch.ops.import_module",
        "torch.ops.higher_order.print",
        "torch.ops.aten.add.__class__",
        "_operator.methodcaller",
        "math.factorial",
        "os.system",
        "#evil:op",
    ],
)
def test_a_function_that_is_no_operator_is_refused(target, records):
    def change(program):
        nodes(program)[0]["target"] = target

    with pytest.raises(TargetError, match="not a torch operator that is known to be safe here"):
        resolve(write(with_program(records, change)))


def test_records_beside_the_root_folder_are_refused(records):
    with pytest.raises(TargetError):
        resolve(write(records | {"version": b"8.1", "serialized_constants.pt": pickled(Touch())}))
    assert not Path(PWNED).exists()


def old_archive(records, **changes):
    """Write an archive as torch 2.7 did, from the program in *records*."""
    from torch._export.serde.schema import SCHEMA_VERSION

    one = {name.partition("/")[2]: data for name, data in records.items()}
    program = {
        "version": ".".join(map(str, SCHEMA_VERSION)).encode(),
        "serialized_exported_program.json": one["models/model.json"],
        "serialized_state_dict.pt": pickled(
            {f"fc.{name}": value for name, value in nn.Linear(4, 4).named_parameters()}
        ),
        "serialized_constants.pt": pickled({}),
        "serialized_example_inputs.pt": one["data/sample_inputs/model.pt"],
    }
    return write(program | changes, "old.pt2")


def test_an_archive_of_torch_2_7_is_loaded(records):
    load_and_run(old_archive(records))


@pytest.mark.parametrize("part", ["state_dict", "constants", "example_inputs"])
def test_an_archive_of_torch_2_7_with_pickled_objects_is_refused(part, records):
    with pytest.raises(TargetError, match=rf"serialized_{part}\.pt' contains pickled objects \(posix\.system\)"):
        resolve(old_archive(records, **{f"serialized_{part}.pt": pickled(Touch())}))


def test_a_program_without_code_is_loaded_from_a_rewritten_archive(records):
    load_and_run(write(records))


def test_guards_are_not_run(records):
    def change(program):
        program["guards_code"] = [f"__import__('os').system('touch {PWNED}')"]

    load_and_run(write(with_program(records, change)))
    assert not Path(PWNED).exists()


def test_the_command_refuses_it_and_logs_nothing(records):
    name = write(in_sample_inputs(records))
    command = [sys.executable, "-m", "profiler", name]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
    assert "(posix.system)" in result.stderr
    assert not Path(PWNED).exists()
    trusted = subprocess.run([*command, "--trust"], capture_output=True, text=True, check=False)
    assert Path(PWNED).exists()
    assert len(trusted.stderr.splitlines()) == 1


def test_loggers_of_torch_are_silent_and_stay_as_they_were(records, caplog):
    before = logging.root.manager.disable
    with pytest.raises(TargetError):
        resolve(write(replace_record(records, "models/", b'{"graph_module": 1}')))
    assert caplog.records == []
    assert logging.root.manager.disable == before


@pytest.mark.parametrize("suffix", ["pt", "ts"])
def test_a_scripted_module_that_writes_files_is_refused(suffix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    class Writes(nn.Module):
        def forward(self, x):
            torch.save(x, "written")
            return x

    name = f"writes.{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates its own format
        torch.jit.script(Writes()).save(name)
    with pytest.raises(TargetError, match="could write files when it runs"):
        resolve(name)


@pytest.mark.parametrize("suffix", ["pt2", "pt", "ts"])
def test_a_pickle_is_no_program(suffix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(f"evil.{suffix}").write_bytes(pickled(Touch()))
    with pytest.raises(TargetError) as caught:
        resolve(f"evil.{suffix}")
    assert "\n" not in str(caught.value)
    assert not Path(PWNED).exists()
