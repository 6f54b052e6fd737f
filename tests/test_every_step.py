"""Every command that writes, killed, interrupted or refused by the system at its steps.

Whatever is then under a final name is whole: of the result before, or of the new one. The same command again ends with
the bytes of an undisturbed run, and leaves nothing beside its result or among the temporary files.
"""

import errno
import random
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from helpers.builds import write_build, write_tables
from helpers.downloads import zipped
from helpers.loopback_archives import LoopbackArchives
from helpers.recordings import write_units
from helpers.steps import REFUSED, Tries

from neuralpile.acquire import record
from neuralpile.corpus import arrow
from neuralpile.files import PARTIAL

# What the commands import before they are tried. Files are small, so that there are several; figures are not drawn.
PREPARE = """
import io, os, subprocess
from pathlib import Path
import numpy as np
import PIL.Image, dandi.dandiapi, dulwich.porcelain, matplotlib.backends.backend_agg, matplotlib.style, pandas
import pyarrow.dataset, scipy.cluster.hierarchy, scipy.ndimage, scipy.special
from matplotlib.figure import Figure
import extract_motifs, merge_datasets, new_dataset, reorder_units, tokenize_dataset, visualize_dataset
from neuralpile import cli
from neuralpile.acquire import archives, download
from neuralpile.build import loop, preloaded, preprocess, tables, workers
from neuralpile.corpus import merge, overview
from neuralpile.figures import checks, page, rasters
from neuralpile.hub import publish
from neuralpile.motifs import cluster, extract, parquet, run as counting, spill
from neuralpile.open import open_data_set
from neuralpile.training import reordered, tokenized
from neuralpile.training.lookup import Lookup

merge.SHARD = reordered.SHARD = tokenized.SHARD = 2_000
publish.SHARD = 3_000
extract.count([np.ones((2, 8), np.uint8)], 1, 4)
Figure.savefig = lambda self, out, **_: PIL.Image.new("RGB", (90, 60)).save(out, "PNG")
workers.results = lambda read, tasks, jobs: ((task, workers._attempt(read, task)) for task in tasks)

class Uploaded:
    "Stands for the repository of a push, and keeps what is committed to it in a folder."
    class target:
        name = "me/x"
    def create(self):
        pass
    def commit(self, files, _title):
        held = {name: data if isinstance(data, bytes) else data.read_bytes() for name, data in files.items()}
        folder = Path(os.environ["STEPS_WITHIN"]).parent / "hub"
        folder.mkdir(exist_ok=True)
        for name, data in held.items():
            (folder / name.replace("/", " ")).write_bytes(data)
        return "its address"

def run(script, *arguments):
    if script == "push":
        cli.run(lambda: publish.push(open_data_set(arguments[0]), Uploaded(), {}) and 0)
    if script == "new_dataset.py":  # its first build is a process of its own
        subprocess.run = lambda *_, **__: os._exit(0)
    steps.run_script(script, *arguments)
"""
COMMANDS = {
    "build": ("data/dmfc-rsg/preprocess.py", "--data_dir", "{raw}", "--out_dir", "{out}/made"),
    "download": ("data/m1-a/download.py", "--data_dir", "{out}", "--jobs", 1),
    "download of zip files": ("data/wojcik/download.py", "--data_dir", "{out}", "--jobs", 1),
    "download from GIN": ("data/papale/download.py", "--data_dir", "{out}", "--jobs", 1),
    "merge": ("merge_datasets.py", "--components", "{of}", "{build}/m1-b", "--out_dir", "{out}/made"),
    "motifs": ("extract_motifs.py", "--p_n", 1, "--p_t", 8, "--repo_name", "{of}", "--jobs", 1, "--out_dir", "{out}"),
    "new data set": ("new_dataset.py", "lab", "--from", "nwb", "--data_dir", "{raw}", "--data_root", "{out}"),
    "orders": ("reorder_units.py", "--orders_only", "--repo_name", "{of}", "--out_dir", "{out}/made"),
    "page": ("visualize_dataset.py", "--report", "--out_dir", "{out}"),
    "push": ("push", "{of}"),
    "rasters": ("visualize_dataset.py", "--repo_name", "{of}", "--n_examples", 1, "--out_dir", "{out}"),
    "reordered": ("reorder_units.py", "--repo_name", "{of}", "--out_dir", "{out}/made"),
    "summary": ("visualize_dataset.py", "--summary", "--repo_name", "{of}", "--out_dir", "{out}"),
    "tokens": ("tokenize_dataset.py", "--p_n", 1, "--p_t", 4, "--vocabulary", 50, "--jobs", 1, "--repo_name", "{of}",
               "--out_dir", "{out}/made"),
}  # fmt: skip

