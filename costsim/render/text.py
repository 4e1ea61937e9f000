"""Text for terminals and files: names made harmless, words folded, columns aligned, bars, and a plain-ASCII fallback.

A rendered page is a list of lines and a line is a list of spans (text and style), so that the same page is printed
with or without colour, in Unicode or in ASCII, and is never cut off at a width.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STYLES = {
    "title": "bold",
    "label": "bold cyan",
    "strong": "bold",
    "dim": "dim",
    "good": "green",
    "bad": "bold red",
    "warn": "yellow",
    "bar": "cyan",
}
NARROWEST = 40
_NARROWEST_CELL = 12  # of words: below, folding them makes towers
_ASCII = str.maketrans(
    {
        "·": "|", "×": "x", "–": "-", "—": "-", "−": "-", "…": "...", "≥": ">=", "≤": "<=", "≈": "~", "±": "+/-",
        "µ": "u", "∞": "inf", "→": "->", "←": "<-", "’": "'", "÷": "/", "²": "2", "³": "3", "√": "sqrt", "•": "*",
        "█": "#", "▉": "#", "▊": "#", "▋": "#", "▌": "#", "▍": "", "▎": "", "▏": "", "Σ": "sum",
        "\N{NO-BREAK SPACE}": " ",
    }
)  # fmt: skip
_EIGHTHS = " ▏▎▍▌▋▊▉"
_JOINERS = "\u200c\u200d"  # shape letters of some scripts, harmless
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


@dataclass(frozen=True)
class Span:
    """A piece of text in one style; the style is a key of ``STYLES`` or empty."""

    text: str
    style: str = ""


Line = list[Span]


@dataclass(frozen=True)
class Screen:
    """What a page is rendered for.

    Attributes:
        width: columns; numbers are never cut to fit, lines are folded.
        unicode: whether the output's encoding has the characters beyond ASCII.
        colour: whether the output shows ANSI colours.
    """

    width: int = 80
    unicode: bool = True
    colour: bool = False


def clean(text: object) -> str:
    """Make text from a user harmless to a terminal: control and direction characters are shown as escapes.

    Line breaks and tabs become spaces, so that a name stays on its line.
    """
    flat = " ".join(str(text).split()) if not str(text).isprintable() else str(text)
    if flat.isprintable():
        return flat
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in _UNSAFE and char not in _JOINERS
        else char
        for char in flat
    )


def width(text: str) -> int:
    """Columns that a text takes: two for East Asian wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(_char_width(char) for char in text)


def fold(pieces: Iterable[Span | Sequence[Span]], columns: int, separator: str = " · ") -> list[Line]:
    """Fold pieces into lines of at most so many columns, with a separator between pieces of a line.

    A piece stays whole where it fits on a line of its own; a longer one is folded between its words, and a word that is
    longer than a line is split (no character is lost).
    """
    lines: list[Line] = []
    used = 0
    for piece in pieces:
        spans = [piece] if isinstance(piece, Span) else list(piece)
        size = sum(width(span.text) for span in spans)
        if not size:
            continue
        if lines and used + width(separator) + size <= columns:
            lines[-1] += [Span(separator, "dim" if separator.strip() else ""), *spans]
            used += width(separator) + size
        elif size <= columns:
            lines.append(spans)
            used = size
        else:
            lines += _fold_words(spans, columns)
            used = sum(width(span.text) for span in lines[-1])
    return lines


def prose(text: str, columns: int, style: str = "") -> list[Line]:
    """Fold a sentence between its words."""
    return _fold_words([Span(clean(text), style)], columns)


def item(text: str, columns: int, style: str = "") -> list[Line]:
    """A sentence of several, with a mark before it."""
    lines = prose(text, columns - 2, style)
    return [[Span("· " if i == 0 else "  ", "dim"), *line] for i, line in enumerate(lines)]


def unbroken(text: str, sign: str) -> str:
    """Text that is not folded at a sign: ``4 × 128``."""
    return text.replace(f" {sign} ", f"\N{NO-BREAK SPACE}{sign}\N{NO-BREAK SPACE}")


def hang(label: str, lines: Sequence[Line], indent: int, style: str = "label") -> list[Line]:
    """Put a label in front of the first line and indent the others to its width."""
    if not lines:
        return []
    head = Span(pad(label, indent), style)
    blank = Span(" " * indent)
    return [[head if i == 0 else blank, *line] for i, line in enumerate(lines)]


