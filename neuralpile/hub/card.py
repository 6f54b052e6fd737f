"""The card of a data set on the Hub: what is in it, where it is from, how it was built, who is to be cited.

A card is a README.md with metadata in YAML. Everything in it is from the rows themselves, from the `dataset.toml`
of the components, or from the run that made them.
"""

import platform
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import datasets
import numpy as np
import pyarrow as pa
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCardData

import neuralpile
from neuralpile import catalog
from neuralpile.catalog import DataSetInfo
from neuralpile.corpus.rows import Row

# Identifiers of licences on the Hub: huggingface.co/docs/hub/repositories-licenses
LICENCES = {"CC-BY-4.0": "cc-by-4.0", "CC0-1.0": "cc0-1.0"}
TAGS = ("neuroscience", "electrophysiology", "spike-counts", "primate", "neuralpile")
# The Hub's categories of numbers of rows: huggingface/hub-docs, datasetcard.md
SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B")


@dataclass
class Part:
    """What a data set holds of one component, in one split."""

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
    """What a split holds, and its size: bytes in memory (Arrow), and in the files (Parquet)."""

    parts: dict[str, Part] = field(default_factory=dict)  # by component
    memory: int = 0
    files: int = 0
    shards: int = 0

    @property
    def whole(self) -> Part:
        """All parts together."""
        return _union(self.parts.values())


def metadata(
    name: str, licences: Iterable[str], splits: Mapping[str, Split], schema: pa.Schema, tags: Iterable[str] = TAGS
) -> DatasetCardData:
    """The metadata at the head of a card: licences, tags, which files are which split, features and numbers.

    The files of a split are `data/<split>-*`.
    """
    sizes = {
        split: datasets.SplitInfo(split, num_bytes=facts.memory, num_examples=facts.whole.rows)
        for split, facts in splits.items()
    }
    n_rows = sum(info.num_examples for info in sizes.values())
    category = int(np.searchsorted([10**n for n in range(3, 9)], n_rows, side="right"))
    identifiers = sorted({LICENCES.get(licence, "other") for licence in licences})
    data = DatasetCardData(
        license=identifiers[0] if len(identifiers) == 1 else identifiers or None,
        pretty_name=name,
        size_categories=SIZES[category],
        tags=list(tags),
    )
    info = datasets.DatasetInfo(
        features=datasets.Features.from_arrow_schema(schema),
        splits=datasets.SplitDict(sizes),
        download_size=sum(facts.files for facts in splits.values()),
        dataset_size=sum(facts.memory for facts in splits.values()),
    )
    files = [{"split": split, "path": f"data/{split}-*"} for split in splits]
    DatasetInfosDict(default=info).to_dataset_card_data(data)
    MetadataConfigs(default={"data_files": files}).to_dataset_card_data(data)
    return data


