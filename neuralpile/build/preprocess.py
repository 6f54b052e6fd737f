"""The command line of every `preprocess.py`."""

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from neuralpile import catalog, cli
from neuralpile.build.script import Read, Script
from neuralpile.catalog import DataSetInfo
from neuralpile.cli import plural
from neuralpile.hub import options as hub_options
from neuralpile.spikes.session import TOKEN_COUNT_LIMIT, Options

if TYPE_CHECKING:
    from neuralpile.build.record import Report
    from neuralpile.recordings.hdf5 import Recording

STREAMED = ("DANDI",)  # archives whose files are HDF5, which can be read in place
NOTES_SHOWN = 20
# Options that only some data sets offer.
OFFERS = {
    "trim": "drop the bins before the first spike of a session and after its last one",  # every data set
    "drop_duplicates": "skip the files that repeat others",  # where dataset.toml lists some
    "mask_unobserved": "cut out the bins that the file says were not observed",  # where the script offers it
    "epochs": "lay out the epochs of a restarted clock one after the other",  # where the script offers it
    "poisson": "draw counts from a Poisson process with the rates of the recordings, by this seed",  # as above
    "min_quality": "leave out units of a lower quality",  # where the script lists qualities
}


def main(
    script: str,
    read: Read,
    *,
    offers: Sequence[str] = (),
    qualities: Sequence[str] = (),
) -> None:
    """Run a `preprocess.py`: parse its command line, build the data set, print a table, and exit.

    Parameters:
        script: its `__file__`; the folder that it is in names the data set.
        read: makes a Session of a recording, and raises BadInput if the recording is not what it must be.
        offers: options of `OFFERS` that `read` supports.
        qualities: the choices of `--min_quality`, the lowest first, if `read` supports it.

    Example:
        In a file data/my-lab/preprocess.py, beside its dataset.toml::

            from neuralpile import build
            from neuralpile.recordings import nwb

            if __name__ == "__main__":
                build.main(__file__, nwb.count_units)
    """
    import multiprocessing  # takes 10 ms, for which scripts that only read reports need not wait

    if multiprocessing.parent_process() is not None:
        return  # a worker imports the script for its functions
    cli.run(partial(_main, Script(Path(script).resolve(), read, offers, qualities)))


def _main(script: Script) -> int:
    folder = script.path.parent
    data_set = catalog.parse(folder.name, folder / "dataset.toml")
    given = _arguments(data_set, script)
    # Imported late: `--help` and wrong options need not wait for libraries.
    from neuralpile.build.loop import build
    from neuralpile.build.record import REPORT
    from neuralpile.build.sessions import find_remote, find_sessions

    hub = hub_options.hub(given)
    options = Options(**{field.name: getattr(given, field.name) for field in fields(Options) if field.name in given})
    found: Mapping[str, Recording]
    if given.stream:
        found = find_remote(data_set, not options.drop_duplicates)
    else:
        found = find_sessions(given.data_dir, data_set, not options.drop_duplicates)
    chosen = cli.choose(list(found), given.sessions, given.max_files)
    report = build(data_set, script, found, chosen, given.out_dir, options, given.jobs, given.strict)
    print(summary(report, data_set, given.out_dir))
    for path in report.failed:
        print(f"NOT BUILT: {found[path]}")
    print(f"rows: {given.out_dir}   report: {given.out_dir / REPORT}")
    if hub and report.failed:
        print(f"not pushed to {given.hf_repo_name}: fix or remove these files, and run again", file=sys.stderr)
    elif hub:
        from neuralpile.corpus.store import LocalRows
        from neuralpile.hub import publish
        from neuralpile.open import open_data_set

        if data_set.caveat:
            print(f"\nbefore you redistribute these rows: {data_set.caveat}")
        pushed = open_data_set(str(given.out_dir))
        assert isinstance(pushed, LocalRows)  # it is a folder
        made = {"command": hub_options.command(), **asdict(report.options)}
        page = publish.push(pushed, hub, made, {pushed.name: data_set})
        print(f"pushed to {given.hf_repo_name}: {page}")
    return 1 if report.failed else 0