def columns(rows: Sequence[Sequence[Span]], align: str, gap: int = 2) -> list[Line]:
    """Align rows into columns; ``align`` has one letter a column: ``l`` left, ``r`` right. Nothing is cut."""
    widths = [max((width(row[i].text) for row in rows if i < len(row)), default=0) for i in range(len(align))]
    lines: list[Line] = []
    for row in rows:
        line: Line = []
        for i, cell in enumerate(row):
            if not widths[i]:
                continue
            text = pad(cell.text, widths[i], right=align[i] == "r")
            line += [Span(" " * gap), Span(text, cell.style)] if line else [Span(text, cell.style)]
        lines.append(line)
    return lines


def table(rows: Sequence[Sequence[Span]], align: str, room: int) -> list[Line]:
    """Rows as `columns` where they fit; else each row's first cell on a line of its own, and the others under it."""
    lines = columns(rows, align)
    if all(sum(width(span.text) for span in line) <= room for line in lines):
        return lines
    lines = []
    for first, *others in rows:
        lines += fold([first], room)
        cells = [cell for cell in others if cell.text]
        lines += [[Span("    "), *line] for line in fold(cells, room - 4)]
    return lines


def folded(rows: Sequence[Sequence[Span]], align: str, room: int, place: int = 0) -> list[Line]:
    """Rows as `columns` where they fit; else with the cells of one column folded between their words, as `table` last.

    What a cell of the first column goes on with is set in a little, so that it is no row of its own.

    Args:
        rows: cells.
        align: a letter a column.
        room: columns of the screen.
        place: of the column of words.
    """
    lines = columns(rows, align)
    beyond = max((sum(width(span.text) for span in line) for line in lines), default=0) - room
    if beyond <= 0:
        return lines
    size = max(width(row[place].text) for row in rows) - beyond
    inset = "" if place else "  "
    if size < _NARROWEST_CELL:
        return table(rows, align, room)
    parts: list[list[Span]] = []
    for row in rows:
        first, *others = _fold_words([row[place]], size - len(inset))
        texts = [_text(first), *(inset + _text(line) for line in others)]
        blank = [Span("")] * len(row)
        for index, text in enumerate(texts):
            parts.append([*(blank if index else row)])
            parts[-1][place] = Span(text, row[place].style)
    return columns(parts, align)


def _text(line: Line) -> str:
    return "".join(span.text for span in line)


def pad(text: str, size: int, *, right: bool = False) -> str:
    """Pad text with spaces to so many columns, on its left where it is right-aligned."""
    blank = " " * max(0, size - width(text))
    return blank + text if right else text + blank


def bar(share: float, columns: int) -> str:
    """A bar of eighth blocks for a share between 0 and 1; a share that is not zero shows at least a sliver."""
    eighths = round(min(max(share, 0.0), 1.0) * columns * 8)
    if share > 0.0:
        eighths = max(1, eighths)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def to_ascii(text: str) -> str:
    r"""Replace what a page is drawn with by ASCII; other characters become escapes such as ``\u4e2d``."""
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def page(lines: Sequence[Line], screen: Screen) -> str:
    """A page as text: plain, or with ANSI colours through rich; ends with a line break."""
    shown = [[Span(to_ascii(s.text), s.style) for s in line] for line in lines] if not screen.unicode else lines
    if screen.colour:
        return _coloured(shown)
    return "".join("".join(span.text for span in line).rstrip() + "\n" for line in shown)


def _coloured(lines: Sequence[Sequence[Span]]) -> str:
    import io

    from rich.console import Console
    from rich.text import Text

    stream = io.StringIO()
    console = Console(
        file=stream, force_terminal=True, color_system="standard", width=10_000, markup=False, emoji=False,
        highlight=False, legacy_windows=False, no_color=False,
    )  # fmt: skip
    for line in lines:
        text = Text(no_wrap=True, end="\n")
        for span in line:
            text.append(span.text, STYLES.get(span.style))
        text.rstrip()
        console.print(text, soft_wrap=True)
    return stream.getvalue()


def _char_width(char: str) -> int:
    if unicodedata.combining(char) or char in _JOINERS:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _fold_words(spans: Sequence[Span], columns: int) -> list[Line]:
    lines: list[Line] = [[]]
    used = 0
    for span in spans:
        for i, word in enumerate(span.text.split(" ")):
            gap = 1 if i and used else 0
            for part in _split_word(word, columns):
                if used and used + gap + width(part) > columns:
                    lines.append([])
                    used = gap = 0
                _append(lines[-1], " " * gap + part, span.style)
                used += gap + width(part)
                gap = 0
    return lines


def _append(line: Line, text: str, style: str) -> None:
    if line and line[-1].style == style:
        line[-1] = Span(line[-1].text + text, style)
    else:
        line.append(Span(text, style))


def _split_word(word: str, columns: int) -> list[str]:
    if width(word) <= columns:
        return [word]
    parts, part = [], ""
    for char in word:
        if part and width(part) + _char_width(char) > columns:
            parts.append(part)
            part = ""
        part += char
    return [*parts, part]
