"""Subject and session of a recording, from its path.

A folder is named after a subject, or after something else: a session, a date, a stage of processing, a sorter. Only the
first becomes a subject. BIDS and DANDI mark it, `sub-<label>`, in folders and at the start of file names
(https://bids-specification.readthedocs.io, "Entities"). Other folders are no subjects if they consist of the words
below, of numbers and of dates.
"""

import re
from collections.abc import Iterator
from pathlib import PurePath, PurePosixPath

from neuralpile.recordings.hdf5 import Recording

_SUBJECT = re.compile(r"sub-[^_]+", re.IGNORECASE)
_SESSION = re.compile(r"ses-[^_]+", re.IGNORECASE)
# 2024-01-31, 20240131, 240131, 31.01.2024
_DATE = re.compile(
    r"(?<!\d)((19|20)\d\d([-_. ]?)(0[1-9]|1[0-2])\3(0[1-9]|[12]\d|3[01])|\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
    r"|(0[1-9]|[12]\d|3[01])([-_. ])(0[1-9]|1[0-2])\9(19|20)\d\d)(?!\d)"
)
_NUMBER = re.compile(r"\d{1,3}|(19|20)\d\d")  # of a session, or a year
_SPIKEGLX = re.compile(r"_g\d+(_|$)")  # a run of SpikeGLX: <name>_g0, <name>_g0_imec0


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words of folders, with or without a number behind them: of a sorter's output, of a part of a session, all others.
_PROGRAM = _words("""
    kilosort pykilosort ks phy mountainsort spykingcircus tridesclous ironclust herdingspikes klusta klustakwik waveclus
    combinato yass spikeinterface spikesorting spikesorter sortingview""")  # a folder with one of these is a sorter's
_SORTER = _PROGRAM | _words("""
    sorter sorters sorting sorted spike spikes sort output outputs result results curated manual merged folder interface
    export exported final in container analyzer analyser waveforms postprocessed offline""")
_PROBE = _words("""
    probe probea probeb probec probed imec shank array port tetrode channel block node record recording experiment
    continuous alf""")
_OTHER = _words("""
    session sessions ses sess day days date run runs rec recs recordings trial trials epoch exp experiments raw rawdata
    data dataset datasets source sourcedata derivatives derived processed preprocessed processing analysis analyses nwb
    nwbs mat matlab csv tsv npy npz numpy parquet table tables neo nev nex plx nsx blackrock plexon neuralynx tdt
    pynapple h5 hdf5 file files export exports download downloads ecephys icephys ephys ophys electrophysiology
    neuropixels neural units clusters beh behav behavior behaviour ieeg eeg meg image train test val validation calib
    all new old tmp temp copy backup archive project projects lab labs shared work scratch home users mnt media v
    version macosx""")
_KINDS = _words("""
    sub subject subjects animal animals participant participants patient patients monkey monkeys macaque macaques human
    humans mouse mice rat rats ferret ferrets marmoset marmosets""")  # `rat` is no subject, `rat1` is one
# Such a word with a name: monkeyB, Monkey_Ada, rat12
_ANIMAL = re.compile(f"(?i:{'|'.join(_KINDS)})([-_ ]?([A-Z][a-z]*|[0-9]{{1,4}}[a-z]?)|[-_ ][a-z]+)")


def subject(recording: "Recording | PurePath") -> str:
    """The subject that BIDS marks in a path: the nearest folder `sub-<label>`, or the start of the name; "" for none.

    Example:
        >>> from pathlib import Path
        >>> subject(Path("sub-01/ses-02/ecephys/x.nwb")), subject(Path("raw/sub-A_ses-1.nwb")), subject(Path("a/x.nwb"))
        ('sub-01', 'sub-A', '')
    """
    return next((found[0] for name in [*_folders(recording), recording.stem] if (found := _SUBJECT.match(name))), "")


def session(recording: "Recording | PurePath") -> str:
    """The session of a file: its name, after the BIDS folder `ses-<label>` that it is in, unless it has that itself.

    Example:
        >>> from pathlib import Path
        >>> session(Path("sub-01/ses-02/ecephys/x.nwb")), session(Path("rat1/day1.nwb"))
        ('ses-02_x', 'day1')
    """
    label = next((found[0] for name in _folders(recording) if (found := _SESSION.search(name))), "")
    return recording.stem if not label or _SESSION.search(recording.stem) else f"{label}_{recording.stem}"


