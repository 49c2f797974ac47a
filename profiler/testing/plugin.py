"""The pytest plugin, which limits what a model may cost in a test.

    @pytest.mark.flop_budget(macs=1_814_073_344, params="+0 %")
    def test_resnet_stays_cheap(profile_model):
        profile_model(resnet18(), torch.zeros(1, 3, 224, 224))

Pytest imports this file in every session of an environment that has the package installed, so it must stay light: torch
is imported by the first test that uses the fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

    from profiler.testing.fixture import Acceptances, ProfileModel

MARKER = "flop_budget"
_PROFILE_MODEL: pytest.StashKey[ProfileModel] = pytest.StashKey()
_ACCEPTED: pytest.StashKey[Acceptances] = pytest.StashKey()
_REPORT: pytest.StashKey[str] = pytest.StashKey()
_WORKER_OUTPUT = "profiler_acceptances"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option ``--profiler-update`` and the setting ``profiler_baselines``."""
    group = parser.getgroup("profiler", "cost of models")
    group.addoption(
        "--profiler-update",
        action="store_true",
        help="save the profiles of tests with relative limits as their new baselines",
    )
    parser.addini("profiler_baselines", "folder of the baselines, relative to the root directory", default="baselines")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(macs=…, params=…, peak_memory=…, phases=…, operators=…, modules=…): limits of what profile_model "
        "counts; each is a number, or a change from the baseline such as '+0 %'",
    )
    config.stash[_ACCEPTED] = []


@pytest.fixture
def profile_model(request: pytest.FixtureRequest) -> ProfileModel:
    """Count one forward pass: ``profile_model(model, *args, **kwargs)`` returns its profile.

    In a test marked ``flop_budget``, the test fails if a profile exceeds a limit.
    """
    from profiler.testing.fixture import ProfileModel  # noqa: PLC0415 - it imports torch

    config = request.config
    marker = request.node.get_closest_marker(MARKER)
    if marker is not None and marker.args:
        pytest.fail(f"{MARKER} takes limits by name, as in {MARKER}(macs=1000)", pytrace=False)
    fixture = ProfileModel(
        name="::".join(request.node.location[::2]),  # pytest-xdist may append to the node's id
        limits=None if marker is None else marker.kwargs,
        folder=config.rootpath / str(config.getini("profiler_baselines")),
        accepted=config.stash[_ACCEPTED] if config.getoption("profiler_update") else None,
    )
    request.node.stash[_PROFILE_MODEL] = fixture
    return fixture


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Fail a marked test that counted nothing: its limits would pass for ever."""
    result = yield
    if pyfuncitem.get_closest_marker(MARKER) is not None:
        fixture = pyfuncitem.stash.get(_PROFILE_MODEL, None)
        if fixture is None or not fixture.profiles:
            pytest.fail(f"the test is marked {MARKER} but profiled nothing; call profile_model in it", pytrace=False)
    return result


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:  # noqa: ARG001 - the hook's own names
    """Collect the new baselines of a worker of pytest-xdist; only the controller writes files."""
    output: dict[str, Acceptances] = getattr(node, "workeroutput", None) or {}
    node.config.stash[_ACCEPTED].extend(output.get(_WORKER_OUTPUT, []))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the new baselines; in a worker of pytest-xdist, send them to the controller."""
    config = session.config
    accepted = config.stash.get(_ACCEPTED, [])
    output: dict[str, Any] | None = getattr(config, "workeroutput", None)
    if output is not None:
        output[_WORKER_OUTPUT] = accepted
    elif accepted:
        from profiler.testing.fixture import write_baselines  # noqa: PLC0415 - it imports torch

        folder = config.rootpath / str(config.getini("profiler_baselines"))
        config.stash[_REPORT], failed = write_baselines(folder, accepted)
        if failed:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show which baselines are new, and how they differ from the old ones."""
    report = terminalreporter.config.stash.get(_REPORT, "")
    if report:
        terminalreporter.section("profiler baselines")
        terminalreporter.write_line(report)
