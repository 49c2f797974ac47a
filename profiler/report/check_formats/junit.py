"""The results of ``profiler check`` as JUnit XML, which every CI service shows."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from profiler.escaping import xml
from profiler.guard import Outcome
from profiler.report.checks import CHECK_FORMATS, CheckReport, explain, where_text

if TYPE_CHECKING:
    from profiler.errors import ProfilerError
    from profiler.guard import Check


@CHECK_FORMATS.register("junit")
def to_junit(report: CheckReport) -> str:
    """Write a file of budgets as one test suite, with a test case for each limit."""
    root = ET.Element("testsuites")
    suite = ET.SubElement(root, "testsuite", name=xml(report.source))
    for name, outcome in report.outcomes.items():
        _add(suite, name, outcome)
    for word, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
        suite.set(word, str(len(list(suite.iter(tag)))))
    ET.indent(root, " ")
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _add(suite: ET.Element, name: str, outcome: Outcome | ProfilerError) -> None:
    if isinstance(outcome, Outcome):
        for check in outcome.checks:
            _add_check(suite, name, check)
        return
    case = ET.SubElement(suite, "testcase", classname=xml(name), name="profile")
    ET.SubElement(case, "error", type=type(outcome).__name__, message=xml(str(outcome)))


def _add_check(suite: ET.Element, name: str, check: Check) -> None:
    case = ET.SubElement(suite, "testcase", classname=xml(name), name=xml(check.limit.metric.label))
    if not check.passed:
        failure = ET.SubElement(case, "failure", type="BrokenLimit", message=xml(explain(check)))
        failure.text = xml(where_text(check))
