"""The loop behind every `preprocess.py`: session files in, a data set of rows and a report out.

A session's rows are one Arrow file, `rows/<path of the session file>.arrow`, which appears when it is complete. It
holds what it was made from (size of the session file, options, code), and has the session file's modification time:
by these a later run knows what is done. So a run that was killed redoes only the sessions it was working on.
"""

import argparse
import sys
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path

import numpy as np

from neuralpile import catalog, cli
from neuralpile.build.loop import build
from neuralpile.build.record import REPORT
from neuralpile.build.session import Read, Script
from neuralpile.build.sessions import find_remote, find_sessions
from neuralpile.catalog import DataSetInfo
from neuralpile.hub import options as hub_options
from neuralpile.spikes.session import TOKEN_COUNT_LIMIT, Options

STREAMED = ("DANDI",)  # archives whose files are HDF5, of which parts can be read in place
NOTES_SHOWN = 20
# What a data set's script can offer its users; in brackets where the offer comes from.
OFFERS = {
    "trim": "drop the bins before the first and after the last spike of a session",  # (all data sets)
    "drop_duplicates": "leave out the files that repeat others",  # (dataset.toml)
    "mask_unobserved": "cut out the bins that were not observed, as the file says",  # (the script)
    "epochs": "lay out epochs of a restarted clock one after the other",  # (the script)
    "min_quality": "leave out units of a lower quality",  # (the script)
}


def main(script: str, read: Read, **more: object) -> None:
    """The command line of a `preprocess.py`.

    Args:
        script: its `__file__`; the folder that it is in names the data set.
        read: makes a Session of a session file, and raises BadInput where the file is not what it must be.
        more: what else there is to say:
            own_bin: width in seconds of the bins in which the recordings come, if they come binned: `--bin_size` must
                then be a multiple of it.
            offers: options of `OFFERS` that `read` heeds.
            qualities: the choices of `--min_quality`, the lowest first, where `read` heeds it.
            is_session: whether a file is a session at all, where its name does not tell.
    """
    cli.run(partial(_main, Script(Path(script).resolve(), read, **more)))


def _main(script: Script) -> int:
    folder = script.path.parent
    data_set = catalog.parse(folder.name, folder / "dataset.toml")
    given = _arguments(data_set, script)
    hub = hub_options.hub(given)
    options = Options(**{field.name: getattr(given, field.name) for field in fields(Options) if field.name in given})
    if given.stream:
        found = find_remote(data_set, not options.drop_duplicates)
    else:
        found = find_sessions(given.data_dir, data_set, not options.drop_duplicates, script.is_session)
    chosen = cli.choose(list(found), given.sessions, given.max_files)
    report = build(data_set, script, found, chosen, given.out_dir, options, given.jobs, given.strict)
    print(summary(report, data_set, given.out_dir))
    failed = report["failed"]
    if hub and failed:
        print(f"not pushed to {given.hf_repo_name}: mend or take away these files, run again", file=sys.stderr)
    elif hub:
        from neuralpile.hub import publish
        from neuralpile.open import open_data_set

        if data_set.caveat:
            print(f"\nbefore you pass these rows on: {data_set.caveat}")
        pushed = open_data_set(str(given.out_dir))
        page = publish.push(
            pushed, hub, {"command": hub_options.command(), **report["options"]}, {pushed.name: data_set}
        )
        print(f"pushed to {given.hf_repo_name}: {page}")
    return 1 if failed else 0


def _arguments(data_set: DataSetInfo, script: Script) -> argparse.Namespace:
    command = f"python data/{data_set.name}/preprocess.py"
    parser = cli.parser(f"Spike counts of {data_set.name}. {data_set.title}", f"{command} --jobs 2")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--data_dir", type=Path, default=data_set.recordings, help="where the session files are")
    if data_set.archive in STREAMED:
        stream = f"read them in place, at {data_set.archive}: only the spikes, nothing is downloaded"
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
    parser.add_argument("--as_published", action="store_true", help="reproduce the published values bit for bit")
    parser.add_argument("--strict", action="store_true", help="stop at the first file that cannot be built")
    parser.add_argument("--jobs", type=cli.positive_int, default=1, help="sessions at a time, each in its own process")
    own = ["trim", *(["drop_duplicates"] if data_set.duplicates else []), *script.offers]
    for name in own:
        parser.add_argument(f"--{name}", action="store_true", help=OFFERS[name])
    if script.qualities:
        own.append("min_quality")
        parser.add_argument("--min_quality", choices=script.qualities, help=OFFERS["min_quality"])
    given = parser.parse_args()
    if given.as_published and (chosen := [f"--{name}" for name in own if getattr(given, name)]):
        parser.error(f"--as_published: expected none of the options that change the shape, found {' '.join(chosen)}")
    bins = given.bin_size / script.own_bin if script.own_bin else 1
    if not np.isclose(bins, max(1, round(bins))):
        expected = f"expected a multiple of {script.own_bin} s, the bin of these recordings"
        parser.error(f"--bin_size: {expected}, found {given.bin_size}")
    return given


def summary(report: dict[str, object], data_set: DataSetInfo, out_dir: Path) -> str:
    """The table that a user sees at the end: totals, the published numbers where they compare, and the notes."""
    built = report["totals"]
    published: dict[str, object] = {}
    same_shape = Options(data_set.bin_width, report["options"]["token_count_limit"], report["options"]["as_published"])
    if built["sessions"] == data_set.sessions and report["options"] == asdict(same_shape):
        published = {"sessions": data_set.sessions, "subjects": len(data_set.subject_ids), "tokens": data_set.tokens}
        if data_set.units and not data_set.units_seen:
            published["units"] = data_set.units

    def show(value: object) -> str:
        if isinstance(value, list | tuple):
            return " to ".join(f"{n:,}" for n in dict.fromkeys(value))
        return "" if value is None else f"{value:.4f}" if isinstance(value, float) else f"{value:,}"

    heading = "simulated" if data_set.simulated else "published"
    lines = ["", f"{data_set.name:16}{'built':>18}{heading if published else '':>18}"]
    for key, value in built.items():
        differs = key in published and show(value) != show(published[key])
        line = (
            f"{key.replace('_', ' '):16}{show(value):>18}{show(published.get(key)):>18}{'  differs' if differs else ''}"
        )
        lines.append(line.rstrip())
    if data_set.sessions and built["sessions"] < data_set.sessions:
        lines.append(f"{built['sessions']} of the {data_set.sessions} published sessions are here")
    if streamed := [facts["streamed"] for facts in report["sessions"] if "streamed" in facts]:
        n_bytes, of, n_requests = (sum(part[key] for part in streamed) for key in ("bytes", "of", "requests"))
        lines.append(f"streamed {n_bytes:,} of {of:,} bytes, in {n_requests:,} requests")
    notes = [
        (f"{facts['subject_id']} {facts['session_id']}", note)
        for facts in report["sessions"]
        for note in facts["notes"]
    ]
    lines += [f"note: {name}: {note}" for name, note in notes[:NOTES_SHOWN]]
    if len(notes) > NOTES_SHOWN:
        lines.append(f"… and {len(notes) - NOTES_SHOWN} more notes in {out_dir / REPORT}")
    lines += [f"NOT BUILT: {line}" for line in report["failed"].values()]
    lines.append(f"rows: {out_dir}   report: {out_dir / REPORT}")
    return "\n".join(lines)
