"""What is installed, from the metadata of distributions."""

from __future__ import annotations

from importlib.metadata import Distribution

from trust_checks import distributions


class Stated(Distribution):
    """A distribution that is nowhere, with these lines of metadata."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines

    def read_text(self, filename):
        return "\n".join(("Metadata-Version: 2.4", *self.lines, "")) if filename == "METADATA" else None

    def locate_file(self, path):
        return path


def test_what_is_needed_is_followed_without_extras(monkeypatch):
    lines = {
        "a": ["Name: a", "Version: 1", "Requires-Dist: B_b>=2", "Requires-Dist: c; extra == 'test'"],
        "b-b": ["Name: B_b", "Version: 1.9", "Requires-Dist: d", "Requires-Dist: a"],
    }
    monkeypatch.setattr(distributions, "_distribution", lambda name: Stated(*lines[name]) if name in lines else None)
    found = distributions.installed("a")
    assert list(found) == ["a", "b-b", "d"]
    unmet = ["B_b>=2 is required, and 1.9 is installed", "d is required, and none is installed"]
    assert sorted(distributions.unmet(found)) == unmet
    bill = distributions.bill_of_materials(found)
    assert [row["purl"] for row in bill["components"]] == ["pkg:pypi/a@1", "pkg:pypi/b-b@1.9"]


def test_a_licence_is_read_where_it_is_stated():
    said = [
        distributions.licence(Stated("License-Expression: MIT", "License: no")),
        distributions.licence(Stated("License: UNKNOWN", "Classifier: License :: OSI Approved :: BSD License")),
        distributions.licence(Stated("License: Apache 2.0")),
        distributions.licence(Stated()),
    ]
    assert said == ["MIT", "BSD License", "Apache 2.0", "not stated"]
