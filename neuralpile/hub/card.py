"""The data set card on the Hub: what a repository holds, where it is from, how it was built, and whom to cite.

A card is a README.md with metadata in YAML. Everything in it comes from the rows themselves, from the `dataset.toml`
of the components, or from the run that made them.
"""

import hashlib
import html
import importlib.metadata
import itertools
import platform
import re
import string
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import pyarrow as pa
from huggingface_hub import DatasetCardData

import neuralpile
from neuralpile import catalog, evaluation
from neuralpile.catalog import DataSetInfo
from neuralpile.cli import percent, plural
from neuralpile.corpus.rows import Row

# Identifiers of licences on the Hub: huggingface.co/docs/hub/repositories-licenses
LICENCES = {"CC-BY-4.0": "cc-by-4.0", "CC0-1.0": "cc0-1.0"}
TABLES = ("sessions", "units")  # configurations, each of the Parquet file of this name in data/
TAGS = ("neuroscience", "electrophysiology", "spike-counts", "primate", "neuralpile")
# The Hub's categories of numbers of rows: huggingface/hub-docs, datasetcard.md
SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B")


@dataclass
class Part:
    """What a data set holds of one component, in one split: counts of rows and tokens, subjects and sessions."""

    rows: int = 0
    tokens: int = 0
    subjects: set[tuple[str | None, str]] = field(default_factory=set)  # with the component: names can be the same
    sessions: set[tuple[str | None, str, str]] = field(default_factory=set)

    def add(self, row: Row) -> None:
        """Count a row."""
        self.rows += 1
        self.tokens += row.counts.size
        self.subjects.add((row.source_dataset, row.subject_id))
        self.sessions.add((row.source_dataset, row.subject_id, row.session_id))

    def __or__(self, other: "Part") -> "Part":
        return Part(
            self.rows + other.rows,
            self.tokens + other.tokens,
            self.subjects | other.subjects,
            self.sessions | other.sessions,
        )


@dataclass
class Split:
    """What a split, or one file of it, holds, and its bytes in memory (Arrow) and in files (Parquet)."""

    parts: dict[str, Part] = field(default_factory=dict)  # by component
    memory: int = 0
    files: int = 0
    shards: int = 0

    @property
    def whole(self) -> Part:
        """All parts together."""
        return _union(self.parts.values())

    def __or__(self, other: "Split") -> "Split":
        names = [*self.parts, *(name for name in other.parts if name not in self.parts)]
        parts = {name: self.parts.get(name, Part()) | other.parts.get(name, Part()) for name in names}
        return Split(parts, self.memory + other.memory, self.files + other.files, self.shards + other.shards)


def metadata(
    name: str,
    licences: Mapping[str, str],
    splits: Mapping[str, Split],
    schema: pa.Schema,
    tags: Iterable[str] = TAGS,
    link: str = "",
    caveats: Mapping[str, str] = {},
    configurations: Iterable[Mapping[str, object]] = (),
) -> DatasetCardData:
    """The metadata at the head of a card: licences, tags, the files of each split, column types and sizes.

    The files of a split are `data/<split>-*`. The Hub's viewer is off: it would turn 100 rows of 10 million counts
    into Python lists. Column types are written such that every version of `datasets` from 2.14 reads them.

    Parameters:
        name: title of the data set.
        licences: of each component, by name, as `dataset.toml` has them.
        splits: what each split holds.
        schema: of the rows.
        tags: for the Hub's search.
        link: the address of the terms of licences that have no identifier on the Hub.
        caveats: terms to know of, by component.
        configurations: others than the default one.
    """
    n_rows = sum(facts.whole.rows for facts in splits.values())
    sizes = [
        {"name": split, "num_bytes": facts.memory, "num_examples": facts.whole.rows} for split, facts in splits.items()
    ]
    identifiers = sorted({LICENCES.get(licence, "other") for licence in licences.values()})
    others = sorted({licence for licence in licences.values() if licence not in LICENCES})
    return DatasetCardData(
        license=identifiers[0] if len(identifiers) == 1 else identifiers or None,
        license_name=_slug(others[0] if len(others) == 1 else "see the components") if others else None,
        license_link=_quoted(link) if others and _is_web(link) else None,
        license_details=" ".join(f"{_line(name)}: {_line(caveat)}" for name, caveat in caveats.items()) or None,
        pretty_name=_line(name),
        size_categories=SIZES[bisect_right([10**n for n in range(3, 9)], n_rows)],
        tags=list(tags),
        viewer=False,
        dataset_info={
            "features": [{"name": column.name} | _feature(column.type) for column in schema],
            "splits": sizes,
            "download_size": sum(facts.files for facts in splits.values()),
            "dataset_size": sum(facts.memory for facts in splits.values()),
        },
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": files_of(split)} for split in splits],
            },
            *configurations,
        ],
    )


