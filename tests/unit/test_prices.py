"""Which price of the book is taken, for which day, and what is said when there is none."""

from datetime import date
from pathlib import Path

import pytest

from costsim.errors import InputError
from costsim.inputs import catalogue
from costsim.inputs.accelerator import Accelerator, load_accelerator
from costsim.inputs.prices import PurchaseQuote, Quote, book_date, book_quote, purchase_quote, rent_quote, rent_terms
from costsim.inputs.quantity import Range
from costsim.inputs.source import Place

DAY = date(2025, 7, 1)


def rent(day: str, provider: str, usd: float, term: str = "on-demand") -> dict[str, object]:
    return {"kind": "rent", "term": term, "provider": provider, "usd_per_hour": usd, "date": day}


def bought(day: str, usd: float | str, covers: str = "chip") -> dict[str, object]:
    return {"kind": "purchase", "provider": "shop", "usd": usd, "date": day, "covers": covers}


def chip(*prices: dict[str, object]) -> Accelerator:
    return load_accelerator(
        {
            "name": "my-chip",
            "peak_flops": {"bf16": "1 TFLOP/s"},
            "memory": {"capacity": "1 GiB", "bandwidth": "1 GB/s"},
            "scale_up": {"domain": 1},
            "prices": list(prices),
        }
    )[0]


def test_the_newest_price_not_after_the_day_counts() -> None:
    book = chip(rent("2024-01-01", "a", 3.0), rent("2025-01-01", "a", 2.0), rent("2026-01-01", "a", 4.0))
    assert rent_quote(book, "on-demand", date(2025, 1, 1)).usd_per_hour == 2.0
    assert rent_quote(book, "on-demand", date(2025, 12, 31)).usd_per_hour == 2.0
    assert rent_quote(book, "on-demand", date(2024, 12, 31)).usd_per_hour == 3.0


def test_of_several_providers_the_one_in_the_middle_is_taken_and_said() -> None:
    # b's newest price counts, not its cheap old one; d is more than 90 days older than the newest and left out.
    book = chip(
        rent("2025-06-01", "a", 9.0),
        rent("2025-05-01", "b", 2.0),
        rent("2025-05-30", "b", 5.0),
        rent("2025-04-01", "c", 3.0),
        rent("2025-02-01", "d", 1.0),
    )
    quote = rent_quote(book, "on-demand", date(2025, 6, 15))
    assert (quote.provider, quote.usd_per_hour, quote.date) == ("b", 5.0, date(2025, 5, 30))
    assert quote.note == "b: the middle of 3 providers, 3 to 9 USD"
    assert book.prices[quote.index].usd_per_hour == 5.0


def test_one_quotation_is_said_to_be_one() -> None:
    """As the H200 in the summer of 2025: AWS alone, two years of it; an index of many is no single quotation."""
    book = chip(rent("2025-03-17", "aws", 10.6), rent("2025-10-01", "nebius", 3.5))
    said = "one quotation, aws's of 2025-03-17: others may ask more or less"
    assert rent_quote(book, "on-demand", date(2025, 6, 1)).note == said
    assert rent_quote(book, "on-demand", date(2025, 6, 1), provider="aws").note == ""
    assert rent_quote(chip(rent("2025-03-17", "market", 2.0)), "on-demand", date(2025, 6, 1)).note == ""


def test_of_two_providers_the_cheaper_is_the_middle() -> None:
    book = chip(rent("2025-06-01", "a", 9.0), rent("2025-06-01", "b", 2.0))
    assert rent_quote(book, "on-demand", date(2025, 6, 15)).provider == "b"


def test_ninety_days_are_still_comparable() -> None:
    # 2025-03-03 is 90 days before 2025-06-01, 2025-03-02 is 91.
    near = chip(rent("2025-06-01", "a", 9.0), rent("2025-03-03", "b", 2.0))
    far = chip(rent("2025-06-01", "a", 9.0), rent("2025-03-02", "b", 2.0))
    assert rent_quote(near, "on-demand", date(2025, 6, 1)).provider == "b"
    assert rent_quote(far, "on-demand", date(2025, 6, 1)).provider == "a"


def test_a_provider_can_be_asked_for() -> None:
    book = chip(rent("2025-06-01", "a", 9.0), rent("2025-06-01", "b", 2.0))
    assert rent_quote(book, "on-demand", date(2025, 6, 15), provider="A").usd_per_hour == 9.0


def test_without_an_earlier_price_the_earliest_later_one_is_taken_and_flagged() -> None:
    book = chip(rent("2025-06-01", "a", 9.0), rent("2025-07-01", "b", 2.0))
    quote = rent_quote(book, "on-demand", date(2025, 1, 1))
    assert (quote.usd_per_hour, quote.later, quote.stale) == (9.0, True, False)
    assert quote.note == "no price on or before 2025-01-01: the earliest after it, of 2025-06-01"


def test_a_price_is_stale_after_180_days() -> None:
    book = chip(rent("2025-01-01", "a", 2.0))
    # 2025-01-01 + 180 days = 2025-06-30
    assert not rent_quote(book, "on-demand", date(2025, 6, 30)).stale
    assert rent_quote(book, "on-demand", date(2025, 7, 1)).stale
    assert not rent_quote(book, "on-demand", date(2025, 7, 1)).later


def test_terms_are_kept_apart() -> None:
    book = chip(rent("2025-06-01", "a", 9.0), rent("2025-05-01", "a", 4.0, "1-year"))
    assert rent_quote(book, "1-year", date(2025, 7, 1)).usd_per_hour == 4.0


