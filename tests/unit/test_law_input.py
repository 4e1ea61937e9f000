"""Law files: the shipped ones, a user's own, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from costsim.errors import InputError
from costsim.inputs import catalogue
from costsim.inputs.law import load_law

GOOD = """\
costsim: 1
name: mine
parameters: {E: 1.7, A: 300, B: 900, alpha: 0.31, beta: 0.33}
counts: non_embedding
range: {parameters: [10M, 1.2B], tokens: [1B, 40B]}
transfer: {level: 0%}
"""


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "law.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_law("law.yaml", str(tmp_path / "scenario.yaml"))
    return str(caught.value)


@pytest.mark.parametrize("name", catalogue.names("laws"))
def test_every_shipped_law_loads_and_sources_its_numbers(name: str) -> None:
    loaded = load_law(name)
    assert loaded.law.name == name
    assert loaded.spec.title
    numbers = [f"parameters.{key}" for key in ("E", "A", "B", "alpha", "beta", "k")] + ["transfer.level"]
    for path in numbers:
        assert loaded.facts[path].source in loaded.spec.sources
        assert loaded.facts[path].known in ("published", "derived")
    for source in loaded.spec.sources.values():
        assert source.url.startswith("https://")


def test_the_default_law_has_a_covariance_with_its_own_source() -> None:
    loaded = load_law("besiroglu-2024")
    assert loaded.law.covariance is not None
    assert loaded.facts["covariance.matrix.0.0"].source == "bootstrap"


def test_an_alias_finds_its_law() -> None:
    assert load_law("Chinchilla").law.name == "hoffmann-2022"


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="besiroglu-2024"):
        load_law("besirogu-2024")


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(GOOD, encoding="utf-8")
    law = load_law("my.yaml", str(tmp_path / "scenario.yaml")).law
    assert (law.k, law.counts, law.covariance, law.repetition) == (1.0, "non_embedding", None, None)
    assert law.support.parameters == (1e7, 1.2e9)
    assert law.support.compute_flops == (0.0, float("inf"))


def test_every_problem_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = GOOD.replace("alpha: 0.31", "alfa: 0.31").replace("E: 1.7", "E: -1").replace("non_embedding", "all")
    message = refused(tmp_path, text)
    for part in ("parameters.alfa", "did you mean 'alpha'", "parameters.E", "counts", "law.yaml:3", "law.yaml:4"):
        assert part in message


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[10M, 1.2B]", "[1.2B, 10M]", "range.parameters"),
        ("[10M, 1.2B]", "[10M]", "range.parameters"),
        ("[1B, 40B]", "[1B, 2B, 3B]", "range.tokens"),
        ("transfer: {level: 0%}\n", "", "transfer"),
        ("level: 0%", "level: 15 nats", "transfer.level"),
    ],
)
def test_wrong_values_are_refused_where_they_stand(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert said in refused(tmp_path, GOOD.replace(old, new))


IDENTITY = [[float(i == j) * 1e-4 for j in range(5)] for i in range(5)]


def with_matrix(matrix: list[list[float]], floor: str = "1.7", coordinates: str = "") -> str:
    names = coordinates or "[ln_a_at_pivot, ln_b_at_pivot, ln_e, alpha, beta]"
    covariance = f"covariance: {{pivot: {{parameters: 1B, tokens: 20B}}, coordinates: {names}, matrix: {matrix}}}\n"
    return GOOD.replace("E: 1.7", f"E: {floor}") + covariance


def test_a_covariance_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(with_matrix(IDENTITY), encoding="utf-8")
    law = load_law("my.yaml", str(tmp_path / "scenario.yaml")).law
    assert law.covariance is not None
    assert law.covariance.pivot_tokens == 20e9


def test_what_is_no_covariance_is_refused(tmp_path: Path) -> None:
    skewed = [row[:] for row in IDENTITY]
    skewed[0][1] = 5e-5
    negative = [row[:] for row in IDENTITY]
    negative[2][2] = -1e-4
    assert "symmetric" in refused(tmp_path, with_matrix(skewed))
    assert "positive definite" in refused(tmp_path, with_matrix(negative))
    assert "rows" in refused(tmp_path, with_matrix(IDENTITY[:4]))
    order = "[ln_b_at_pivot, ln_a_at_pivot, ln_e, alpha, beta]"
    assert "out of order" in refused(tmp_path, with_matrix(IDENTITY, coordinates=order))
    assert "above zero" in refused(tmp_path, with_matrix(IDENTITY, floor="0"))
