from __future__ import annotations

import copy
import csv
import io
import re
from typing import Any

import pytest

from costsim.compare import compare
from costsim.errors import InputError
from costsim.explain import REGISTRY
from costsim.plan import plan
from costsim.quantities import Quantity
from costsim.render import comparison as rendered
from costsim.render.text import Screen, width

Plan = dict[str, Any]


def changed(plan: Plan, name: str, factor: float) -> Plan:
    """A copy that costs and takes another factor, on half the accelerators of another kind."""
    other = copy.deepcopy(plan)
    other["scenario"]["name"] = other["scenario"]["resolved"]["name"] = name
    other["scenario"]["resolved"]["cluster"] |= {"accelerator": "b200", "accelerators": 8192}
    for path in ("cost.total_usd", "run.wall_clock_days"):
        section, key = path.split(".")
        other[section][key] *= factor
        other["intervals"][path] = {k: v * factor for k, v in other["intervals"][path].items()}
    return other


@pytest.fixture
def plans(example: Plan) -> list[Plan]:
    return [
        example,
        changed(example, "On B200", 0.8),
        changed(example, "Slow", 4.0),
        changed(example, "Same again", 1.0),
    ]


@pytest.fixture(autouse=True)
def better(monkeypatch: pytest.MonkeyPatch) -> None:
    quantity = Quantity("cost.total_usd", "cost of the final run", "USD", "", "", "lower")
    monkeypatch.setitem(REGISTRY, "cost.total_usd", quantity)


def test_the_json_names_what_differs(plans: list[Plan]) -> None:
    made = compare(plans[:2])
    assert made["schema"] == "costsim.compare/1"
    assert made["scenarios"] == plans[:2]
    assert made["differences"] == [
        {"path": "cluster.accelerator", "kind": "input", "values": ["h100-sxm", "b200"]},
        {"path": "cluster.accelerators", "kind": "input", "values": [16384, 8192]},
        {"path": "run.wall_clock_days", "kind": "output", "values": [78.4, 78.4 * 0.8]},
        {"path": "cost.total_usd", "kind": "output", "values": [72615000.0, 72615000.0 * 0.8]},
    ]
    assert made["attribution"] == []
    assert made["notes"]


def test_a_plan_does_not_differ_from_itself(example: Plan) -> None:
    assert compare([example, example])["differences"] == []


def test_the_order_of_the_others_changes_nothing_but_their_order(plans: list[Plan]) -> None:
    there = {d["path"]: d["values"] for d in compare(plans)["differences"]}
    back = {d["path"]: d["values"] for d in compare([plans[0], *reversed(plans[1:])])["differences"]}
    assert there == {path: [values[0], *reversed(values[1:])] for path, values in back.items()}


def test_what_a_plan_lacks_is_none(example: Plan, sparse: Plan) -> None:
    by_path = {(d["kind"], d["path"]): d["values"] for d in compare([example, sparse])["differences"]}
    assert by_path["output", "cost.total_usd"] == [72615000.0, None]
    assert by_path["input", "model.parameters"] == [None, 7e9]
    assert by_path["output", "memory.fits"] == [True, False]


def test_one_and_true_are_not_the_same(example: Plan) -> None:
    other = copy.deepcopy(example)
    other["memory"]["fits"] = 1
    assert [d["path"] for d in compare([example, other])["differences"]] == ["memory.fits"]


def test_plans_are_taken_as_objects_too(example: Plan) -> None:
    class Made:
        def to_dict(self) -> Plan:
            return example

    assert compare([Made(), example])["differences"] == []


def test_a_comparison_needs_two(example: Plan) -> None:
    with pytest.raises(InputError, match="two scenarios or more"):
        compare([example])


def test_inputs_come_first_and_the_better_result_is_marked(plans: list[Plan]) -> None:
    page = rendered.render(compare(plans[:2]), Screen(80))
    assert page.index("Inputs that differ") < page.index("Cost of the")
    assert re.search(r"Cost of the final +\$72\.6M +\$58\.1M \*\n  run +\(\$61–88M\) +\(\$49–70M\)\n", page)
    assert "-$14.5M, -20 %" in page
    assert "* the better" in page
    assert page.endswith("costsim compare\n")


