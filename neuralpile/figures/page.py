"""One HTML page about data sets, which needs no network and no other file.

Published numbers come from the `dataset.toml` files and stand beside those of the local builds. A user's own data sets
and simulated ones have no published numbers and are compared with none.
"""

import base64
import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import jinja2
from matplotlib.figure import Figure
from PIL import Image
from tqdm import tqdm

from neuralpile import __version__, catalog, evaluation
from neuralpile.build import compare
from neuralpile.build.record import REPORT, Report
from neuralpile.catalog import DataSetInfo
from neuralpile.cli import percent, plural
from neuralpile.corpus import arrow
from neuralpile.corpus.contents import NOT_STATED, Contents, contents
from neuralpile.figures import bars, checks, rasters, summary
from neuralpile.figures.bars import Tally, total
from neuralpile.figures.words import words
from neuralpile.files import write_text
from neuralpile.motifs import figures, parquet
from neuralpile.motifs.figures import COLOURS, MANY
from neuralpile.motifs.parquet import Counted
from neuralpile.open import open_data_set

TEMPLATE = Path(__file__).with_name("page.html")
COLUMNS = ("data set", "species", "area", "task", "signal")  # of the table, as text
NUMBERS = ("subjects", "sessions", "published tokens", "built tokens")
PIXELS = 860  # width of a raster
TOP = 24  # motifs
CELL = 14  # pixels of a bin of a motif
MOST_CELLS = 1_000  # of a motif that is drawn
NAMED = 5  # files that could not be built


class Picture(NamedTuple):
    """A figure within the page."""

    data: str  # a data URL
    alt: str
    width: int  # pixels
    height: int


@dataclass
class Component:
    """What the page says about one data set.

    Attributes:
        published: tokens of the published rows; None for data sets that are not in the published corpus.
        tokens: of the local build; None if there is none.
        built: the local build in words.
        contents: of the local build.
        flags: what is missing or looks wrong.
        pictures: of the local build.
    """

    info: DataSetInfo
    tokens: int | None = None
    built: str = ""
    contents: Contents | None = None
    flags: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)

    @property
    def published(self) -> int | None:
        """Tokens of the published rows."""
        return None if self.info.simulated else self.info.tokens

    @property
    def name(self) -> str:
        """Name of the data set."""
        return self.info.name

    @property
    def species(self) -> str:
        """All species, as text."""
        return ", ".join(self.info.species) or NOT_STATED

    @property
    def area(self) -> str:
        """Brain areas."""
        return self.info.area or NOT_STATED

    @property
    def signal(self) -> str:
        """What kind of signal was recorded."""
        return self.info.signal or NOT_STATED

    @property
    def url(self) -> str:
        """Address of the archive's page."""
        return web_address(self.info.url)

    @property
    def source(self) -> str:
        """The archive, and which version of it."""
        version = f", version {self.info.version}" if self.info.version else ""
        return " ".join(filter(None, (self.info.archive, self.info.id))) + version

    @property
    def doi(self) -> str:
        """Address of the paper."""
        return f"https://doi.org/{quote(self.info.paper_doi)}" if self.info.paper_doi else ""

    @property
    def about(self) -> dict[str, str]:
        """What is in the local build."""
        return words(self.contents, self.info.area) if self.contents else {}

    @property
    def text(self) -> str:
        """What the search on the page looks through."""
        info = self.info
        return " ".join((self.name, info.title, self.species, info.area, info.task, self.signal, info.licence)).lower()


def web_address(text: str) -> str:
    """Return an http or https address unchanged, and "" for all else: links of other kinds can run scripts.

    Example:
        >>> web_address("https://dandiarchive.org"), web_address("javascript:alert(1)")
        ('https://dandiarchive.org', '')
    """
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return text if parts.scheme in ("http", "https") and parts.netloc else ""


