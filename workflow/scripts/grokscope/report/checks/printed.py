"""Printed: what a reader of the report sees, read back from HTML and from Markdown.

Input: the text of a report. Output: its tables and counted sentences by chapter and title, and
all values that name their source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

# By chapter (its heading) and title.
Place = tuple[str, str]
Attributes = dict[str, str | None]


@dataclass(frozen=True)
class Shown:
    """A value that the page shows: its source, the value it claims, and the text a reader sees.

    `value` is None where the text itself is the value.
    """

    table: str
    row: str
    field: str
    value: str | None
    text: str


@dataclass(frozen=True)
class PrintedCell:
    """One cell of a table.

    Attributes
    ----------
    bare
        Whether it is a number that names no source.
    row, field
        Row and columns of its source, if it names one.
    """

    text: str
    bare: bool = False
    row: str = ""
    field: str = ""


@dataclass
class PrintedTable:
    """One table of the report."""

    header: list[str] = field(default_factory=list)
    rows: list[list[PrintedCell]] = field(default_factory=list)

    def texts(self) -> list[list[str]]:
        """The texts of the header and of all rows."""
        return [self.header, *([cell.text for cell in row] for row in self.rows)]


@dataclass
class Printed:
    """Everything that is read back of a report.

    Attributes
    ----------
    sentences
        Texts with numbers that the report counts; of HTML by the name that the template gives.
    lines
        Of Markdown, all lines by chapter.
    """

    tables: dict[Place, PrintedTable] = field(default_factory=dict)
    sentences: dict[Place, str] = field(default_factory=dict)
    shown: list[Shown] = field(default_factory=list)
    lines: dict[str, list[str]] = field(default_factory=dict)


class _Page(HTMLParser):
    """Collects tables of regions, counted sentences and elements that carry a source."""

    VOID = frozenset({"br", "img", "meta", "link", "hr", "input"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.printed = Printed()
        self._chapter = ""
        self._table: PrintedTable | None = None
        self._row: list[PrintedCell] = []
        self._open: list[Attributes] = []
        self._texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.VOID:
            return
        values = dict(attrs)
        if tag == "table":
            label = self._open[-1].get("aria-label") if self._open else None
            self._table = PrintedTable()
            if label is not None:
                self.printed.tables[self._chapter, label] = self._table
        elif tag == "tr":
            self._row = []
        self._open.append(values)
        self._texts.append("")

    def handle_data(self, data: str) -> None:
        # What only repeats a word in a symbol is no text of a reader.
        if not any(values.get("aria-hidden") for values in self._open):
            self._texts = [text + data for text in self._texts]

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID or not self._open:
            return
        values, text = self._open.pop(), " ".join(self._texts.pop().split())
        if tag == "h2":
            self._chapter = text
        if tag == "h1":
            self.printed.sentences["", "title"] = text
        if (name := values.get("data-counted")) is not None:
            self.printed.sentences[self._chapter, name] = text
        if (name := values.get("data-field")) is not None:
            source = (values.get("data-table") or "", values.get("data-row") or "", name)
            self.printed.shown.append(Shown(*source, values.get("data-value"), text))
        if self._table is not None:
            self._end_of_table_part(tag, values, text)

    def _end_of_table_part(self, tag: str, values: Attributes, text: str) -> None:
        assert self._table is not None
        if tag == "th" and values.get("scope") == "col":
            self._table.header.append(text)
        elif tag == "td":
            numeric = values.get("class") == "num" and re.search(r"\d", text) is not None
            row, name = values.get("data-row") or "", values.get("data-field") or ""
            self._row.append(PrintedCell(text, numeric and not name, row, name))
        elif tag == "tr" and self._row:
            self._table.rows.append(self._row)
        elif tag == "table":
            self._table = None


def read_html(page: str) -> Printed:
    """Tables, counted sentences and sourced values of an HTML report."""
    parser = _Page()
    parser.feed(page)
    parser.close()
    return parser.printed


def plain_markdown(text: str) -> str:
    """A line of the Markdown report as a reader sees it."""
    return " ".join(re.sub(r"\\(.)", r"\1", text.replace("**", "")).split())


def read_markdown(text: str) -> Printed:
    """Tables of a Markdown report, and its verdicts in sentences by the claim's id."""
    printed = Printed()
    chapter, title = "", ""
    table: PrintedTable | None = None
    for line in text.splitlines():
        if heading := re.match(r"(##+) (.*)", line):
            title = plain_markdown(heading[2])
            chapter = title if heading[1] == "##" else chapter
        printed.lines.setdefault(chapter, []).append(plain_markdown(line.lstrip("#- ")))
        if item := re.match(r"- \*\*(\w+)\*\* ", line):
            printed.sentences[chapter, item[1]] = plain_markdown(line[2:])
        if not line.startswith("|"):
            table = None
            continue
        # A bar inside a cell is escaped.
        cells = [plain_markdown(cell) for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if table is None:
            table = printed.tables.setdefault((chapter, title), PrintedTable(cells))
        elif not set("".join(cells)) <= {"-"}:
            table.rows.append([PrintedCell(cell) for cell in cells])
    return printed