def test_all_of_equals_are_marked_the_better(plans: list[Plan]) -> None:
    page = rendered.render(compare([plans[0], plans[1], plans[1]]), Screen(120))
    assert re.search(r"Cost of the final +\$72\.6M +\$58\.1M \* +\$58\.1M \*\n", page)


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("columns", [40, 60, 80, 120])
@pytest.mark.parametrize("verbose", [False, True])
def test_no_number_is_cut_whatever_the_width(plans: list[Plan], count: int, columns: int, verbose: bool) -> None:
    page = rendered.render(compare(plans[:count]), Screen(columns), verbose=verbose)
    assert max(width(line) for line in page.splitlines()) <= columns
    assert "…" not in page
    for number, drawn in (
        ("$72.6M", "($61–88M)"),
        ("$58.1M", "($49–70M)"),
        ("78 days", "(67–93)"),
        *([("$290M", "($244–352M)")] if count > 2 else []),
    ):
        assert number in page
        assert drawn in page


def test_four_scenarios_stand_side_by_side_at_80_columns(plans: list[Plan]) -> None:
    page = rendered.render(compare(plans), Screen(80))
    assert re.search(r"^ +A +B +C +D$", page, re.MULTILINE)
    assert "+$218M, × 4" in page
    assert "same" in page


def test_blocks_repeat_what_is_measured_against(plans: list[Plan]) -> None:
    page = rendered.render(compare(plans), Screen(60))
    assert page.count("$72.6M") > 1


def test_nothing_to_tell(example: Plan) -> None:
    page = rendered.render(compare([example, example]), Screen(80))
    assert "Inputs that differ\n  none\n" in page
    assert "$72.6M" in page


def test_equal_and_hostile_names_are_told_apart_by_letters(example: Plan) -> None:
    twin = copy.deepcopy(example)
    twin["scenario"]["name"] = "\x1b[2J" + "x" * 200
    page = rendered.render(compare([twin, twin]), Screen(80))
    assert "\x1b" not in page
    assert re.search(r"^  A  \\x1b\[2J", page, re.MULTILINE)
    assert rendered.letters(28)[-3:] == ["Z", "AA", "AB"]


def test_csv_and_markdown(plans: list[Plan]) -> None:
    made = compare(plans[:2])
    table = list(csv.reader(io.StringIO(rendered.to_csv(made))))
    assert table[0] == ["path", "kind", "unit", "Llama 3.1 405B", "On B200"]
    assert ["cost.total_usd", "output", "USD", "72615000.0", "58092000.0"] in table
    text = rendered.to_markdown(made)
    assert text.startswith("<!-- costsim compare -->\n")
    assert "| Cost of the final run | $72.6M ($61–88M) | $58.1M ($49–70M) \\[-$14.5M, -20 %\\] \\* |" in text


def test_a_programme_that_ranks_otherwise_than_the_final_run_is_explained() -> None:
    """Rented with its whole term, a final run holds what research fills in the programme."""
    pair = [plan(name, draws=0).to_dict() for name in ("rent-or-own-1024-h100", "rent-or-own-1024-h100-owned")]
    for order in (pair, pair[::-1]):
        [note] = [text for text in compare(order)["notes"] if text.startswith("cost: ")]
        assert "the final run of '1,024 H100, owned' is the cheaper, its programme the dearer" in note
        assert (
            f"{pair[0]['cost']['items']['unused_commitment_usd'] / 1e6:.3g}M USD are the rest of a commitment" in note
        )
    dear = copy.deepcopy(pair[1])
    dear["scenario"]["name"] = "staffed"
    dear["cost"]["total_usd"] -= 1e6
    dear["cost"]["programme_usd"] += 5e6
    dear["cost"]["programme_items"]["staff_usd"] += 6e6
    [note] = [text for text in compare([pair[1], dear])["notes"] if text.startswith("cost: ")]
    assert note.endswith("its staff costs 6M USD more")


def test_no_multiple_is_the_better_where_all_lose() -> None:
    pair = [plan(name, draws=0).to_dict() for name in ("rent-or-own-1024-h100", "rent-or-own-1024-h100-owned")]
    best = {row.label: row.best for row in rendered.result_rows(compare(pair), verbose=True)}
    assert best["Multiple of invested capital"] == ()
    assert best["Net present value"] == (0,)
