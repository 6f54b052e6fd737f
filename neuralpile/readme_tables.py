"""Write the tables of the README and of docs/download.md from the catalog: `make table`."""

import sys
import textwrap

from neuralpile import catalog, cli
from neuralpile.catalog import published

TABLE_START, BYTES_START = "<!-- table: made by `make table` -->", "<!-- bytes: made by `make table` -->"
LINE = 120  # characters of a line of text
TABLE_END = "<!-- end of table -->"


def table() -> str:
    """The table of the README, in Markdown."""
    lines = [
        "| data set | source | species | area | task | signal | subjects | sessions | units | tokens | licence |",
        "|---|---|---|---|---|---|--:|--:|--:|--:|---|",
    ]
    datasets = published()
    for d in datasets:
        units = "" if d.units is None else "–".join(map(str, dict.fromkeys(d.units)))
        cells = [
            f"[{d.name}](data/{d.name})",
            f"[{d.archive} {d.id}]({d.url})",
            ", ".join(d.species),
            d.area,
            d.task,
            d.signal,
            str(d.subjects),
            f"{d.sessions or 0:,}",
            units,
            f"{d.tokens or 0:,}",
            d.licence + (" ⚠" if d.caveat else ""),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    sessions, tokens = sum(d.sessions or 0 for d in datasets), sum(d.tokens or 0 for d in datasets)
    lines.append(f"| **{len(datasets)} data sets** | | | | | | | **{sessions:,}** | | **{tokens:,}** | |")
    lines += ["", "⚠ Terms to know before you redistribute rows:", ""]
    caveats = [f"- **{d.name}**: {d.caveat}" for d in datasets if d.caveat]
    lines += [textwrap.fill(caveat, LINE, subsequent_indent="  ", break_on_hyphens=False) for caveat in caveats]
    return "\n".join(lines)


def bytes_table() -> str:
    """What is downloaded and what is streamed of the data sets of DANDI, in Markdown."""
    lines = ["| data set | files | downloaded, MB | streamed, MB |", "|---|--:|--:|--:|"]
    for d in published():
        if d.archive == "DANDI":
            sizes = ["not known" if n is None else f"{n / 1e6:,.0f}" for n in (d.bytes, d.streamed)]
            lines.append(f"| {d.name} | {d.files} | {' | '.join(sizes)} |")
    return "\n".join(lines)


def with_tables(page: str) -> str:
    """Replace the tables of a page, between their markers, by the present ones. A page can have any of them."""
    for start, make in ((TABLE_START, table), (BYTES_START, bytes_table)):
        if start in page:
            head, _, rest = page.partition(start)
            _, _, tail = rest.partition(TABLE_END)
            page = f"{head}{start}\n{make()}\n{TABLE_END}{tail}"
    return page


def main() -> int:
    """Write the tables; return the exit status."""
    cli.parser(__doc__ or "", "python -m neuralpile.readme_tables").parse_args()
    for path in (catalog.ROOT / "README.md", catalog.ROOT / "docs" / "download.md"):
        old = path.read_text(encoding="utf-8")
        new = with_tables(old)
        path.write_text(new, encoding="utf-8")
        sys.stdout.write(f"{path}: {'unchanged' if new == old else 'written'}\n")
    return 0


if __name__ == "__main__":
    cli.run(main)
