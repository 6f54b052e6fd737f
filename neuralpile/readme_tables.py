"""The tables of the README, made from the catalog. `python -m neuralpile.readme_tables` (`make table`) writes them."""

import sys

from neuralpile import catalog
from neuralpile.catalog import published

TABLE_START, BYTES_START = "<!-- table: made by `make table` -->", "<!-- bytes: made by `make table` -->"
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
    lines += ["", "⚠ Terms to know before you pass rows on:", ""]
    lines += [f"- **{d.name}**: {d.caveat}" for d in datasets if d.caveat]
    return "\n".join(lines)


def bytes_table() -> str:
    """What is downloaded and what is streamed of the data sets of DANDI, in Markdown."""
    lines = ["| data set | files | downloaded, MB | streamed, MB |", "|---|--:|--:|--:|"]
    for d in published():
        if d.archive == "DANDI":
            sizes = ["not known" if n is None else f"{n / 1e6:,.0f}" for n in (d.bytes, d.streamed)]
            lines.append(f"| {d.name} | {d.files} | {' | '.join(sizes)} |")
    return "\n".join(lines)


def with_tables(readme: str) -> str:
    """The text of the README with the tables between their markers replaced by the present ones."""
    for start, new in ((TABLE_START, table()), (BYTES_START, bytes_table())):
        head, _, rest = readme.partition(start)
        _, _, tail = rest.partition(TABLE_END)
        readme = f"{head}{start}\n{new}\n{TABLE_END}{tail}"
    return readme


if __name__ == "__main__":
    path = catalog.ROOT / "README.md"
    old = path.read_text(encoding="utf-8")
    new = with_tables(old)
    path.write_text(new, encoding="utf-8")
    sys.stdout.write(f"{path}: the table is {'the same' if new == old else 'new'}\n")
