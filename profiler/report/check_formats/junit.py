"""The results of ``profiler check`` as JUnit XML, which every CI service shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from profiler.guard import Outcome
from profiler.report.checks import CHECK_FORMATS, CheckReport, explain, where_text

if TYPE_CHECKING:
    from profiler.errors import ProfilerError
    from profiler.guard import Check

#: Characters that XML 1.0 does not allow, escaped or not.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@CHECK_FORMATS.register("junit")
def to_junit(report: CheckReport) -> str:
    """Write a file of budgets as one test suite, with a test case for each limit."""
    root = ET.Element("testsuites")
    suite = ET.SubElement(root, "testsuite", name=_clean(report.source))
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
    case = ET.SubElement(suite, "testcase", classname=_clean(name), name="profile")
    ET.SubElement(case, "error", type=type(outcome).__name__, message=_clean(str(outcome)))


def _add_check(suite: ET.Element, name: str, check: Check) -> None:
    case = ET.SubElement(suite, "testcase", classname=_clean(name), name=_clean(check.limit.metric.label))
    if not check.passed:
        failure = ET.SubElement(case, "failure", type="BrokenLimit", message=_clean(explain(check)))
        failure.text = _clean(where_text(check))


def _clean(text: str) -> str:
    return _UNWRITABLE.sub("�", text)