def write(names: Sequence[str], motifs_dir: Path, path: Path, seed: int = 0) -> int:
    """Write the page about data sets of the catalog, built or not, and about the motifs of the corpus if there are any.

    Parameters:
        names: of the data sets.
        motifs_dir: folder with the tables of extract_motifs.py.
        path: the file.
        seed: of the choice of rows that are checked.

    Returns:
        The number of things that are missing or look wrong.

    Raises:
        BadInput: a build or a table cannot be read.
    """
    infos = [catalog.load(name) for name in names]
    components = [_component(info, seed) for info in tqdm(infos, "report", unit="data set", disable=None)]
    built = [c for c in components if c.tokens is not None]
    flagged = [f"{c.name}: {flag}" for c in components for flag in c.flags]
    simulated = all(info.simulated for info in infos)
    groups = {
        "component": _by(components, "name"),
        "area": _by_area(components),
        "species": _by(components, "species"),
        "signal": _by(components, "signal"),
    }
    on = bars.scale(tally for tallies in groups.values() for tally in tallies.values())
    top, motifs_of = _motifs(motifs_dir, simulated)
    template = TEMPLATE.read_text(encoding="utf-8")
    script = template.partition("<script>")[2].partition("</script>")[0]
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string(template).render(
        title="Simulated data sets" if simulated else catalog.PILE,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        version=__version__,
        components=components,
        plural=plural,
        published=_sums([c for c in components if c.published is not None]),
        others=_sums([c for c in built if c.published is None]),
        missing=[c.name for c in components if c.tokens is None],
        flagged=flagged,
        groups={title: bars.bars(tallies, on) for title, tallies in groups.items()},
        scale=on,
        animals=_shared_animals(components),
        uses=_uses(components),
        signals=sorted({c.signal for c in components}),
        columns=[(name, False) for name in COLUMNS] + [(name, True) for name in NUMBERS] + [("licence", False)],
        motifs=top,
        motifs_of=motifs_of,
        legend=[*enumerate(COLOURS), ("more", MANY)],
    )
    write_text(path, page)
    return len(flagged)


def _component(info: DataSetInfo, seed: int) -> Component:
    """Look at a data set's local build, if there is one."""
    component = Component(info)
    folder = catalog.BUILD / info.name
    if not arrow.is_finished(folder):
        return component
    rows = open_data_set(str(folder))
    report = Report.read(folder)
    held = compare.holdings_of_rows(info, rows)
    checked = checks.check(rows, seed)
    component.tokens = held.tokens
    component.contents = contents(rows.sessions(), rows.units())
    numbers = ((held.sessions, "session"), (len(held.subjects), "subject"), (len(rows), "row"), (held.tokens, "token"))
    component.built = ", ".join(plural(n, noun) for n, noun in numbers)
    component.flags = [*checked.flags, *_failed(report)]
    if differences := compare.differences(info, held, report):
        what = "simulated" if info.simulated else "published"
        component.flags.append(f"differs from what is {what}: {'; '.join(differences.values())}")
    shown = [part for i in range(min(1, len(rows))) if (part := rasters.view(rows, rows.row(i), rasters.DEFAULT))]
    if shown:
        figure = rasters.draw_rows(shown, info.name, "its first row", PIXELS)
        component.pictures.append(_picture(figure, f"a row of {info.name}"))
    alt = f"rates and counts of {info.name}: {'; '.join(checked.flags) or 'no flags'}"
    component.pictures.append(_picture(summary.draw(checked), alt))
    return component


class Sums(NamedTuple):
    """Numbers of several data sets."""

    names: int
    built: int
    published_tokens: int
    built_tokens: int


def _sums(components: Sequence[Component]) -> Sums:
    """Add up data sets."""
    built = [c.tokens for c in components if c.tokens is not None]
    return Sums(len(components), len(built), sum(c.published or 0 for c in components), sum(built))


def _failed(report: Report | None) -> list[str]:
    """Name the session files that could not be built, by the build's report."""
    if report is None or not report.failed:
        return []
    some = ", ".join(list(report.failed)[:NAMED]) + ", …" * (len(report.failed) > NAMED)
    return [f"{plural(len(report.failed), 'session file')} not built (see {REPORT}): {some}"]


