"""The table of peers, and the causes in plain words."""

from __future__ import annotations

from profiler.report import finding_tables
from profiler.values.findings import Cause, CauseKind, Claim, Contribution, Finding

SHARES = (
    Contribution("layers.0.norm", "aten.norm", 5), Contribution("layers.1.norm", "aten.norm", 5),
    Contribution("head", "aten.relu", 2),
    Contribution("", "aten.add", 1),
)  # fmt: skip
CAUSE = Cause("XX-NORM", CauseKind.CONVENTION, "leaves norms out", SHARES)
EXPLAINED = Finding(Claim("xx", "xx 1.0", "total", "FLOP", 1_000), 1_013, (CAUSE,))
WITH_A_REST = Finding(Claim("yy", "yy 2", "total", "MAC", 10.5), 20)
INSIDE = Finding(Claim("yy", "yy 2", "head", "MAC", 1), 3)
FAILED = Finding(Claim("zz", "zz 3", "total", "MAC", None, "ValueError: no"), 20)

TEXT = """\
peer  unit  claims   ours  difference  verdict
──────────────────────────────────────────────────
xx    FLOP   1,000  1,013         +13  explained
yy    MAC     10.5     20        +9.5  unexplained
zz    MAC              20              failed

difference: ours less theirs; + is what a peer leaves out, − what it adds or
counts twice

xx (xx 1.0), FLOP
  +13  XX-NORM  leaves norms out: aten.norm +10, aten.relu +2, aten.add +1 in
      layers.*.norm (2), head, the model itself

yy (yy 2), MAC
  +9.5  unexplained
  +2  unexplained at head

zz (zz 3), MAC
  failed: ValueError: no"""


def test_the_text_says_who_why_and_where():
    assert finding_tables.text((EXPLAINED, WITH_A_REST, INSIDE, FAILED)) == TEXT


def test_what_only_moves_between_modules_is_said_so():
    moved = Cause(
        "XX-MOVED", CauseKind.ALIAS, "moves", (Contribution("a", "aten.mm", 3), Contribution("b", "aten.mm", -3))
    )
    finding = Finding(Claim("xx", "xx 1.0", "total", "MAC", 5), 5, (moved,))
    assert list(finding_tables.story(finding, (finding,))) == ["±0  XX-MOVED  moves: only between modules"]