def test_the_terms_that_the_book_has_can_be_asked_for() -> None:
    assert rent_terms(chip(rent("2025-06-01", "a", 9.0, "spot"), rent("2025-06-01", "a", 9.0)), DAY) == (
        "on-demand",
        "spot",
    )
    assert rent_terms(chip(bought("2025-01-01", 23000)), DAY) == ()
    expired = chip(rent("2025-06-01", "a", 9.0, "spot") | {"until": "2025-06-30"}, rent("2025-06-01", "a", 9.0))
    assert rent_terms(expired, date(2025, 6, 30)) == ("on-demand", "spot")
    assert rent_terms(expired, DAY) == ("on-demand",)


@pytest.mark.parametrize(
    ("term", "provider", "told"),
    [
        ("spot", None, "the price book has no spot price for my-chip; it has 1-year, on-demand, or give usd_per_"),
        ("1-year", "b", "the price book has no 1-year price of b for my-chip; b has on-demand"),
        ("on-demand", "bb", "no on-demand price of bb for my-chip; it has a, b; did you mean 'b'?"),
        ("on_demand", None, "one of on-demand, 1-year, 3-year, spot; did you mean 'on-demand'?"),
    ],
)
def test_a_price_that_is_not_there_is_refused_with_what_is(term: str, provider: str | None, told: str) -> None:
    book = chip(rent("2025-06-01", "a", 9.0), rent("2025-05-01", "a", 4.0, "1-year"), rent("2025-06-01", "b", 2.0))
    with pytest.raises(InputError) as error:
        rent_quote(book, term, date(2025, 7, 1), provider)
    assert told in str(error.value)


def test_an_accelerator_without_prices_says_what_to_give() -> None:
    with pytest.raises(InputError, match=r"no rent for my-chip; give usd_per_accelerator_hour"):
        rent_quote(chip(), "on-demand", date(2025, 7, 1))
    with pytest.raises(InputError, match=r"no purchase price for my-chip; give usd_per_accelerator"):
        purchase_quote(chip(), date(2025, 7, 1))


def test_a_purchase_may_be_a_range() -> None:
    quote = purchase_quote(chip(bought("2025-01-01", "20000 to 27000")), date(2025, 7, 1))
    assert isinstance(quote.usd, Range)
    assert quote.usd.interval90() == pytest.approx((20000, 27000))
    assert quote.stale


def test_chips_and_servers_are_not_mixed() -> None:
    servers = bought("2025-01-31", 32000, "server"), bought("2025-01-30", 33000, "server")
    book = chip(bought("2025-01-01", 23000), *servers)
    assert purchase_quote(book, date(2025, 1, 15)).covers == "chip"
    newest = purchase_quote(book, date(2025, 2, 15))
    assert (newest.usd, newest.covers) == (32000, "server")
    assert purchase_quote(book, date(2025, 2, 15), covers="chip").usd == 23000
    with pytest.raises(InputError, match=r"no purchase price of a board .* it has shop \(chip\), shop \(server\)"):
        purchase_quote(book, date(2025, 2, 15), covers="board")


def test_a_reference_names_accelerator_provider_and_term() -> None:
    quote = book_quote("h100-sxm/nebius/on-demand", date(2026, 9, 1))
    assert isinstance(quote, Quote)
    assert (quote.usd_per_hour, quote.date, quote.provider) == (2.95, date(2026, 5, 18), "nebius")
    assert book_quote("H100/nebius/on-demand", date(2026, 9, 1)) == quote


def test_a_reference_may_leave_the_provider_out_or_name_a_purchase() -> None:
    quote = book_quote("h100-sxm/1-year", date(2026, 4, 1))
    assert isinstance(quote, Quote)
    assert (quote.usd_per_hour, quote.provider) == (2.35, "market")
    assert isinstance(book_quote("h100-sxm/purchase", date(2026, 4, 1)), PurchaseQuote)


def test_a_reference_may_name_a_file(tmp_path: Path) -> None:
    text = (
        "peak_flops: {bf16: 1 TFLOP/s}\nmemory: {capacity: 1 GiB, bandwidth: 1 GB/s}\nscale_up: {domain: 1}\n"
        "prices: [{kind: rent, term: spot, provider: me, usd_per_hour: 0.5, date: 2026-01-01}]\n"
    )
    (tmp_path / "my.yaml").write_text(text)
    quote = book_quote("./my.yaml/me/spot", date(2026, 2, 1), relative_to=str(tmp_path / "scenario.yaml"))
    assert isinstance(quote, Quote)
    assert quote.usd_per_hour == 0.5


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("h100-sxm", "'h100-sxm' names no price; accelerator/term or accelerator/provider/term"),
        ("h100-sxm/", "names no price"),
        ("h100-sxm/nebius/on-demand/2026", "names no price"),
        ("h100-sxm/nebius/on-demnd", "unknown term 'on-demnd'; one of on-demand, 1-year, 3-year, spot, purchase"),
        ("h100-sxm/nebuis/on-demand", "did you mean 'nebius'?"),
        ("h1000-sxm/spot", "unknown accelerator 'h1000-sxm'"),
        ("rtx-5090/spot", "the price book has no rent for rtx-5090"),
    ],
)
def test_a_bad_reference_is_told_at_its_place(reference: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        book_quote(reference, date(2026, 9, 1), place=Place("run.yaml", 7, 3), path="cost.rent")
    assert str(error.value).startswith("run.yaml:7:3: cost.rent: ")
    assert told in str(error.value)


def test_the_book_is_as_old_as_its_newest_price() -> None:
    books = [load_accelerator(name)[0].prices for name in catalogue.names("hardware")]
    assert book_date() == max(price.date for prices in books for price in prices)
