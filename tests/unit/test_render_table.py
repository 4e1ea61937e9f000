from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from costsim.render import table
from costsim.render.text import Screen, width

Plan = dict[str, Any]


def render(plan: Plan, columns: int = 80, **options: Any) -> str:
    return table.render(plan, Screen(columns), **options)


def test_the_answer_comes_first_and_holds_every_range(example: Plan) -> None:
    lines = render(example).splitlines()
    assert lines[0] == "Llama 3.1 405B · 16,384 × h100-sxm · 15.6T tokens · from 2024-02-01"
    assert lines[1] == "What does it cost to train and when is it repaid?"
    answers = "\n".join(lines[3:13])
    for words in (
        r"^Cost +\$72\.6M +\(\$61–88M\) +final run, rent at \$2\.35/h$",
        r"^Time +78 days +\(67–93\) +30\.9M accelerator-hours \(26–37M\)$",
        r"MFU 41 % \(36–46\) · goodput 90 % \(88–92\)$",
        r"^Fits +yes +67 of 79 GiB an accelerator · probability 98 %$",
        r"^Loss +1\.69 +\(1\.46–1\.93\) +nats/token, law besiroglu-2024$",
        r"beyond the runs it was fitted on$",
        r"^Repaid +no +not within its 12 months · probability 17 %$",
        r"would need 1\.9 times the demand$",
        r"or a mean \$9\.40/Mtok of output$",
    ):
        assert re.search(words, answers, re.MULTILINE), words


def test_blocks_come_in_the_order_of_the_questions(example: Plan) -> None:
    labels = re.findall(r"^([A-Z][a-z]+)", render(example), re.MULTILINE)
    order = ["Cost", "Time", "Fits", "Loss", "Repaid", "Model", "Step", "Memory", "Run", "Money", "Loss", "Serving",
             "Payback", "Clocks", "Assumed", "Coverage", "Notes", "Warnings"]  # fmt: skip
    assert [label for label in labels if label in order] == order


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 120, 200])
@pytest.mark.parametrize("verbose", [False, True])
def test_no_line_is_wider_than_the_screen_and_no_number_is_cut(example: Plan, columns: int, verbose: bool) -> None:
    page = render(example, columns, verbose=verbose)
    assert max(width(line) for line in page.splitlines()) <= columns
    assert "…" not in page
    joined = " ".join(page.split())
    for number in ("$72.6M", "30.9M accelerator-hours (26–37M)", "3.93e25 FLOP", "$9.40/Mtok"):
        assert number in joined


def test_a_narrow_terminal_is_treated_as_forty_columns(example: Plan) -> None:
    assert render(example, 10) == render(example, 40)


def test_all_four_bases_are_named_and_the_chosen_one_is_marked(example: Plan) -> None:
    page = " ".join(render(example).split())
    assert "rent $72.6M ($61–88M), chosen" in page
    for basis in ("own $51.3M", "amortised $49M", "purchase $893M"):
        assert basis in page
    assert page.count(", chosen") == 1


def test_the_breakdown_adds_up_and_leaves_out_zeros_unless_asked(example: Plan) -> None:
    page = render(example)
    shares = re.findall(r"^ +(?:[a-z-]+ )+ +[0-9.]+ s +([0-9.]+) %", page, re.MULTILINE)
    assert len(shares) == 8
    assert sum(map(float, shares)) == pytest.approx(100.0, abs=1.0)
    assert "expert comm" not in page
    assert "expert comm" in render(example, verbose=True)


def test_what_does_not_fit_says_what_is_too_big_and_what_would(sparse: Plan) -> None:
    page = " ".join(render(sparse).split())
    assert "Fits no needs 134 of 22 GiB an accelerator · most of it optimizer, 78 GiB" in page
    assert "would fit with data 8, micro-batch 1, accumulation 64, sharding full, recompute" in page


@pytest.mark.parametrize(
    ("advice", "words"),
    [
        ("tensor 2 fits", "tensor 2 fits"),
        ({"layout": {"tensor": 2, "data": 1}, "accelerators": None}, "would fit with tensor 2"),
        ({"layout": None, "accelerators": 64}, "would fit on 64 accelerators"),
        ({"layout": None, "accelerators": None}, "no layout found that fits"),
        (None, "most of it optimizer"),
    ],
)
def test_layout_advice_is_a_sentence_or_a_layout(sparse: Plan, advice: object, words: str) -> None:
    sparse["layout_advice"] = advice
    assert words in " ".join(render(sparse).replace("·", "").split())


def test_absent_sections_say_what_they_need(sparse: Plan) -> None:
    page = render(sparse)
    assert re.search(r"^Cost +- +the layout does not fit$", page, re.MULTILINE)
    assert re.search(r"^Loss +- +give a law$", page, re.MULTILINE)
    assert re.search(r"^Repaid +- +give serving, demand and price$", page, re.MULTILINE)
    sparse["notes"] = []
    assert "not in this plan: see Notes" in render(sparse)