def _arguments(data_set: DataSetInfo, script: Script) -> argparse.Namespace:
    command = f"python {catalog.from_root(script.path)}"
    parser = cli.parser(f"Build the spike counts of {data_set.heading}.", f"{command} --jobs 2")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--data_dir", type=Path, default=data_set.recordings, help="where the recordings are")
    if data_set.archive in STREAMED:
        stream = f"read the recordings in place, at {data_set.archive}: only the spikes, without a download"
        place.add_argument("--stream", action="store_true", help=stream)
    else:
        parser.set_defaults(stream=False)
    cli.add_choice(parser)
    parser.add_argument("--out_dir", type=Path, default=catalog.BUILD / data_set.name, help="where the rows go")
    parser.add_argument(
        "--bin_size", type=cli.positive_float, default=data_set.bin_width, help="width of a bin in seconds"
    )
    parser.add_argument("--token_count_limit", type=cli.token_limit, default=TOKEN_COUNT_LIMIT, help="tokens in a row")
    hub_options.add_publishing(parser, "the rows")
    if data_set.tokens is None:  # not in the published corpus
        parser.set_defaults(as_published=False)
    else:
        parser.add_argument("--as_published", action="store_true", help="reproduce the published values bit for bit")
    parser.add_argument("--strict", action="store_true", help="end at the first file that cannot be built")
    parser.add_argument("--jobs", type=cli.positive_int, default=1, help="sessions at a time, each in its own process")
    parser.set_defaults(own_bin=data_set.own_bin, subject=data_set.subject)
    own = ["trim", *(["drop_duplicates"] if data_set.duplicates else []), *script.offers]
    for name in own:
        if name == "poisson":
            parser.add_argument("--poisson", type=cli.seed, metavar="SEED", help=OFFERS[name])
        else:
            parser.add_argument(f"--{name}", action="store_true", help=OFFERS[name])
    if script.qualities:
        own.append("min_quality")
        parser.add_argument("--min_quality", choices=script.qualities, help=OFFERS["min_quality"])
    given = parser.parse_args()
    if given.as_published and (
        chosen := [f"--{name}" for name in own if getattr(given, name) != parser.get_default(name)]
    ):
        parser.error(f"--as_published: expected none of the options that change the rows, found {' '.join(chosen)}")
    bins = given.bin_size / given.own_bin if given.own_bin else 1
    if not math.isclose(bins, max(1, round(bins)), rel_tol=1e-5):
        parser.error(
            f"--bin_size: expected a multiple of {given.own_bin} s, the recordings' own bin, found {given.bin_size}"
        )
    return given


def summary(report: "Report", data_set: DataSetInfo, out_dir: Path) -> str:
    """The table at the end of a build: totals, beside the published numbers if these compare, and notes."""
    from neuralpile.build import compare
    from neuralpile.build.record import REPORT

    built = asdict(report.totals)
    published: dict[str, int | tuple[int, int] | None] = {}
    differs: Mapping[str, str] = {}
    whole = report.totals.sessions == data_set.sessions
    if whole and not compare.changed_options(data_set, report.options):
        published = {"sessions": data_set.sessions, "subjects": len(data_set.subject_ids), "tokens": data_set.tokens}
        if data_set.units and not data_set.units_seen:
            published["units"] = data_set.units
        differs = compare.differences(data_set, compare.holdings_of_sessions(data_set, report.sessions))
    heading = "simulated" if data_set.simulated else "published"
    width = max(16, len(data_set.name))
    lines = ["", f"{data_set.name:{width}}{'built':>18}{heading if published else '':>18}".rstrip()]
    for key, value in built.items():
        line = f"{key.replace('_', ' '):{width}}{_show(value):>18}{_show(published.get(key)):>18}"
        lines.append(f"{line}{'  differs' * (key in differs)}".rstrip())
    if data_set.sessions is not None and report.totals.sessions < data_set.sessions:
        lines.append(f"{report.totals.sessions:,} of {plural(data_set.sessions, f'{heading} session')} built")
    if streamed := [facts.streamed for facts in report.sessions if facts.streamed]:
        received, of = sum(part.bytes for part in streamed), sum(part.of for part in streamed)
        requests = plural(sum(part.requests for part in streamed), "request")
        lines.append(f"streamed {received:,} of {of:,} bytes, in {requests}")
    notes = [f"{facts.subject_id} {facts.session_id}: {note}" for facts in report.sessions for note in facts.notes]
    lines += [f"note: {note}" for note in notes[:NOTES_SHOWN]]
    if len(notes) > NOTES_SHOWN:
        lines.append(f"… and {len(notes) - NOTES_SHOWN} more notes in {out_dir / REPORT}")
    return "\n".join(lines)


def _show(value: float | tuple[int, int] | None) -> str:
    from neuralpile.build import compare

    if value is None:
        return ""
    if isinstance(value, tuple):
        return compare.show_range(value)
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"