def files_of(split: str, component: str = "") -> str:
    """The pattern of the files of a split, or of those of a component in it: five digits, and its name."""
    return f"data/{split}-?????-{component}.parquet" if component else f"data/{split}-*"


def configuration(component: str) -> str:
    """The name of a component's configuration, also in names of its files: its own, if that is of plain characters.

    Example:
        >>> configuration("xiao"), configuration("someone/xiao"), configuration("units")
        ('xiao', 'someone--xiao', 'units--rows')
    """
    name = component.replace("/", "--")
    plain = re.sub(r"[^\w.+-]", "-", name)
    if plain != name or not name:  # then others can have the same plain name
        return f"{plain}--{hashlib.sha256(component.encode()).hexdigest()[:8]}"
    return f"{name}--rows" if name in ("default", *TABLES) else name


def _configurations(splits: Mapping[str, Split], tables: Iterable[str], is_merged: bool) -> list[dict[str, object]]:
    """The configurations beside the default one: of the tables, and in a corpus of each component."""
    components = sorted({name for split in splits.values() for name in split.parts}) if is_merged else []
    of_tables: list[dict[str, object]] = [
        {"config_name": name, "data_files": f"data/{name}.parquet"} for name in tables
    ]
    return of_tables + [
        {
            "config_name": configuration(name),
            "data_files": [
                {"split": split, "path": files_of(split, configuration(name))}
                for split, facts in splits.items()
                if name in facts.parts
            ],
        }
        for name in components
    ]


def _feature(kind: pa.DataType) -> dict[str, object]:
    """A column's type as `dataset_info` has it. `sequence` is read by all versions of `datasets`, `list` is not."""
    if not pa.types.is_list(kind):
        return {"dtype": _dtype(kind)}
    inner = _feature(kind.value_type)
    return {"sequence": inner.get("dtype", inner)}


def _dtype(kind: pa.DataType) -> str:
    return {"double": "float64"}.get(str(kind), str(kind))


def write(
    repository: str,
    splits: Mapping[str, Split],
    schema: pa.Schema,
    described: Mapping[str, DataSetInfo],
    made: Mapping[str, object],
    manifest: str | None = None,
    tables: Sequence[str] = TABLES,
    evaluated: Mapping[str, int] | None = None,
) -> str:
    """The card of spike counts.

    Parameters:
        repository: someone/name.
        splits: what each split holds.
        schema: of the rows.
        described: what is known of the components, by name; others are listed by name alone.
        made: how the rows were built, as titles and values.
        manifest: name of the file beside the card that lists sessions and checksums, if there is one.
        tables: those of `TABLES` that the repository has.
        evaluated: tokens of the training split that are evaluation data, by benchmark, if they were counted.
    """
    names, known, licences = _parts(splits, described)
    title = next(iter(known.values())).title if len(names) == 1 and known else repository.rpartition("/")[2]
    simulated = bool(known) and all(data_set.simulated for data_set in known.values())
    tags = ("simulated", "spike-counts") if simulated else TAGS
    caveats = _caveats(known)
    is_merged = "source_dataset" in schema.names
    link, configurations = _terms_link(repository, licences, known), _configurations(splits, tables, is_merged)
    head = metadata(title, licences, splits, schema, tags, link, caveats, configurations)
    whole = _union(split.whole for split in splits.values())
    parts = [
        f"# {_text(title)}",
        "Simulated, not recorded from any animal." if simulated else "",
        f"Spike counts of {plural(len(whole.sessions), 'session')} of {plural(len(whole.subjects), 'subject')}: "
        f"{plural(whole.tokens, 'token')} in {plural(whole.rows, 'row')}. A token is one unit in one bin. A row is a "
        "matrix of counts, units × bins, of a session or of a part of it.",
        _loading(repository, splits, tables, is_merged and configuration(min(names))),
        _columns(schema),
        _splits(splits),
        _components(names, known, splits),
        _terms(caveats),
        _evaluation(evaluated),
        _made(made, manifest),
        _citing(known.values()),
    ]
    return _page(head, parts)