def session_of_folder(folder: PurePath) -> str:
    """The session of a folder of files: its name. A sorter's folder has that of the one above, a probe's both names.

    Example:
        >>> from pathlib import Path
        >>> session_of_folder(Path("rat1/2024-01-01/probe0/kilosort4")), session_of_folder(Path("rat1/day1"))
        ('2024-01-01_probe0', 'day1')
    """
    names = [folder.name, *_folders(folder)]
    while len(names) > 1 and (_is_sorters(names[0]) or _probes(names[0]) & _probes(names[1])):
        del names[0]
    numbered = bool(_NUMBER.fullmatch(names[0])) and _is_sorters(names[1] if len(names) > 1 else "")  # kilosort4/0
    of_probe = (_consists_of(name, _PROBE | _SORTER) and not _DATE.search(name) for name in names[numbered:])
    last = next((i for i, goes_on in enumerate(of_probe) if not goes_on), 0) + numbered
    return "_".join(reversed(names[: last + 1]))


def names_no_session(name: str) -> bool:
    """Whether a folder's name tells nothing of a session: `data`, `results`."""
    return name.casefold() in _SORTER | _PROBE | _OTHER


def subject_of_folders(path: str, session_id: str) -> str:
    """The nearest folder that can be named after a subject; "" if there is none.

    Parameters:
        path: of the recording, below the folder of all recordings.
        session_id: its session. A folder that is the session is the subject only if it is named like an animal
            (`monkeyB`) and no folder above can be one. The same holds for a file.

    Example:
        >>> subject_of_folders("Subjects/NYU-11/2020-01-21/001/alf/spikes.csv", "spikes")
        'NYU-11'
        >>> subject_of_folders("raw/session1/x.nwb", "x"), subject_of_folders("rat1/day1/spike_clusters.npy", "day1")
        ('', 'rat1')
        >>> subject_of_folders("monkeyB/kilosort4/spike_clusters.npy", "monkeyB")
        'monkeyB'
    """
    folders = list(PurePosixPath(path).parent.parts)
    own = PurePosixPath(path).stem
    if not session_id.endswith(own):
        at = next((i for i in reversed(range(len(folders))) if session_id.startswith(folders[i])), len(folders))
        own = folders[at] if at < len(folders) else ""
        del folders[at:]
    found = next((name for name in reversed(folders) if not _names_no_subject(name)), "")
    return found or (own if _ANIMAL.fullmatch(own) and not _tokens(own) & _OTHER else "")


def _folders(path: "Recording | PurePath") -> Iterator[str]:
    """The names of the folders that a path is in, the nearest first."""
    return (folder.name for folder in (path.parent, *path.parent.parents) if folder.name)


def _names_no_subject(name: str) -> bool:
    """Whether a folder's name names no subject."""
    marked = _DATE.search(name) or _SPIKEGLX.search(name) or _SESSION.match(name) or _NUMBER.fullmatch(name)
    return bool(marked) or name.casefold() in _KINDS or _consists_of(name, _SORTER | _PROBE | _OTHER)


def _is_sorters(name: str) -> bool:
    """Whether a folder is a sorter's: one of words of sorters, or with a sorter's name and none of a probe (ks2.5_try).

    One with a date is not: the date may be all that tells sessions apart.
    """
    tokens = _tokens(name)
    of_words = _consists_of(name, _SORTER | {"data"}) and bool(tokens & _SORTER)  # sorted_data
    is_sorters = of_words or (bool(_PROGRAM & tokens) and not _PROBE & tokens)
    return is_sorters and not _DATE.search(name)


def _tokens(name: str) -> set[str]:
    """The words of a name, without numbers behind them."""
    return {token.rstrip("0123456789") for token in re.findall(r"[^\W_]+", name.casefold())}


def _probes(name: str) -> set[str]:
    """The probes that a name names, with their numbers: imec0."""
    tokens = re.findall(r"[^\W_]+", name.casefold())
    return {token for token in tokens if token.rstrip("0123456789") in _PROBE and token[-1].isdigit()}


def _consists_of(name: str, words: frozenset[str]) -> bool:
    """Whether a name has such words, with or without numbers, and nothing else but numbers of up to three digits."""
    for spelled in (name, re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)):  # rawData
        tokens = re.findall(r"[^\W_]+", spelled.casefold())
        known = [token.rstrip("0123456789") in words for token in tokens]
        if any(known) and all(ok or _NUMBER.fullmatch(token) for ok, token in zip(known, tokens, strict=True)):
            return True
    return False
