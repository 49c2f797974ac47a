"""The pytest plugin: a test holds a model's cost.

    @pytest.mark.flop_budget(macs=1_814_073_344, params="+0 %")
    def test_resnet_stays_cheap(profile_model):
        profile_model(resnet18(), torch.zeros(1, 3, 224, 224))

Every session of an environment that has the package imports this file; torch is imported by the first test that counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

    from profiler.testing.fixture import Acceptances, ProfileModel

MARKER = "flop_budget"
_HOLDING: pytest.StashKey[ProfileModel] = pytest.StashKey()
_ACCEPTED: pytest.StashKey[Acceptances] = pytest.StashKey()
_REPORT: pytest.StashKey[str] = pytest.StashKey()
_WORKER_OUTPUT = "profiler_acceptances"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--profiler-update`` and the folder of the baselines."""
    group = parser.getgroup("profiler", "what models cost")
    group.addoption(
        "--profiler-update",
        action="store_true",
        help="accept what the tests with relative limits measure as their new baselines",
    )
    parser.addini("profiler_baselines", "folder of the baselines, relative to the root", default="baselines")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(macs=…, params=…, peak_memory=…, phases=…, operators=…, modules=…): what profile_model may measure; "
        "a number, or a change against the baseline such as '+0 %'",
    )
    config.stash[_ACCEPTED] = []


@pytest.fixture
def profile_model(request: pytest.FixtureRequest) -> ProfileModel:
    """Count one forward pass: ``profile_model(model, *args, **kwargs)`` gives its profile.

    In a test that is marked ``flop_budget``, each profile is held against its limits.
    """
    from profiler.testing.fixture import ProfileModel  # noqa: PLC0415 - it imports torch

    config = request.config
    marker = request.node.get_closest_marker(MARKER)
    if marker is not None and marker.args:
        pytest.fail(f"{MARKER} takes limits by name, as in {MARKER}(macs=1000)", pytrace=False)
    holding = ProfileModel(
        name="::".join(request.node.location[::2]),  # the node's id may have a mark of pytest-xdist
        limits=None if marker is None else marker.kwargs,
        folder=config.rootpath / str(config.getini("profiler_baselines")),
        accepted=config.stash[_ACCEPTED] if config.getoption("profiler_update") else None,
    )
    request.node.stash[_HOLDING] = holding
    return holding


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Fail a marked test that counts nothing: a limit that holds nothing would pass for ever."""
    result = yield
    if pyfuncitem.get_closest_marker(MARKER) is not None:
        holding = pyfuncitem.stash.get(_HOLDING, None)
        if holding is None or not holding.profiles:
            pytest.fail(f"the test is marked {MARKER} and profiled nothing; call profile_model in it", pytrace=False)
    return result


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:  # noqa: ARG001 - the hook's own names
    """Collect what a worker of pytest-xdist accepted; only the controller writes."""
    output: dict[str, Acceptances] = getattr(node, "workeroutput", None) or {}
    node.config.stash[_ACCEPTED].extend(output.get(_WORKER_OUTPUT, []))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the accepted baselines, or hand them to the controller."""
    config = session.config
    accepted = config.stash.get(_ACCEPTED, [])
    output: dict[str, Any] | None = getattr(config, "workeroutput", None)
    if output is not None:
        output[_WORKER_OUTPUT] = accepted
    elif accepted:
        from profiler.testing.fixture import write  # noqa: PLC0415 - it imports torch

        config.stash[_REPORT], failed = write(config.rootpath / str(config.getini("profiler_baselines")), accepted)
        if failed:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was accepted."""
    report = terminalreporter.config.stash.get(_REPORT, "")
    if report:
        terminalreporter.section("profiler baselines")
        terminalreporter.write_line(report)