def write_motifs(
    repository: str,
    split: Split,
    schema: pa.Schema,
    facts: Mapping[str, object],
    described: Mapping[str, DataSetInfo],
    made: Mapping[str, object],
) -> str:
    """The card of a table of motifs: `facts` are what it counts, as titles and values, the others as for `write`."""
    licences = {name: data_set.licence for name, data_set in described.items()}
    link, caveats = _terms_link(repository, licences, described), _caveats(described)
    head = metadata(repository.rpartition("/")[2], licences, {"train": split}, schema, link=link, caveats=caveats)
    rows = [f"- {name}: {int(str(facts[name])):,}" for name in ("tokens", "patches")]
    order = f", units by {_text(str(facts['order']))}" if facts.get("order") else ""
    parts = [
        f"# Motifs of {_text(str(facts['data_set']))}{order}",
        f"All unique patches of {facts['p_n']} units × {facts['p_t']} bins, and how often each occurs, the most "
        "frequent first.",
        "\n".join([*rows, f"- unique: {split.whole.rows:,}"]),
        "| column | |\n|---|---|\n| `patch` | spike counts, units × bins |\n| `frequency` | how often it occurs |\n"
        "| `probability` | its share of all patches |",
        "The licences of the data that were counted hold for this table, too.",
        _terms(caveats),
        _made(made, None),
        _citing(described.values()),
    ]
    return _page(head, parts)


def write_tokens(
    repository: str,
    splits: Mapping[str, Split],
    schema: pa.Schema,
    report: Mapping[str, Any],
    described: Mapping[str, DataSetInfo],
    made: Mapping[str, object],
) -> str:
    """The card of a tokenized data set: `report` is that of tokenize_dataset.py, the others are as for `write`."""
    names, known, licences = _parts(splits, described)
    link, caveats = _terms_link(repository, licences, known), _caveats(known)
    head = metadata(repository.rpartition("/")[2], licences, splits, schema, link=link, caveats=caveats)
    vocabulary = report["vocabulary"]
    source = "" if vocabulary["data_set"] == report["data_set"] else f" of {_text(vocabulary['data_set'])}"
    others = "an escape and its counts" if report["lossless"] else "the nearest motif"
    title = f"Tokens of {_text(str(report['data_set']))}"
    title += f", units by {_text(report['order'])}" if report.get("order") else ""
    order = ', row["order"]' if "order" in schema.names else ""
    parts = [
        f"# {title}",
        f"Spike counts in patches of {vocabulary['p_n']} units × {vocabulary['p_t']} bins. Each of the "
        f"{vocabulary['motifs']:,} most frequent patches of the split {_text(vocabulary['split'])}{source} has an id. "
        f"Any other patch is written as {others}.",
        f"""```python
import datasets
from neuralpile.training.tokens import Tokenizer

tokenizer = Tokenizer.from_pretrained("{repository}")
rows = datasets.load_dataset("{repository}", split="{next(iter(splits))}", streaming=True)
for row in rows:
    counts = tokenizer.decode(row["tokens"], (row["n_units"], row["n_bins"]){order})  # units × bins, uint8
```""",
        _columns(schema),
        _splits(splits),
        _losses(report),
        _components(names, known, splits),
        _terms(caveats),
        _made(made, None),
        _citing(known.values()),
    ]
    return _page(head, parts)


def _parts(
    splits: Mapping[str, Split], described: Mapping[str, DataSetInfo]
) -> tuple[list[str], dict[str, DataSetInfo], dict[str, str]]:
    """The names of the components, what is known of them, and their licences."""
    names = list(dict.fromkeys(name for split in splits.values() for name in split.parts))
    known = {name: described[name] for name in names if name in described}
    return names, known, {name: known[name].licence if name in known else "unknown to neuralpile" for name in names}