DOWNLOADED = {
    "sub-A/sub-A_ses-1.nwb": bytes(70_000),
    "sub-B/sub-B_ses-1.nwb": bytes(range(256)) * 300,
    "m1_ses1.zip": zipped({"a.npy": b"a" * 5_000, "b/c.npy": b"c" * 5_000}),
    "monkeyF/THINGS_MUA_trials.mat": b"mat" * 2_000,
}
KINDS = [pytest.param(name, marks=[pytest.mark.slow] * (name in ("page", "summary"))) for name in COMMANDS]
ALIKE = "page", "rasters", "reordered"  # they write as others do: figures, and rows
REFUSING = [kind for kind in KINDS if kind.values[0] not in ALIKE]
ONCE = "\ninterrupted; run the same command again\n"
MANY = "build", "download", "download of zip files", "download from GIN"  # a line for each session or file
LINE = re.compile(r"error: (?P<where>.+): expected [^\n]+, found [^\n]+; [^\n]+\n")


class Tried:
    """The commands, and the folder in which they are tried."""

    def __init__(self, folder: Path, archives: LoopbackArchives) -> None:
        self.root = folder / "within"
        for name in ("old", "new"):
            for i in range(3):
                trains = [np.arange(0.5, 9, 0.3 + 0.1 * i), np.arange(1, 9, 0.7)]
                write_units(folder / f"raw {name}" / "sub-A" / f"{i}.nwb", trains[: 1 + (name == "new")])
        for seed, place in enumerate(("old/m1-a", "within/build/m1-a", "within/build/m1-b")):
            write_tables(write_build(folder / place, 8, seed))
        self.out = self.root / "out"
        self.tries = Tries(self.root, PREPARE, **archives.environment())

    def run(self, command: str, version: str = "new", **more):
        """Try a command on the old or the new input."""
        of = self.root / "build" / "m1-a" if version == "new" else self.root.parent / "old" / "m1-a"
        places = {"out": self.out, "of": of, "raw": self.root.parent / f"raw {version}", "build": self.root / "build"}
        return self.tries(*(str(part).format(**places) for part in COMMANDS[command]), **more)

    def start(self, before=None) -> None:
        """Undo what the tries before have made; put the files `before` in place of it."""
        for path in [self.out, *(self.root / "build").glob(".*"), self.root.parent / "hub"]:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for name in set(before or ()) - set(self.files()):
            (self.root.parent / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root.parent / name).write_bytes(before[name])

    def files(self) -> dict[str, bytes]:
        """All that commands have written."""
        found = [path for path in self.root.rglob("*") if path.is_file() or path == self.root / "tmp"]
        found += (self.root.parent / "hub").rglob("*")
        return {str(path.relative_to(self.root.parent)): content(path) for path in found}

    def shown(self) -> dict[str, bytes]:
        """Those under final names."""
        return {name: data for name, data in self.files().items() if "/." not in name and PARTIAL not in name}


def content(path: Path) -> bytes:
    """The content of a file, but for when files were downloaded; of the folder of temporary files, what is in it."""
    if path.is_dir():
        return str([*path.iterdir()]).encode()
    data = path.read_bytes()
    return re.sub(rb"(?<=\d,)\s+\d{10}(?=\s)", b"", data) if path.name == "downloads.json" else data


def said(ended) -> str:
    """What a command says on stderr, but for notes: archives of tests do not have all files."""
    return "".join(line for line in ended.err.splitlines(keepends=True) if not line.startswith("note: "))


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    with LoopbackArchives(dict(DOWNLOADED)) as archives:
        made = Tried(tmp_path_factory.mktemp("steps"), archives)
        yield made
        made.tries.close()


class Case:
    """A command, and what it makes undisturbed.

    Attributes:
        before: the files that it finds; of another result, or none.
        old, new: all files under final names before and after it.
        after: all files after it, hidden ones too.
        steps: those that it takes.
    """

    def __init__(self, tried: Tried, command: str, over: bool) -> None:
        self.tried, self.command = tried, command
        tried.start()
        if over:
            assert tried.run(command, "old").status == 0
        self.before = tried.files() if over else {}
        self.old = tried.shown()
        ended = tried.run(command)
        assert (ended.status, said(ended)) == (0, ""), ended
        self.steps, self.after, self.new = ended.steps, tried.files(), tried.shown()
        assert len(self.steps) > 4
        assert over or self.old != self.new

    def disturbed(self, what: str, **how):
        """Run the command from the start, with `at` of `Tries`; check what it leaves, then run it again."""
        self.tried.start(self.before)
        ended = self.tried.run(self.command, **how)
        some = self.command == "build" and ended.status == 1
        self.check_whole(f"{self.command}: {what} {[*how['at']]}, {self.steps[min(how['at'])]}", some)
        return ended

    def check_whole(self, when: str, some: bool) -> None:
        """Check that what is under final names is whole, and of one result; or that the rows of `some` sessions are."""
        shown, made = self.tried.shown(), self.tried.out / "made"
        if some:
            shown = {name: data for name, data in shown.items() if "/made/rows/" in name}
            assert shown.items() <= self.new.items(), f"{when}: other rows"
            return
        if (listed := shown.pop("within/out/downloads.json", None)) is not None:  # it grows with the files
            assert record.read(self.tried.out), listed
        possible = self.new | {f"within/out/{name}": data for name, data in DOWNLOADED.items()}
        changed = [name for name, data in shown.items() if self.old.get(name) != data and not name.endswith(".part")]
        assert all(possible.get(name) == shown[name] for name in changed), f"{when}: half-written {changed}"
        kept = [name for name, data in shown.items() if self.new.get(name) != data]
        if self.command == "motifs":
            assert not changed or not kept, f"{when}: {kept} beside {changed}"
        elif arrow.is_finished(made) if self.command == "build" else made.exists() and self.command != "orders":
            assert shown in (self.old, self.new), f"{when}: {kept} beside {changed}"

    def check_again(self, when: str) -> None:
        """Check that the same command again makes what an undisturbed one makes, and leaves nothing else."""
        ended = self.tried.run(self.command)
        if self.command == "new data set" and ended.status:  # its last file was there
            assert "found a data set of this name; choose another, or remove the folder\n" in ended.err, (when, ended)
            return
        assert (ended.status, said(ended)) == (0, ""), (when, ended)
        found = self.tried.files()
        assert sorted(found) == sorted(self.after), when
        assert found == self.after, when