def write(
    repository: str,
    splits: Mapping[str, Split],
    schema: pa.Schema,
    described: Mapping[str, DataSetInfo],
    made: Mapping[str, object],
    manifest: str | None = None,
) -> str:
    """The card of spike counts.

    Args:
        repository: someone/name.
        splits: what is in it.
        schema: of its rows.
        described: what is known of its components, by their names; others are listed by name alone.
        made: how it was built, as titles and values.
        manifest: the file beside the card that lists sessions and digests, if there is one.
    """
    names = list(dict.fromkeys(name for split in splits.values() for name in split.parts))
    known = {name: described[name] for name in names if name in described}
    title = next(iter(known.values())).title if len(names) == 1 and known else repository.rpartition("/")[2]
    licences = [known[name].licence if name in known else "unknown to neuralpile" for name in names]
    simulated = bool(known) and all(data_set.simulated for data_set in known.values())
    head = metadata(title, licences, splits, schema, ("simulated", "spike-counts") if simulated else TAGS)
    caveats = _caveats(known)
    if caveats:
        head.license_details = " ".join(f"{name}: {caveat}" for name, caveat in caveats.items())
    whole = _union(split.whole for split in splits.values())
    parts = [
        "---\n" + head.to_yaml() + "\n---",
        f"# {title}",
        "Simulated, not recorded from any animal." if simulated else "",
        f"Spike counts of {len(whole.sessions):,} sessions of {len(whole.subjects):,} subjects: {whole.tokens:,} "
        f"tokens in {whole.rows:,} rows. A token is one unit in one bin; a row is a matrix of counts, units × bins, of "
        "a session or a part of it.",
        _loading(repository, splits),
        _columns(schema),
        _splits(splits),
        _components(names, known, splits),
        _terms(caveats),
        _made(made, manifest),
        _citing(known.values()),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def write_motifs(
    repository: str,
    split: Split,
    schema: pa.Schema,
    facts: Mapping[str, object],
    described: Mapping[str, DataSetInfo],
    made: Mapping[str, object],
) -> str:
    """The card of a table of motifs: `facts` are what it counts, as titles and values, the others as for `write`."""
    licences = [data_set.licence for data_set in described.values()]
    head = metadata(repository.rpartition("/")[2], licences, {"train": split}, schema)
    rows = [f"- {name}: {int(facts[name]):,}" for name in ("tokens", "patches")] + [f"- unique: {split.whole.rows:,}"]
    parts = [
        "---\n" + head.to_yaml() + "\n---",
        f"# Motifs of {facts['data_set']}",
        f"All unique patches of {facts['p_n']} units × {facts['p_t']} bins, and how often each occurs, the most "
        "frequent first.",
        "\n".join(rows),
        "| column | |\n|---|---|\n| `patch` | spike counts, units × bins |\n| `frequency` | how often it occurs |\n"
        "| `probability` | its share in all patches |",
        "The licences of the data that were counted hold for this table, too.",
        _terms(_caveats(described)),
        _made(made, None),
        _citing(described.values()),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _caveats(described: Mapping[str, DataSetInfo]) -> dict[str, str]:
    return {name: data_set.caveat for name, data_set in described.items() if data_set.caveat}


def describe(names: Iterable[str], manifest: Mapping[str, object] | None = None) -> dict[str, DataSetInfo]:
    """What the catalog says of the components of these names; `manifest` is that of their rows, if there is one."""
    known = set(catalog.names())
    return {name: catalog.load(own) for name in names if (own := data_set_of(name, manifest)) in known}


def data_set_of(name: str, manifest: Mapping[str, object] | None) -> str:
    """The data set that a component is of, which its manifest, or the corpus's, names, whatever its folder is called.

    Where these do not tell, it is its name, or the part of it after the /.
    """
    try:
        return str((manifest["components"][name]["manifest"] if "components" in manifest else manifest)["data_set"])
    except (TypeError, KeyError):
        return name.rpartition("/")[2]


def bibtex(data_sets: Iterable[DataSetInfo]) -> str:
    """BibTeX of the papers, one entry for each, and of the recordings, from the citations in the `dataset.toml`.

    A citation is "authors year, where it appeared"; what is not in it is not in the entry.
    """
    entries: dict[str, str] = {}  # by key
    papers: set[str] = set()
    for data_set in data_sets:
        cited = re.fullmatch(r"(?P<authors>[^\d]+) (?P<year>\d{4}), (?P<where>.+)", data_set.paper)
        identity = data_set.paper_doi or data_set.paper
        if cited and identity not in papers:
            papers.add(identity)
            authors, year, where = cited.groups()
            fields = {"author": " and ".join(_authors(authors)), "year": year, "howpublished": where}
            if data_set.paper_doi:
                fields["doi"] = data_set.paper_doi
            key = _ascii(_authors(authors)[0]) + year
            key += next(letter for letter in ("", *"abcdefghijk") if key + letter not in entries)
            entries[key] = _entry(key, fields)
        fields = {"title": data_set.title, "howpublished": data_set.data_citation, "url": data_set.url}
        key = f"data-{data_set.name}"
        entries[key] = _entry(key, fields)
    return "\n\n".join(entries.values())


def _entry(key: str, fields: Mapping[str, str]) -> str:
    lines = [f"  {name} = {{{_escaped(name, value)}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}"])


def _escaped(name: str, value: str) -> str:
    """Text with BibTeX's special characters escaped, except in addresses."""
    value = " ".join(value.split())
    return value if name in ("doi", "url") else re.sub(r"([&%$#_])", r"\\\1", value)


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


def _table(header: str, lines: Iterable[Iterable[object]]) -> str:
    """A Markdown table; numbers are set to the right."""
    rows = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in line] for line in lines]
    return "\n".join([header, *(f"| {' | '.join(row)} |" for row in rows)])


