"""What a build was made of: its manifest, with the checksums that download.py verified."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neuralpile import __version__
from neuralpile.acquire import archives, record
from neuralpile.acquire.range_file import RemoteRecording
from neuralpile.build.record import SessionFacts
from neuralpile.catalog import DataSetInfo
from neuralpile.corpus.manifest import Manifest, SessionSource, Source
from neuralpile.errors import BadInput
from neuralpile.recordings.hdf5 import Recording


def manifest(
    data_set: DataSetInfo,
    recipe: Mapping[str, Any],
    found: Mapping[str, Recording],
    sessions: Sequence[SessionFacts],
) -> Manifest:
    """The manifest of a build: for each session its recording, with its checksum if one is known.

    Parameters:
        data_set: the data set.
        recipe: the options and the digest of the code.
        found: the recordings by their paths in the data set.
        sessions: the facts of those that were built.
    """
    verified = _verified(found)
    entries = []
    for facts in sessions:
        recording = found[facts.file]
        if isinstance(recording, RemoteRecording):
            checksum = recording.file.checksum
            what = "this file, as the archive lists it; read in place, so not verified"
        else:
            unknown = f"not in {archives.RECORD} of its folder, or changed since"
            checksum, what = verified.get(facts.file, ("", unknown))
        entries.append(
            SessionSource(
                facts.file, facts.bytes, checksum or None, what, facts.subject_id, facts.session_id, facts.rows_sha256
            )
        )
    source = Source(data_set.archive, data_set.id, data_set.version)
    return Manifest(data_set.name, source, __version__, recipe, entries)


def _verified(found: Mapping[str, Recording]) -> dict[str, tuple[str, str]]:
    """Checksums that download.py verified, and what each is of, by the paths of files unchanged since then.

    An unpacked file has the checksum of the archive file that it came out of.
    """
    path, recording = next(iter(found.items()))
    if not isinstance(recording, Path):
        return {}
    try:
        downloads = record.verified(recording.parents[len(Path(path).parts) - 1])
    except (BadInput, OSError):  # not a list of download.py's: the manifest then states that no checksum is known
        return {}
    known = {}
    for here, (name, checksum) in downloads.items():
        what = "this file" if here == name else f"{name}, from which this file was unpacked"
        known[here] = checksum, what + ("; verified by download.py" if checksum else "; the archive lists no checksum")
    return known