def test_a_repaid_programme_names_the_month(example: Plan) -> None:
    example["payback"] |= {"repaid": True, "months": 9.4, "discounted_months": 11.0, "probability": 0.83}
    example["intervals"]["payback.months"] = {"p5": 7.1, "p50": 9.4, "p95": None}
    page = " ".join(render(example).split())
    assert "Repaid month 9.4 (7.1–never) probability 83 %" in page
    assert "discounted payback month 11" in page


def test_quiet_is_the_answer_alone(example: Plan) -> None:
    page = render(example | {"explain": []}, quiet=True)
    assert "Repaid" in page
    assert "Assumed" not in page
    assert len(page.splitlines()) < 18


def test_assumptions_are_named_with_the_words_of_the_scenario(example: Plan) -> None:
    page = " ".join(render(example).split())
    assert "Assumed cost.research_multiplier 4 (estimated) serving.cached_share 50 % (estimated)" in page
    assert "cluster.failures.restart 10 min (estimated)" in page
    assert "training.tokens 15.6T" not in page.replace("training.tokens is", "")  # the scenario says it itself
    assert "5 more inputs, and where they come from: -v" in page
    everything = " ".join(render(example, verbose=True).split())
    assert "training.tokens 15.6T tokens (scenarios/llama-3.1-405b.yaml:9, given)" in everything
    assert "cost.research_multiplier 4 (default: Cottier et al. 2024, estimated)" in everything
    assert ": -v" not in everything


def test_coverage_is_a_sentence(example: Plan) -> None:
    example["coverage"]["memory"] = {"median_error": 0.04, "runs": 32, "held_out": False, "evidence": "peaks"}
    example["coverage"]["serving"] = {"quantity": 3}
    page = " ".join(render(example).split())
    assert "step: 80 % intervals held 81 % over 57 runs, held out of the fit: published runs" in page
    assert "memory: median error 4 % over 32 runs, which the fit had seen: peaks" in page
    assert "serving: quantity 3" in page


def test_the_flat_valley_of_the_loss_is_told(example: Plan) -> None:
    assert "anything from 150B to 1T parameters comes within 0.5 % of that loss" in " ".join(render(example).split())


def test_a_short_run_expects_no_interruption(example: Plan) -> None:
    example["run"]["interruptions"] = 0.0003
    assert "no interruption expected" in render(example)


def test_a_plan_without_draws_has_no_ranges(example: Plan) -> None:
    example["intervals"] = {}
    page = render(example, quiet=True)
    assert "–" not in page
    assert page.rstrip().endswith("costsim plan")


def test_the_last_line_says_how_to_make_it_again(example: Plan) -> None:
    last = render(example).splitlines()[-1]
    assert last == "costsim plan · ranges are 90 % intervals · 10,000 draws · seed 0"


@pytest.mark.parametrize(
    "name",
    [
        "\x1b[31mred\x1b[0m",
        "[/bold][link=x]",
        "a\nCost  $1",
        "right\u202eleft",
        "wide 中文 " * 40,
        "x" * 500,
        "{0} %s {name}",
    ],
)
def test_hostile_names_cannot_steer_the_terminal(example: Plan, name: str) -> None:
    plan = copy.deepcopy(example)
    plan["scenario"]["name"] = name
    plan["scenario"]["resolved"]["cluster"]["accelerator"] = name
    plan["notes"] = [name]
    plan["warnings"] = [{"path": name, "message": name}]
    plan["provenance"] = [{"path": "a", "value": name, "source": f"default {name}", "known": "estimated"}]
    plan["loss"]["law"] = plan["serving"]["bound_by"] = name
    for columns in (40, 80):
        page = render(plan, columns)
        assert "\x1b" not in page
        assert "\u202e" not in page
        assert sum(line.startswith("Cost ") for line in page.splitlines()) == 1
        assert max(width(line) for line in page.splitlines()) <= columns
    assert "\x1b[31mred" not in table.render(plan, Screen(80, colour=True))


def test_explanations_follow_where_they_were_asked_for(example: Plan) -> None:
    page = render(example)
    assert "Explained" in page
    assert "= cost.items.accelerators_usd + cost.items.storage_usd" in page


def test_ascii_screens_get_ascii(example: Plan) -> None:
    assert table.render(example, Screen(80, unicode=False)).isascii()


def test_ways_to_serve_have_a_line_each_at_eighty_columns(example: Plan) -> None:
    point = {
        "accelerators_per_replica": 16,
        "batch": 100_000,
        "tokens_per_second_per_user": 1234.5,
        "output_tokens_per_second_per_accelerator": 76543.0,
        "usd_per_million_output_tokens": 123.4,
    }
    plan = copy.deepcopy(example)
    plan["serving"]["pareto"] = [point, point]
    lines = render(plan, verbose=True).splitlines()
    [at] = [i for i, line in enumerate(lines) if "for a user" in line]
    assert " ".join(lines[at].split()) == "for a user output an accelerator batch replica"
    assert lines[at + 1] == lines[at + 2]
    assert lines[at + 1].split()[-1] == "16"
    assert len(lines[at + 1]) <= 80
