from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costsim.render import text
from costsim.render.text import Screen, Span


def plain(lines: list[text.Line]) -> list[str]:
    return ["".join(span.text for span in line) for line in lines]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Llama 3.1 405B", "Llama 3.1 405B"),
        ("évaluation 中文", "évaluation 中文"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("user\u202egnp.exe", "user\\u202egnp.exe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("private\ue000use", "private\\ue000use"),
        ("lone\ud800", "lone\\ud800"),
        ("two\nlines\tand\ttabs", "two lines and tabs"),
        ("[/bold] is no markup", "[/bold] is no markup"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # a joiner of Persian letters is no trick
        (12, "12"),
    ],
)
def test_names_are_made_harmless(name: object, shown: str) -> None:
    assert text.clean(name) == shown


@given(st.text())
def test_nothing_that_steers_a_terminal_is_left(name: str) -> None:
    shown = text.clean(name)
    assert not any(unicodedata.category(char) in ("Cc", "Cs", "Co", "Zl", "Zp") for char in shown)
    assert not any(char in shown for char in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def test_width_counts_columns_of_a_terminal() -> None:
    assert text.width("abc") == 3
    assert text.width("中文") == 4
    assert text.width("e\u0301") == 1


def test_pieces_are_folded_whole() -> None:
    pieces = [Span("tensor 8"), Span("pipeline 16"), Span(""), Span("data 128")]
    assert plain(text.fold(pieces, 22)) == ["tensor 8 · pipeline 16", "data 128"]


def test_a_piece_longer_than_a_line_is_folded_between_words_and_then_inside() -> None:
    assert plain(text.fold([Span("one two threefour")], 8)) == ["one two", "threefou", "r"]


@given(st.text(st.characters(categories=["L", "N"], include_characters=" "), max_size=60), st.integers(2, 30))
def test_folding_loses_no_character(sentence: str, columns: int) -> None:
    lines = plain(text.prose(sentence, columns))
    assert all(text.width(line) <= columns for line in lines)
    assert "".join(lines).replace(" ", "") == text.clean(sentence).replace(" ", "")


def test_columns_are_aligned_and_empty_ones_left_out() -> None:
    rows = [[Span("a"), Span("1"), Span("")], [Span("bbb"), Span("22"), Span("")]]
    assert plain(text.columns(rows, "lrl")) == ["a     1", "bbb  22"]


def test_one_column_is_folded_where_a_table_is_too_wide() -> None:
    rows = [[Span("measured"), Span("time")], [Span("a step of the model that was named"), Span("1.25")]]
    assert plain(text.folded(rows, "lr", 60)) == plain(text.columns(rows, "lr"))
    assert plain(text.folded(rows, "lr", 30)) == [
        "measured             time",
        "a step of the model  1.25",
        "  that was named         ",
    ]
    turned = [[Span("1.25"), Span("a step of the model that was named")]]
    assert plain(text.folded(turned, "rl", 30, 1))[1].startswith("      was named")
    assert plain(text.folded(rows, "lr", 17)) == plain(text.table(rows, "lr", 17))


@given(st.lists(st.text("ab ", min_size=1, max_size=60), min_size=1, max_size=5), st.integers(20, 80))
def test_a_folded_table_keeps_every_letter_and_fits(cells: list[str], room: int) -> None:
    words = [" ".join(cell.split()) or "a" for cell in cells]
    lines = plain(text.folded([[Span(word), Span("1.25")] for word in words], "lr", room))
    assert max(map(len, lines)) <= room
    for letter in "ab":
        assert sum(line.count(letter) for line in lines) == sum(word.count(letter) for word in words)


def test_hanging_labels() -> None:
    assert plain(text.hang("Step", [[Span("x")], [Span("y")]], 6)) == ["Step  x", "      y"]
    assert text.hang("Step", [], 6) == []


@pytest.mark.parametrize(
    ("share", "drawn"),
    [(0.0, ""), (1.0, "████"), (0.5, "██"), (0.001, "▏"), (2.0, "████"), (-1.0, ""), (0.28125, "█▏")],
)
def test_bars(share: float, drawn: str) -> None:
    assert text.bar(share, 4) == drawn


def test_ascii_fallback_has_no_other_character() -> None:
    drawn = text.to_ascii("16,384 × h100 · 41 % (36–46) ███▌ 5 µs 中")
    assert drawn == "16,384 x h100 | 41 % (36-46) #### 5 us \\u4e2d"


def test_a_page_is_plain_where_there_is_no_colour() -> None:
    lines = [[Span("Cost", "label"), Span("  ")], [Span("yes · no", "good")]]
    assert text.page(lines, Screen()) == "Cost\nyes · no\n"
    assert text.page(lines, Screen(unicode=False)) == "Cost\nyes | no\n"


def test_a_page_in_colour_has_the_same_text() -> None:
    long = "word " * 60
    lines = [[Span("Cost", "label"), Span(" [/bold] :smile: "), Span(long, "dim")], []]
    coloured = text.page(lines, Screen(colour=True))
    assert "\x1b[" in coloured
    bare = ""
    inside = False
    for char in coloured:
        inside = char == "\x1b" or (inside and char != "m")
        bare += "" if inside or (char == "m" and coloured[coloured.find(char) - 1] == "\x1b") else char
    assert "[/bold] :smile:" in bare
    assert coloured.count("\n") == 2
