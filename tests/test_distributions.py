"""The wheel and the source distribution hold the package with its data, and nothing else of the repository."""

from __future__ import annotations

import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
#: What the package reads at run time, each from a test of its own that it is there.
DATA = (
    "profiler/py.typed",
    "profiler/tally/profile.schema.json",
    "profiler/report/page/page.html.jinja",
    "profiler/report/page/style.css",
    "profiler/report/page/scripts/main.js",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    (path,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("sdist")), versions=["standard"])
    with tarfile.open(path) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def files_of_the_package():
    files = (path for path in (ROOT / "profiler").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(ROOT)) for path in files}


def test_both_hold_every_file_of_the_package(wheel, sdist):
    files = files_of_the_package()
    assert files.issuperset(DATA)
    assert sum(name.endswith(".toml") for name in files) > 10
    assert {name for name in wheel if name.startswith("profiler/")} == files
    assert {name for name in sdist if name.startswith("profiler/")} == files


def test_the_wheel_holds_nothing_else(wheel):
    assert {name.split("/")[0].partition("-")[0] for name in wheel} == {"profiler"}


def test_the_sdist_holds_what_builds_the_wheel_and_no_tests(sdist):
    others = {name.split("/")[0] for name in sdist}
    assert others == {"profiler", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore", "PKG-INFO"}


def test_the_wheel_says_what_it_needs_and_installs_the_command(wheel):
    described = {Path(name).name: text.decode() for name, text in wheel.items() if ".dist-info/" in name}
    metadata = described["METADATA"]
    assert "\nRequires-Python: >=3.11\n" in metadata
    assert "\nRequires-Dist: torch>=2.11\n" in metadata
    scripts = described["entry_points.txt"]
    assert "profiler = profiler.cli:main" in scripts
    assert "profiler = profiler.testing.plugin" in scripts


def test_the_versions_that_were_tested_are_named_for_all_that_is_required():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    tested = {
        canonicalize_name(name): version
        for name, _, version in (line.partition("==") for line in lines if "==" in line)
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    required = [line for line in map(Requirement, project["dependencies"] + extras) if line.name != "profiler"]
    assert len(required) > 20
    for line in required:
        assert line.specifier.contains(tested[canonicalize_name(line.name)]), line