def _losses(report: Mapping[str, Any]) -> str:
    header = (
        "| component | exact patches | bits a token | after | spikes | added | removed |\n|---|--:|--:|--:|--:|--:|--:|"
    )
    lines: list[list[int | str]] = []
    for name, facts in {**report["components"], "all": report["all"]}.items():
        bits = [f"{facts[f'bits_per_token_{when}']:.4f}" for when in ("before", "after")]
        spikes = [facts[key] for key in ("spikes", "spikes_added", "spikes_removed")]
        lines.append([_text(name), percent(facts["exact"]), *bits, *spikes])
    return "## What is lost\n\n" + _table(header, lines)


def _page(head: DatasetCardData, parts: Iterable[str]) -> str:
    return "\n\n".join([f"---\n{head.to_yaml()}\n---", *filter(None, parts)]) + "\n"


def _terms_link(repository: str, licences: Mapping[str, str], known: Mapping[str, DataSetInfo]) -> str:
    """The address of terms that have no identifier on the Hub: the archive's page, or the card if there are several."""
    others = [name for name, licence in licences.items() if licence not in LICENCES]
    if len(others) == 1 and others[0] in known:
        return known[others[0]].url
    return f"https://huggingface.co/datasets/{repository}#components"


def _caveats(described: Mapping[str, DataSetInfo]) -> dict[str, str]:
    return {name: data_set.caveat for name, data_set in described.items() if data_set.caveat}


def describe(names: Iterable[str], manifest: Mapping[str, object] | None = None) -> dict[str, DataSetInfo]:
    """What the catalog says of these components. `manifest` is that of their rows, if there is one."""
    known = set(catalog.names())
    return {name: catalog.load(own) for name in names if (own := data_set_of(name, manifest)) in known}


def data_set_of(name: str, manifest: Mapping[str, object] | None) -> str:
    """The data set that a component was built from, whatever its folder is called.

    The component's manifest names it, or the corpus's. Without these it is the component's name after any "/".
    """
    own: object = manifest
    if isinstance(manifest, Mapping) and isinstance(components := manifest.get("components"), Mapping):
        component = components.get(name)
        own = component.get("manifest") if isinstance(component, Mapping) else None
    named = own.get("data_set") if isinstance(own, Mapping) else None
    return name.rpartition("/")[2] if named is None else str(named)


def bibtex(data_sets: Iterable[DataSetInfo]) -> str:
    """BibTeX of the papers, one entry for each, and of the recordings, from the citations in `dataset.toml`.

    A citation reads "authors year, where it appeared". An entry has no more than its citation.
    """
    entries: dict[str, str] = {}  # by key
    papers: set[str] = set()
    for data_set in data_sets:
        cited = re.fullmatch(r"(?P<authors>[^\d]+) (?P<year>\d{4}), (?P<where>.+)", _line(data_set.paper))
        identity = data_set.paper_doi or data_set.paper
        if cited and identity not in papers:
            papers.add(identity)
            authors, year, where = cited.groups()
            fields = {"author": " and ".join(_authors(authors)), "year": year, "howpublished": where}
            if data_set.paper_doi:
                fields["doi"] = data_set.paper_doi
            key = _ascii(_authors(authors)[0]) + year
            suffixes = itertools.chain(["", *string.ascii_lowercase], map(str, itertools.count(2)))
            key += next(suffix for suffix in suffixes if key + suffix not in entries)
            entries[key] = _entry(key, fields)
        fields = {"title": data_set.title, "howpublished": data_set.data_citation, "url": data_set.url}
        key = f"data-{_slug(data_set.name)}"
        entries[key] = _entry(key, fields)
    return "\n\n".join(entries.values())


def _entry(key: str, fields: Mapping[str, str]) -> str:
    lines = [f"  {name} = {{{_bibtex_value(name, value)}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}"])


def _bibtex_value(name: str, value: str) -> str:
    """Text with BibTeX's special characters escaped. Backticks go: they would end the block in the card."""
    value = _line(value).replace("`", "'")
    if name in ("doi", "url"):
        return re.sub(r"[{}\\\s]", lambda found: quote(found[0]), value)
    return re.sub(r"([&%$#_{}])", r"\\\1", value.replace("\\", "/"))


