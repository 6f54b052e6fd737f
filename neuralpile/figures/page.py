"""The pile on one page: an HTML file that needs no network and no other file.

What is published comes from the `dataset.toml` files, what is built from the builds; the two are kept apart.
"""

import base64
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import jinja2
from matplotlib.figure import Figure
from PIL import Image
from tqdm import tqdm

from neuralpile import __version__, catalog
from neuralpile.build import verify
from neuralpile.catalog import DataSetInfo
from neuralpile.corpus import arrow
from neuralpile.figures import checks, rasters
from neuralpile.files import write_text
from neuralpile.motifs import figures, parquet
from neuralpile.motifs.figures import COLOURS, MANY
from neuralpile.open import open_data_set

TEMPLATE = Path(__file__).with_name("page.html")
# Of the table: name, and whether it is a number
NUMBERS = ("subjects", "sessions", "published tokens", "built tokens")
COLUMNS = [(name, name in NUMBERS) for name in ("data set", "species", "area", "task", *NUMBERS, "licence")]
GROUPS = {"component": "name", "area": "area", "species": "species"}  # of the bars
PIXELS = 860  # width of a raster
TOP = 24  # motifs
CELL = 14  # pixels of a bin of a motif
NAMED = 5  # files that could not be built


def write(names: list[str], motifs_dir: Path, path: Path, seed: int = 0) -> int:
    """Write the page about these data sets of the catalog, built or not, and the motifs of the corpus where there are.

    Returns:
        How many things look wrong.

    Raises BadInput where a build cannot be read.
    """
    known = [catalog.load(name) for name in names]
    components = [_component(data_set, seed) for data_set in tqdm(known, "report", unit="data set", disable=None)]
    built = [c for c in components if c["tokens"] is not None]
    flagged = [f"{c['name']}: {flag}" for c in components for flag in c["flags"]]
    simulated = all(data_set.simulated for data_set in known)
    top, motifs_of = _motifs(motifs_dir, simulated)
    template = TEMPLATE.read_text(encoding="utf-8")
    script = re.search("<script>(.*?)</script>", template, re.DOTALL)[1]
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string(template).render(
        title="Simulated data sets" if simulated else catalog.PILE,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        version=__version__,
        components=components,
        built=built,
        tokens_built=sum(c["tokens"] for c in built),
        tokens_published=sum(c["published"] for c in components),
        missing=[c["name"] for c in components if c["tokens"] is None],
        flagged=flagged,
        groups={title: _bars(components, key) for title, key in GROUPS.items()},
        columns=COLUMNS,
        motifs=top,
        motifs_of=motifs_of,
        legend=[*enumerate(COLOURS), ("more", MANY)],
    )
    write_text(path, page)
    return len(flagged)


def _component(data_set: DataSetInfo, seed: int) -> dict[str, object]:
    """What the page says of a data set."""
    facts: dict[str, object] = {
        "name": data_set.name,
        "title": data_set.title,
        "species": ", ".join(data_set.species),
        "area": data_set.area,
        "task": data_set.task,
        "subjects": data_set.subjects,
        "sessions": data_set.sessions,
        "published": data_set.tokens,
        "licence": data_set.licence,
        "caveat": data_set.caveat,
        "url": data_set.url,
        "source": f"{data_set.archive} {data_set.id}, version {data_set.version}",
        "paper": data_set.paper,
        "doi": data_set.paper_doi and f"https://doi.org/{data_set.paper_doi}",
        "data_citation": data_set.data_citation,
        "tokens": None,
        "flags": [],
        "images": [],
    }
    facts["text"] = " ".join(str(facts[key]) for key in ("name", "title", "species", "area", "task", "licence")).lower()
    folder = catalog.BUILD / data_set.name
    if arrow.is_finished(folder):
        facts |= _built(data_set, folder, seed)
    return facts


def _built(data_set: DataSetInfo, folder: Path, seed: int) -> dict[str, object]:
    rows = open_data_set(str(folder))
    held = verify.holdings(data_set, rows)
    seen = checks.look(rows, seed)
    flags = list(seen.flags)
    report = folder / "report.json"
    failed = json.loads(report.read_text(encoding="utf-8")).get("failed") if report.is_file() else None
    if failed:
        some = ", ".join(list(failed)[:NAMED]) + ", …" * (len(failed) > NAMED)
        flags.append(f"session files that were not built: {len(failed)} (see {report.name}): {some}")
    if said := verify.differences(data_set, held):
        flags.append(f"not what is published: {'; '.join(said)}")
    shown = [part for i in range(min(1, len(rows))) if (part := rasters.view(rows, rows.row(i), rasters.View()))]
    return {
        "tokens": held.tokens,
        "built": f"sessions {held.sessions:,}, rows {len(rows):,}, tokens {held.tokens:,}",
        "flags": flags,
        "images": [
            _image(rasters.draw_rows(shown, data_set.name, "its first row", PIXELS), f"a row of {data_set.name}"),
            _image(checks.draw(seen), f"rates and counts of {data_set.name}: {'; '.join(seen.flags) or 'no flags'}"),
        ],
    }


def _image(figure: Figure, alt: str) -> dict[str, object]:
    """A figure within the page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    with Image.open(buffer) as image:
        small = image.convert("RGB").quantize(64)
        width, height = image.size
    out = io.BytesIO()
    small.save(out, "png", optimize=True)
    data = f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
    return {"data": data, "alt": alt, "width": width, "height": height}


def _bars(components: list[dict], key: str) -> list[dict[str, object]]:
    """Tokens as bars, the largest first: as they are published, and in it what is built."""
    published: Counter[str] = Counter()
    built: Counter[str] = Counter()
    for c in components:
        published[c[key]] += c["published"]
        built[c[key]] += c["tokens"] or 0
    most = max(*published.values(), *built.values())
    return [
        {
            "name": name,
            "published": 100 * n / most,
            "built": 100 * built[name] / most,
            "text": f"{_short(n)} ({figures.percent(n / published.total())})",
            "built_text": _short(built[name]) if built[name] else "",
        }
        for name, n in sorted(published.items(), key=lambda item: (-item[1], item[0]))
    ]


def _short(n: int) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n}"


def _motifs(folder: Path, simulated: bool) -> tuple[list[dict[str, object]], str]:
    """Read the most frequent motifs of the corpus, or of simulated data, from the first table of them."""
    stem = figures.file_stem("simulated*" if simulated else catalog.PILE, 1, 8).partition("(")[0]
    paths = sorted(folder.glob(f"{stem}(*_motifs.parquet"))
    if not paths:
        return [], ""
    table = parquet.read_start(paths[0], TOP)
    counted = table.counted
    of = f"{counted.p_n} × {counted.p_t} of {counted.data_set}: {counted.patches:,} patches, {table.unique:,} unique"
    motifs = zip(table.motifs.patches.tolist(), table.motifs.frequencies.tolist(), strict=True)
    return [_motif(patch, n / counted.patches) for patch, n in motifs], of


def _motif(patch: list[list[int]], share: float) -> dict[str, object]:
    return {
        "cells": list(_cells(patch)),
        "width": CELL * len(patch[0]),
        "height": CELL * len(patch),
        "words": " / ".join(" ".join(map(str, unit)) for unit in patch),
        "share": figures.percent(share),
    }


def _cells(patch: list[list[int]]) -> Iterator[dict[str, object]]:
    for y, unit in enumerate(patch):
        for x, n in enumerate(unit):
            yield {"x": CELL * x, "y": CELL * y, "fill": figures.colour(n)}