def _loading(repository: str, splits: Mapping[str, Split]) -> str:
    split = next(iter(splits))
    return f"""```python
import datasets

rows = datasets.load_dataset("{repository}", split="{split}", streaming=True)
for row in rows.with_format("arrow"):
    units = row["spike_counts"].chunk(0)[0].values
    counts = units.flatten().to_numpy().reshape(len(units), -1)  # units × bins, uint8
```"""


def _columns(schema: pa.Schema) -> str:
    meaning = {
        "spike_counts": "units × bins: how many spikes a unit has in a bin",
        "subject_id": "the individual, as the recording names it",
        "session_id": "the recording session",
        "segment_id": "which part of the session, along time",
        "source_dataset": "the component that the row is from",
    }
    features = datasets.Features.from_arrow_schema(schema)
    lines = [(f"`{name}`", _type(feature), meaning.get(name, "")) for name, feature in features.items()]
    return _table("| column | type | |\n|---|---|---|", lines)


def _type(feature: object) -> str:
    return f"list of {_type(feature.feature)}" if isinstance(feature, datasets.List) else feature.dtype


def _splits(splits: Mapping[str, Split]) -> str:
    header = "| split | rows | sessions | tokens | files | bytes |\n|---|--:|--:|--:|--:|--:|"
    lines = [
        (name, s.whole.rows, len(s.whole.sessions), s.whole.tokens, s.shards, s.files) for name, s in splits.items()
    ]
    return "## Splits\n\n" + _table(header, lines)


def _components(names: list[str], known: Mapping[str, DataSetInfo], splits: Mapping[str, Split]) -> str:
    header = (
        "| component | source | version | species | area | task | subjects | sessions | "
        + " | ".join(f"{split} rows" for split in splits)
        + " | tokens | licence | paper |\n|---|---|---|---|---|---|--:|--:|"
        + "--:|" * len(splits)
        + "--:|---|---|"
    )
    lines = []
    for name in names:
        part = _union(split.parts.get(name, Part()) for split in splits.values())
        numbers = [len(part.subjects), len(part.sessions), *(s.parts.get(name, Part()).rows for s in splits.values())]
        d = known.get(name)
        if d is None:
            lines.append([name, "", "", "", "", "", *numbers, part.tokens, "", ""])
            continue
        source = f"[{d.archive} {d.id}]({d.url})" if d.url else d.archive
        paper = f"[{d.paper}](https://doi.org/{d.paper_doi})" if d.paper_doi else d.paper
        licence = d.licence + (" ⚠" if d.caveat else "")
        what = [name, source, d.version, ", ".join(d.species), d.area, d.task]
        lines.append([*what, *numbers, part.tokens, licence, " ".join(paper.split())])
    return "## Components\n\nSubjects and sessions as their rows name them.\n\n" + _table(header, lines)


def _terms(caveats: Mapping[str, str]) -> str:
    if not caveats:
        return ""
    lines = [f"- **{name}**: {caveat}" for name, caveat in caveats.items()]
    return "\n".join(["## ⚠ Terms to know before you pass rows on", "", *lines])


def _made(made: Mapping[str, object], manifest: str | None) -> str:
    versions = [
        f"neuralpile {neuralpile.__version__}",
        f"Python {platform.python_version()}",
        *(f"{module.__name__} {module.__version__}" for module in (np, pa, datasets)),
    ]
    facts = {**made, "versions": ", ".join(versions)}
    # options that are off are not told
    told = {
        title.replace("_", " "): value for title, value in facts.items() if value is not None and value is not False
    }
    lines = [f"- {title}: {value:,}" if type(value) is int else f"- {title}: {value}" for title, value in told.items()]
    if manifest:
        lines.append(f"- session by session, with digests: [{manifest}]({manifest})")
    return "\n".join(["## How it was built", "", *lines])


def _citing(data_sets: Iterable[DataSetInfo]) -> str:
    entries = bibtex(data_sets)
    return f"## Citation\n\nWhoever uses them cites the recordings:\n\n```bibtex\n{entries}\n```" if entries else ""
