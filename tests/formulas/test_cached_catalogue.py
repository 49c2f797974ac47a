"""The list of operators that is kept between commands: one that is damaged is listed anew."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from profiler.formulas import cached_catalogue


@pytest.mark.parametrize("result", ["/", 7, [], {}, {"rules": [7], "uncounted": []}, {"rules": [{"kind": "odd"}]}])
def test_a_damaged_list_is_listed_anew(monkeypatch, result):
    written = []
    monkeypatch.setattr(cached_catalogue, "sys", SimpleNamespace(modules={}))
    monkeypatch.setattr(cached_catalogue, "read_cached", lambda *_: result)
    monkeypatch.setattr(cached_catalogue, "write_cached", lambda *row: written.append(row))
    monkeypatch.setattr(cached_catalogue, "_listed", lambda: ((), ("aten::odd",)))
    assert cached_catalogue.operator_catalogue() == ((), ("aten::odd",))
    assert written[0][2] == {"rules": [], "uncounted": ("aten::odd",)}
