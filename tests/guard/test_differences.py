"""What a difference says of modules that were added, removed, changed and moved."""

from __future__ import annotations

from collections import Counter

import pytest
from guard.nets import SQUARE, WIDTH, block, counted, linear, named
from torch import nn

from profiler.guard import Rename, compact, diff
from profiler.guard.metrics import HELD, WORK


def changed(difference) -> list[tuple[str, str]]:
    return [(module.kind, module.path) for module in difference.modules]


def by_name(deltas) -> dict[str, int]:
    return {delta.name: delta.change for delta in deltas}


def test_a_profile_does_not_differ_from_itself():
    p = counted(named(a=block(), b=block()))
    assert diff(p, p).is_empty
    assert diff(p, compact(p)).is_empty
    assert not diff(p, counted(named(a=block()))).is_empty


def test_totals_are_those_of_the_two_profiles():
    before, after = counted(named(a=block())), counted(named(a=block(), b=block()), rows=3)
    found = {delta.name: (delta.before, delta.after) for delta in diff(before, after).totals}
    assert found == {
        name: (getattr(before.totals, name), getattr(after.totals, name))
        for name in (*WORK, *HELD)
        if getattr(before.totals, name) or getattr(after.totals, name)
    }


def test_an_added_module_is_listed_once_with_all_that_is_in_it():
    found = diff(counted(named(a=block())), counted(named(a=block(), b=block())))
    assert changed(found) == [("added", "b")]
    assert by_name(found.modules[0].deltas)["macs"] == 2 * SQUARE
    assert by_name(found.modules[0].deltas)["params"] == 2 * (SQUARE + WIDTH)


def test_a_removed_module_is_listed_once_with_all_that_was_in_it():
    found = diff(counted(named(a=block(), b=block())), counted(named(a=block())))
    assert changed(found) == [("removed", "b")]
    assert by_name(found.modules[0].deltas)["macs"] == -2 * SQUARE


def test_a_renamed_module_is_moved_and_no_work_is_lost():
    found = diff(counted(named(layer1=block(), fc=linear())), counted(named(stage1=block(), fc=linear())))
    assert found.moves == (Rename("layer1", "stage1", "Sequential"),)
    assert found.modules == ()
    assert found.operators == ()
    assert not any(delta.change for delta in found.totals)
    assert not found.is_empty


def test_parts_renamed_within_a_renamed_module_move_with_it():
    old = named(up=linear(), act=nn.ReLU(), down=linear())
    new = named(w1=linear(), relu=nn.ReLU(), w2=linear())
    found = diff(counted(named(ff=old, head=linear(2))), counted(named(mlp=new, head=linear(2))))
    assert found.moves == (Rename("ff", "mlp", "Sequential"),)
    assert found.modules == ()


def test_a_model_wrapped_in_another_moves_whole():
    found = diff(counted(named(a=block(), b=linear(3))), counted(named(backbone=named(a=block(), b=linear(3)))))
    assert found.moves == (Rename("", "backbone", "Sequential"),)
    assert [(m.kind, m.path, m.deltas) for m in found.modules] == [("added", "", ())]


def test_a_layer_put_in_front_moves_the_others_along():
    before = nn.Sequential(linear(8), nn.ReLU(), linear(5))
    after = nn.Sequential(linear(8), nn.Tanh(), nn.ReLU(), linear(5))
    found = diff(counted(before), counted(after))
    assert {(move.old, move.new) for move in found.moves} == {("1", "2"), ("2", "3")}
    assert changed(found) == [("added", "1")]
    assert by_name(found.modules[0].deltas)["transcendentals"] == WIDTH
    assert "macs" not in by_name(found.modules[0].deltas)


def test_of_equal_blocks_the_one_that_is_gone_is_the_last():
    blocks = [counted(named(h=nn.Sequential(*(block() for _ in range(n))))) for n in (4, 3)]
    assert changed(diff(*blocks)) == [("removed", "h.3")]
    assert diff(*blocks).moves == ()


