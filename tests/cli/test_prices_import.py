"""``costsim prices import``: a catalogue becomes a price book that a scenario can take at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from costsim import load_scenario, plan
from costsim.check import check_file
from costsim.errors import InputError

HEADER = "InstanceType,vCPUs,MemoryGiB,AcceleratorName,AcceleratorCount,GpuInfo,Price,SpotPrice,Region\n"
INFO = "\"{'Gpus': [{'Name': '%s', 'MemoryInfo': {'SizeInMiB': %d}}]}\""
CATALOGUE = HEADER + "\n".join(
    [
        "gpu_1x_h100_sxm5,26,225,H100,1," + INFO % ("H100", 81920) + ",4.29,,us-east-1",
        "gpu_8x_h100_sxm5,208,1800,H100,8," + INFO % ("H100", 81920) + ",32.00,,us-west-2",
        "gpu_8x_h100_sxm5,208,1800,H100,8," + INFO % ("H100", 81920) + ",31.92,,us-east-1",
        "p5en.48xlarge,192,2048,H200,8," + INFO % ("H200", 144384) + ",0,,us-east-1",
        "gpu_8x_a100,124,1800,A100,8," + INFO % ("A100", 40960) + ",10.32,,us-east-1",
        "1x_A100-80GB,8,117,A100-80GB,1,,1.39,1.39,US",
        "cpu_4x,4,16,,,,0.10,,us-east-1",
        "gpu_odd,1,1,Abacus,1,,1.00,,us-east-1",
        "gpu_word,1,1,H100,1,,cheap,,us-east-1",
    ]
)  # fmt: skip
OURS = Path(__file__).parents[2] / "docs" / "hardware.md"
SCENARIO = {
    "costsim": 1,
    "name": "rented",
    "start": "2026-10-01",
    "model": "llama-3.1-8b",
    "training": {"tokens": "1T", "sequence_length": 4096, "global_batch_tokens": "4M"},
    "cluster": {"accelerator": "h100-sxm", "accelerators": 64},
    "cost": {"rent": {"term": "on-demand"}},
}


def imported(inside, tmp_path):
    (tmp_path / "lambda.csv").write_text(CATALOGUE, encoding="utf-8")
    return inside("prices", "import", "lambda.csv", "--provider", "lambda", "--as-of", "2026-09-15", "-o", "mine.yaml")


def test_a_catalogue_becomes_a_book_and_bad_rows_are_refused_with_their_line(inside, tmp_path):
    done = imported(inside, tmp_path)
    assert done.returncode == 0
    assert "lambda.csv:5: Price: a price of 0 is no offer" in done.stderr
    assert "lambda.csv:7: SpotPrice: a spot price of 1.39 is not below the on-demand price" in done.stderr
    assert "lambda.csv:9: AcceleratorName: unknown accelerator 'Abacus'" in done.stderr
    assert "lambda.csv:10: Price: 'cheap' is no price" in done.stderr
    assert (
        "8 rows: 5 usable prices, 3 written, the best of each accelerator, term and provider; 4 refused" in done.stderr
    )
    assert check_file(str(tmp_path / "mine.yaml")) == []


def test_the_book_is_used_at_once(inside, tmp_path):
    imported(inside, tmp_path)
    ours = load_scenario(SCENARIO | {"prices": str(tmp_path / "mine.yaml")})
    assert ours.prices.rent is not None
    assert ours.prices.rent.value == pytest.approx(31.92 / 8)  # the whole node, in its cheapest region
    assert ours.prices.rent.origin == "price book: h100-sxm, lambda, on-demand, 2026-09-15"
    by_name = SCENARIO | {
        "prices": str(tmp_path / "mine.yaml"),
        "cost": {"rent": {"usd_per_accelerator_hour": "book:a100-40gb-sxm/lambda/on-demand@2026-09"}},
    }
    other = load_scenario(by_name).prices.rent
    assert other is not None
    assert other.value == pytest.approx(10.32 / 8)  # 40 GiB: not the A100 of 80
    shipped = load_scenario(SCENARIO).prices.rent
    assert shipped is not None
    assert shipped.origin != ours.prices.rent.origin


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("AcceleratorName,AcceleratorCount\nH100,8\n", "no column Price or price_usd_h"),
        (HEADER + "x,1,1,H200,8,,0,,us\n", "a price of 0 is no offer"),
        (HEADER + "x,1,1,,,,0.1,,us\n", "has no row that names an accelerator"),
        (HEADER + "x,1,1,H100,none,,1,,us\n", "'none' is no count"),
        (
            HEADER + "x,1,1,V100,8,,1e9,,us\n",
            "1.25e+08 USD an hour of one v100-sxm2-32gb is not plausible: the dearest",
        ),
        (HEADER + "x,1,1,MI250X,1,,1000.5,,us\n", "no rent of it is known; at most 1,000"),
        (HEADER + "x,1,1,H100,0.5,,1,,us\n", "'0.5' is no count; a whole number of accelerators"),
        (HEADER + "short,124\n", "c.csv:2: has 2 cells; the header has 9"),
        (HEADER + "x,1,1,H100,8,,8,,us,more\n", "c.csv:2: has 10 cells; the header has 9"),
        (HEADER + "x,1,1,H100,8," + INFO % ("H100", 16384) + ",8,,us\n", "'H100' here has 16 GiB"),
    ],
)
def test_a_catalogue_without_a_price_that_can_be_used_is_refused(inside, tmp_path, text, message):
    (tmp_path / "c.csv").write_text(text, encoding="utf-8")
    done = inside("prices", "import", "c.csv", "--provider", "p", "--as-of", "2026-09-15")
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("export", "c.csv", "--as-of", "2026-09-15"), "cannot 'export' prices"),
        (("import", "c.csv", "--as-of", "soon"), "'soon' is no day"),
        (("import", "c.csv", "--as-of", "2026-09-15"), "c.csv: who asks these prices is not said: no column cloud"),
        (("import", "c.csv", "--as-of", "2026-09-15", "-o", "mine.csv"), "a price book is YAML, not .csv"),
        (("import", "none.csv", "--as-of", "2026-09-15"), "none.csv"),
    ],
)
def test_mistakes_are_told(inside, tmp_path, arguments, message):
    (tmp_path / "c.csv").write_text(CATALOGUE, encoding="utf-8")
    done = inside("prices", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1  # once, and not for every row


def written(tmp_path: Path) -> Path:
    """The book that the documentation shows."""
    shown = re.search(r"written by hand too:\n\n```yaml\n(.*?)```", OURS.read_text(encoding="utf-8"), re.DOTALL)
    assert shown is not None
    path = tmp_path / "ours.yaml"
    path.write_text(shown[1], encoding="utf-8")
    return path


def test_the_book_of_the_documentation_holds_until_it_expires(tmp_path):
    path = str(written(tmp_path))
    assert check_file(path) == []
    terms = {"cost": {"rent": {"term": "1-year"}}, "prices": path}
    rent = load_scenario(SCENARIO | terms).prices.rent
    assert rent is not None
    assert rent.value == 2.10
    with pytest.raises(InputError, match="has expired by 2027-02-01"):
        load_scenario(
            SCENARIO
            | terms
            | {"start": "2027-02-01", "cost": {"rent": {"usd_per_accelerator_hour": "book:h100-sxm/1-year"}}}
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("usd_per_hour: 2.10", "usd_per_hour: 0"), "a price of zero is no offer"),
        (("h100-sxm:", "h100-sxn:"), "did you mean 'h100-sxm'?"),
        (("source: quote}", "source: quotes}"), "unknown source 'quotes'"),
        (("until: 2026-12-31", "until: 2026-08-31"), "an offer ends before it is made"),
    ],
)
def test_what_is_wrong_with_a_book_is_told_with_its_line(tmp_path, change, message):
    path = written(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    problems = check_file(str(path))
    assert any(message in str(InputError([problem])) and problem.line for problem in problems), problems


def test_one_chip_has_one_rent_unless_another_is_stated():
    stated = {"cost": {"rent": {"usd_per_accelerator_hour": 1.5}}, "serving": {}}
    prices = load_scenario(SCENARIO | stated).prices
    assert prices.serving_rent is prices.rent
    apart = load_scenario(SCENARIO | stated | {"serving": {"accelerator": "h200-sxm"}}).prices
    assert apart.serving_rent is not None
    assert apart.serving_rent.origin.startswith("price book: h200-sxm")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("book:h100-sxm/nebius/on-demand@2026-13", "is no date"),
        ("book:h100-sxm/nebius/weekly", "unknown term 'weekly'"),
        ({"book": "h100-sxm/1-year@2026-09", "as_of": "2026-09-01"}, "the day is given twice"),
        ("book:h100-sxm/purchase", "is a purchase price"),
    ],
)
def test_a_reference_that_names_no_price_is_refused(reference, message):
    with pytest.raises(InputError, match=message):
        load_scenario(SCENARIO | {"cost": {"rent": {"usd_per_accelerator_hour": reference}}})


def test_a_book_that_is_not_there_is_told_where_it_is_named(inside, tmp_path):
    (tmp_path / "s.yaml").write_text("extends: llama-3.1-8b\nprices: none.yaml\n", encoding="utf-8")
    done = inside("plan", "s.yaml")
    assert done.returncode == 2
    assert "s.yaml:2" in done.stderr
    assert "none.yaml" in done.stderr


def a_book(tmp_path: Path, *offers: str, chip: str = "h100-sxm") -> str:
    """The path of a price book of one's own with these offers of a chip."""
    path = tmp_path / "own.yaml"
    rows = "".join(f"    - {{provider: ours, date: 2026-09-01, source: 'https://example.org', {o}}}\n" for o in offers)
    path.write_text(f"costsim: 1\nprices:\n  {chip}:\n{rows}", encoding="utf-8")
    return str(path)