def _picture(figure: Figure, alt: str) -> Picture:
    """Draw a figure as a PNG of few colours."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    with Image.open(buffer) as image:
        small = image.convert("RGB").quantize(64)
        width, height = image.size
    out = io.BytesIO()
    small.save(out, "png", optimize=True)
    return Picture(f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}", alt, width, height)


def _by(components: Sequence[Component], key: str) -> dict[str, Tally]:
    """Add up tokens by a property of the data sets."""
    return total((getattr(c, key), Tally(c.published or 0, 0, c.tokens or 0)) for c in components)


def _by_area(components: Sequence[Component]) -> dict[str, Tally]:
    """Add up tokens by brain area: of builds by unit, of what is published by what `dataset.toml` says.

    The published tokens of a data set with several areas are divided only if the build has all of them.
    """
    return total(pair for c in components for pair in _areas(c))


def _areas(c: Component) -> Iterator[tuple[str, Tally]]:
    built = c.contents.areas.to_pylist() if c.contents else []
    whole = c.published is not None and c.published == sum(area["tokens"] or 0 for area in built)
    for area in built:
        tokens = area["tokens"] or 0  # null where the table of sessions does not state them
        yield _area_name(area["area"], c.info), Tally(tokens if whole else 0, 0, tokens, area["units"])
    if c.published and not whole:
        names = c.info.area.split(", ") if c.info.area else [NOT_STATED]
        for area in names:
            yield area, Tally(c.published) if len(names) == 1 else Tally(shared=c.published)


def _area_name(area: str, info: DataSetInfo) -> str:
    """Name an area; simulated units are not counted with recorded ones."""
    return f"{area} (simulated)" if info.simulated and "simulated" not in area else area


class SharedAnimal(NamedTuple):
    """An animal, or a person, that is in several data sets."""

    name: str
    claims: list[tuple[str, str, bool]]  # data set, source of the claim, and whether it is only probable


def _shared_animals(components: Sequence[Component]) -> list[SharedAnimal]:
    """Return the animals that several of these data sets have, by name."""
    claims: defaultdict[str, list[tuple[str, str, bool]]] = defaultdict(list)
    for c in components:
        for animal in c.info.animals:
            claims[animal.name].append((c.name, animal.source, animal.probable))
    several = {name: its for name, its in claims.items() if len({data_set for data_set, *_ in its}) > 1}
    return [SharedAnimal(name, several[name]) for name in sorted(several)]


class Use(NamedTuple):
    """Sessions that have one role in a public benchmark."""

    benchmark: str  # title
    url: str
    role: str
    data_sets: list[str]
    sessions: int  # built
    tokens: int


def _uses(components: Sequence[Component]) -> list[Use]:
    """Return what of these data sets is evaluation data of which benchmark, and how much of it is built."""
    sessions: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    for c in components:
        for use in c.contents.evaluation.to_pylist() if c.contents else []:
            sessions[use["benchmark"]] += use["sessions"]
            tokens[use["benchmark"]] += use["tokens"]
    names = {c.name for c in components}
    found = []
    for name, benchmark in evaluation.benchmarks().items():
        of_role: defaultdict[str, list[str]] = defaultdict(list)
        for part in benchmark.parts:
            if part.data_set in names:
                of_role[f"{part.role}{'' if part.whole else '~'}"].append(part.data_set)
        for role, its in of_role.items():
            what = role.replace("~", ", some of the trials")
            key, url = f"{name}:{role}", web_address(benchmark.url)
            found.append(Use(benchmark.title, url, what, list(dict.fromkeys(its)), sessions[key], tokens[key]))
    return found


class Cell(NamedTuple):
    """A bin of a motif: its place in pixels, and its colour."""

    x: int
    y: int
    fill: str


class Motif(NamedTuple):
    """A motif as it is drawn on the page."""

    cells: list[Cell]
    width: int  # pixels
    height: int
    words: str
    share: str


def _motifs(folder: Path, simulated: bool) -> tuple[list[Motif], str]:
    """Read the most frequent motifs of the corpus, or of simulated data, from the first table of them.

    Returns:
        The motifs, none if there is no table or they are too large to draw; and what they are motifs of.
    """
    stem = figures.file_stem("simulated*" if simulated else catalog.PILE, 1, 8).partition("(")[0]
    # those of units as stored first
    paths = sorted(folder.glob(f"{stem}(*_motifs.parquet"), key=lambda path: ("-by-" in path.name, path))
    if not paths:
        return [], ""
    table = parquet.read_start(paths[0], TOP)
    counted = table.counted
    if counted.p_n * counted.p_t > MOST_CELLS:
        return [], ""
    patches = zip(table.motifs.patches.tolist(), table.motifs.frequencies.tolist(), strict=True)
    return [_motif(patch, n, counted.patches) for patch, n in patches], _motifs_of(counted, table.unique)


def _motifs_of(counted: Counted, unique: int) -> str:
    patches = plural(counted.patches, "patch", "patches")
    return f"{counted.p_n} × {counted.p_t} of {counted.data_set}: {patches}, {unique:,} unique"


def _motif(patch: list[list[int]], n: int, patches: int) -> Motif:
    words = " / ".join(" ".join(map(str, unit)) for unit in patch)
    return Motif(list(_cells(patch)), CELL * len(patch[0]), CELL * len(patch), words, percent(n, patches))


def _cells(patch: list[list[int]]) -> Iterator[Cell]:
    for y, unit in enumerate(patch):
        for x, n in enumerate(unit):
            yield Cell(CELL * x, CELL * y, figures.colour(n))