def cases(tried, command):
    """The command where there was nothing before, and where there was another result."""
    yield Case(tried, command, over=False)
    if "download" not in command and command not in ("new data set", "push"):
        yield Case(tried, command, over=True)


def check_kill(case, n):
    ended = case.disturbed("killed", at={n: signal.SIGKILL})
    assert ended.status == -signal.SIGKILL, n
    case.check_again(f"{case.command}: killed before {n}, {case.steps[n]}")


@pytest.mark.slow
@pytest.mark.parametrize("command", KINDS)
def test_a_command_killed_before_any_step_leaves_a_whole_result_and_goes_on(command, tried):
    for case in cases(tried, command):
        for n, around in enumerate(zip(["", *case.steps], case.steps, [*case.steps[1:], ""], strict=False)):
            if len(set(around)) > 1:  # not in the midst of many rows, or of many files that are flushed
                check_kill(case, n)


@pytest.mark.faults
@pytest.mark.parametrize("command", KINDS)
def test_a_command_killed_before_a_step_leaves_a_whole_result_and_goes_on(command, tried, faults_seed):
    rng = random.Random(f"{faults_seed} {command}")
    for case in cases(tried, command):
        for n in rng.sample(range(len(case.steps)), 3):
            check_kill(case, n)


@pytest.mark.faults
@pytest.mark.parametrize("command", REFUSING)
def test_an_interrupt_is_one_line_and_a_second_one_ends_the_command_without_a_traceback(command, tried, faults_seed):
    rng = random.Random(f"{faults_seed} {command}")
    case = next(cases(tried, command))
    for _ in range(4):
        n = rng.randrange(len(case.steps) - 1)
        ended = case.disturbed("interrupted", at={n: signal.SIGINT})
        assert (ended.status, said(ended)) == (130, ONCE), (n, case.steps[n], ended)
        case.check_again(f"interrupted before {n}, {case.steps[n]}")
        at = {n: signal.SIGINT, rng.randrange(n + 1, len(case.steps)): signal.SIGINT}
        ended = case.disturbed("interrupted twice", at=at)
        assert ended.status in (130, -signal.SIGINT), (at, ended)
        assert said(ended) in (ONCE, ""), (at, ended)
        case.check_again(f"interrupted before {[*at]}, {case.steps[n]}")


@pytest.mark.faults
@pytest.mark.parametrize("number", REFUSED, ids=errno.errorcode.get)
@pytest.mark.parametrize("command", REFUSING)
def test_a_step_that_the_system_refuses_is_one_line_that_names_the_file(command, number, tried, faults_seed):
    rng = random.Random(f"{faults_seed} {command} {number}")
    case = next(cases(tried, command))
    can = [n for n, step in enumerate(case.steps) if step.split()[0] in REFUSED[number]]
    for n, on in zip(rng.sample(can, 4), (False, True, False, True), strict=True):
        when = f"{command}: {errno.errorcode[number]} at {n}{' and on' * on}, {case.steps[n]}"
        ended = case.disturbed(errno.errorcode[number], at={n: -number}, on=on)
        if ended.status:
            lines = said(ended).splitlines(keepends=True)
            assert lines, (when, ended)
            assert all(map(LINE.fullmatch, lines)), (when, ended)
            assert len(lines) == 1 or command in MANY, (when, ended)
            assert str(tried.root.parent) in lines[0] or "download" in command, (when, ended)
        else:
            assert said(ended) == "", (when, ended)
            assert tried.shown() == case.new, when
        case.check_again(when)