def _authors(text: str) -> list[str]:
    """Names in a list such as "A, B & C" or "A et al."; BibTeX's "others" stands for those not named."""
    named, _, rest = text.partition(" et al.")
    names = [name.strip() for name in re.split(r",|&", named) if name.strip()]
    return [*names, "others"] if text.endswith(" et al.") and not rest else names


def _ascii(name: str) -> str:
    """Letters for a key: "Wójcik" gives "wojcik"."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z]", "", plain.lower())


def _union(parts: Iterable[Part]) -> Part:
    whole = Part()
    for part in parts:
        whole = whole | part
    return whole


def _line(text: str) -> str:
    """Text in one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _text(text: str) -> str:
    """Text in one line that Markdown shows as it is: no tags, links, tables or emphasis of its own."""
    escaped = html.escape(_line(text), quote=False)
    return re.sub(r"[\\`*\[\]|~#]|(?<![a-zA-Z0-9])_|_(?![a-zA-Z0-9])", r"\\\g<0>", escaped)


def _is_web(address: str) -> bool:
    """Whether an address begins with http or https and a host: cards link to no others."""
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _link(text: str, address: str) -> str:
    """A link in Markdown; the text alone if the address is not one of the web."""
    if not _is_web(address):
        return _text(text)
    return f"[{_text(text)}]({_quoted(address)})"


def _quoted(address: str) -> str:
    """An address in which what could end a link is percent-encoded."""
    return quote(_line(address), safe=":/?#@!$&*+,;=%~")


def _slug(text: str) -> str:
    """Lower-case letters, digits and hyphens: "CC-BY-4.0 and more" gives "cc-by-4-0-and-more"."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "other"


def _table(header: str, lines: Iterable[Iterable[int | str]]) -> str:
    """A Markdown table. Texts are Markdown; numbers get thousands separators."""
    rows = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in line] for line in lines]
    return "\n".join([header, *(f"| {' | '.join(row)} |" for row in rows)])


def _loading(repository: str, splits: Mapping[str, Split], tables: Iterable[str], component: str | bool) -> str:
    """How rows and tables are loaded; `component` is the configuration of one of a corpus."""
    split = next(iter(splits))
    of_tables = "\n".join(
        f'{name} = datasets.load_dataset("{repository}", "{name}", split="train").to_pandas()' for name in tables
    )
    of_component = f"""
One component alone is a configuration, whose files hold nothing else:

```python
rows = datasets.load_dataset("{repository}", "{component}")
```

The order of rows: every file holds rows of one component in shuffled order, and files of all components alternate. Rows
beside each other are therefore mostly of one component: shuffle before you train, with a buffer larger than a file's
rows if you stream.
"""
    return f"""```python
import datasets

rows = datasets.load_dataset("{repository}", split="{split}", streaming=True)
for row in rows.with_format("arrow"):
    units = row["spike_counts"].chunk(0)[0].values
    counts = units.flatten().to_numpy().reshape(len(units), -1)  # units × bins, uint8
```

What is known of sessions (animal, areas, task, start, evaluation data, licence, split) and of units (area, electrode,
position, quality, rate) is in two tables; `source_dataset`, `subject_id` and `session_id` join them with rows, and
`unit` is the row of `spike_counts`:

```python
{of_tables}
```
{of_component if component else ""}"""


def _columns(schema: pa.Schema) -> str:
    meaning = {
        "spike_counts": "units × bins: how many spikes a unit has in a bin",
        "subject_id": "the individual, as the recording names it",
        "session_id": "the recording session",
        "segment_id": "which part of the session, along time",
        "source_dataset": "the component that the row is from",
        "tokens": "groups of units × patches: ids of motifs",
        "n_units": "units of the row, without padding",
        "n_bins": "bins of the row, without padding",
        "order": "the unit at each place; units are numbered as recorded",
    }
    lines = [(f"`{column.name}`", _type(column.type), meaning.get(column.name, "")) for column in schema]
    return _table("| column | type | |\n|---|---|---|", lines)


def _type(kind: pa.DataType) -> str:
    return f"list of {_type(kind.value_type)}" if pa.types.is_list(kind) else _dtype(kind)


def _splits(splits: Mapping[str, Split]) -> str:
    header = "| split | rows | sessions | tokens | files | bytes |\n|---|--:|--:|--:|--:|--:|"
    lines = [
        (name, s.whole.rows, len(s.whole.sessions), s.whole.tokens, s.shards, s.files) for name, s in splits.items()
    ]
    return "## Splits\n\n" + _table(header, lines)


def _components(names: list[str], known: Mapping[str, DataSetInfo], splits: Mapping[str, Split]) -> str:
    header = (
        "| component | source | version | species | area | task | signal | subjects | sessions | "
        + " | ".join(f"{split} rows" for split in splits)
        + " | tokens | licence | paper |\n|---|---|---|---|---|---|---|--:|--:|"
        + "--:|" * len(splits)
        + "--:|---|---|"
    )
    lines: list[list[int | str]] = []
    for name in names:
        part = _union(split.parts.get(name, Part()) for split in splits.values())
        numbers = [len(part.subjects), len(part.sessions), *(s.parts.get(name, Part()).rows for s in splits.values())]
        d = known.get(name)
        if d is None:
            lines.append([_text(name), "", "", "", "", "", "", *numbers, part.tokens, "", ""])
            continue
        source = _link(f"{d.archive} {d.id}", d.url) if d.url else _text(d.archive)
        paper = _link(d.paper, f"https://doi.org/{quote(d.paper_doi)}") if d.paper_doi else _text(d.paper)
        licence = _text(d.licence) + (" ⚠" if d.caveat else "")
        what = [_text(name), source, *map(_text, (d.version, ", ".join(d.species), d.area, d.task, d.signal))]
        lines.append([*what, *numbers, part.tokens, licence, paper])
    return "## Components\n\nSubjects and sessions as their rows name them.\n\n" + _table(header, lines)


def _terms(caveats: Mapping[str, str]) -> str:
    if not caveats:
        return ""
    lines = [f"- **{_text(name)}**: {_text(caveat)}" for name, caveat in caveats.items()]
    return "\n".join(["## ⚠ Terms to know before you redistribute rows", "", *lines])


def _evaluation(evaluated: Mapping[str, int] | None) -> str:
    """Which benchmarks the training split is free of, and by what evidence."""
    if evaluated is None:
        return ""
    listed = evaluation.benchmarks()
    free = [f"- {name}: {_text(its.title)}" for name, its in listed.items() if evaluated.get(name) == 0]
    held = [
        f"- {name}: {evaluated[name]:,} tokens{'' if its.whole else ' of sessions with evaluation data'}"
        for name, its in listed.items()
        if evaluated.get(name)
    ]
    missing = [f"- {_text(what)}" for what in evaluation.not_found()]
    missing += [f"- {name}: {_text(what)}" for name, its in listed.items() for what in its.absent]
    evidence = f"by the list data/evaluation.toml of neuralpile {neuralpile.__version__}, which names its sources"
    parts = (
        (f"The training split is free of the evaluation data of these benchmarks, {evidence}:", free),
        (f"The training split has evaluation data of these benchmarks, {evidence}:", held),
        ("Not found, or in no data set, when the list was made:", missing),
    )
    blocks = ["\n\n".join((text, "\n".join(lines))) for text, lines in parts if lines]
    return "\n\n".join(["## Evaluation data of benchmarks", *blocks])


def _made(made: Mapping[str, object], manifest: str | None) -> str:
    libraries = (f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "pyarrow", "datasets"))
    versions = [f"neuralpile {neuralpile.__version__}", f"Python {platform.python_version()}", *libraries]
    facts = {**made, "versions": ", ".join(versions)}
    lines = [
        f"- {_text(title.replace('_', ' '))}: {f'{value:,}' if type(value) is int else _text(str(value))}"
        for title, value in facts.items()
        if value is not None and value is not False  # options that are off are not listed
    ]
    if manifest:
        lines.append(f"- session by session, with checksums: [{manifest}]({manifest})")
    return "\n".join(["## How it was built", "", *lines])


def _citing(data_sets: Iterable[DataSetInfo]) -> str:
    entries = bibtex(data_sets)
    return f"## Citation\n\nPlease cite the recordings that you use:\n\n```bibtex\n{entries}\n```" if entries else ""