H100 = "NVIDIA H100 SXM 80 GB"
ON_DEMAND, SPOT = "kind: rent, term: on-demand, usd_per_hour: 2.5", "kind: rent, term: spot, usd_per_hour: 1.5"
ENDED = "kind: rent, term: 1-year, usd_per_hour: 2.1, until: 2026-09-20"


def with_own(path: str, **cost: object) -> dict[str, object]:
    return SCENARIO | {"prices": path, "cost": cost}


def test_a_book_without_the_wanted_term_says_that_it_was_not_used(tmp_path):
    own = a_book(tmp_path, ON_DEMAND, SPOT)
    notes = plan(with_own(own)).to_dict()["notes"]
    said = f"prices: your book has no 1-year price of {H100}, only on-demand and spot, and was not used for it"
    assert f"{said}; cost.rent.term chooses another" in notes
    used = plan(with_own(own, rent={"term": "on-demand"})).to_dict()
    assert not any(note.startswith("prices:") for note in used["notes"])
    stated = plan(with_own(own, rent={"usd_per_accelerator_hour": 3.0})).to_dict()["notes"]
    assert "prices: cost.rent.usd_per_accelerator_hour is stated, so your book was not asked" in stated
    owned = plan(with_own(own, basis="own")).to_dict()["notes"]
    assert any(f"no purchase price of {H100}, only on-demand and spot" in note for note in owned)
    other = plan(with_own(a_book(tmp_path, ON_DEMAND, chip="h200-sxm"))).to_dict()["notes"]
    assert f"prices: your book has no price of {H100} and was not used for it" in other


def test_an_expired_offer_gives_way_to_the_shipped_book_and_says_so(tmp_path):
    own = a_book(tmp_path, ENDED)
    made, shipped = load_scenario(with_own(own)).prices, load_scenario(SCENARIO | {"cost": {}}).prices
    assert made.rent == shipped.rent
    assert made.notes == (f"prices: the 1-year price of {H100} in your book expired on 2026-09-20 and was not used",)
    held = load_scenario(with_own(own) | {"start": "2026-09-20"}).prices
    assert held.rent is not None
    assert (held.rent.value, held.notes) == (2.1, ())