def test_a_renamed_module_with_other_work_is_removed_and_added():
    found = diff(counted(named(a=block(), fc=linear(2))), counted(named(a=block(), head=linear(3))))
    assert set(changed(found)) == {("removed", "fc"), ("added", "head")}
    assert found.moves == ()


def test_a_changed_module_names_the_operator():
    found = diff(counted(named(a=block(), fc=linear(2))), counted(named(a=block(), fc=linear(3))))
    (module,) = found.modules
    assert (module.kind, module.path, module.type) == ("changed", "fc", "Linear")
    assert [(o.operator, by_name(o.deltas)["macs"]) for o in module.operators] == [("aten.addmm", WIDTH)]


def test_a_module_of_another_type_at_the_same_path_shows_both():
    found = diff(counted(named(act=nn.ReLU())), counted(named(act=nn.Tanh())))
    assert [(m.kind, m.path, m.type) for m in found.modules] == [("changed", "act", "ReLU → Tanh")]
    assert {o.operator for o in found.modules[0].operators} == {"aten.relu", "aten.tanh"}


def test_a_module_without_work_is_listed_too():
    found = diff(counted(named(a=linear())), counted(named(a=linear(), drop=nn.Identity())))
    assert changed(found) == [("added", "drop")]
    assert not found.is_empty


def test_a_path_whose_module_moved_away_can_be_anothers():
    found = diff(counted(named(a=linear(2))), counted(named(a=nn.ReLU(), b=linear(2))))
    assert found.moves == (Rename("a", "b", "Linear"),)
    assert changed(found) == [("added", "a")]


def test_a_module_whose_part_stayed_does_not_move():
    before = named(a=named(b=linear(), c=linear()), fc=linear(2))
    after = named(a=named(b=linear(), d=nn.ReLU()), z=named(x=linear(), y=linear()), fc=linear(2))
    found = diff(counted(before), counted(after))
    assert found.moves == (Rename("a.c", "z.x", "Linear"),)
    assert set(changed(found)) == {("added", "a.d"), ("added", "z")}


def test_modules_without_work_do_not_move():
    found = diff(counted(named(a=linear(), x=nn.Identity())), counted(named(a=linear(), y=nn.Identity())))
    assert found.moves == ()
    assert set(changed(found)) == {("removed", "x"), ("added", "y")}


def test_the_largest_effect_comes_first():
    old = counted(named(a=linear(), b=linear(), c=linear()))
    new = counted(named(a=linear(), b=linear(), c=linear(), s=nn.ReLU(), big=block(), small=linear(1)))
    assert [path for _, path in changed(diff(old, new))] == ["big", "small", "s"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (named(a=block(), b=linear()), named(x=block(), y=block(), z=linear(3))),
        (named(a=block(), b=block()), named(b=block(), c=named(a=block()))),
        (nn.Sequential(linear(), nn.ReLU(), linear()), nn.Sequential(nn.ReLU(), linear(), linear(1))),
    ],
)
def test_modules_and_operators_each_sum_to_the_whole_change(before, after):
    """Nothing is lost between the rows: whatever is paired with what, the changes add up to the totals'."""
    found = diff(counted(before), counted(after))
    whole = Counter(by_name(found.totals))
    in_modules = sum((Counter() for _ in ()), Counter())
    for module in found.modules:
        for name, change in by_name(module.deltas).items():
            in_modules[name] += change
    assert all(in_modules[name] == change for name, change in whole.items())
    for name in WORK:
        assert sum(by_name(row.deltas).get(name, 0) for row in found.operators) == whole[name]


def test_the_phases_that_changed_are_named():
    import torch

    import profiler

    x = torch.empty(1, WIDTH, device="meta")
    profiles = []
    for trained in (False, True):
        model = named(a=linear())
        with profiler.profile(model) as p:
            out = model(x)
            if trained:
                out.sum().backward()
        profiles.append(p.result)
    found = diff(*profiles).phases
    assert by_name(found["backward"])["macs"] == SQUARE
    assert set(found) == {"forward", "backward"}  # the sum runs forward too
    assert "macs" not in by_name(found["forward"])
