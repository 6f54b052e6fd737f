"""A vocabulary: the motifs that a tokenizer has ids for, and the two files that keep them.

Ids are numbered in this order: 16 special ones (`SPECIAL` names those in use, the others are reserved), 256 that stand
for the counts 0 to 255 after ESCAPE, and then the motifs, the most frequent first, those of one frequency in
lexicographic order.

`vocabulary.json` says what it is, names the table of motifs beside it, which `motifs.parquet` writes, and has a
checksum of the motifs. Nothing that can run code is read.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from neuralpile import __version__
from neuralpile.errors import BadInput, of_json
from neuralpile.files import write_text
from neuralpile.motifs import kernels, parquet
from neuralpile.motifs.extract import Motifs, motifs_of
from neuralpile.motifs.kernels import Table
from neuralpile.motifs.parquet import Counted

FILE = "vocabulary.json"
SPECIAL = ("PAD", "SEP", "UNK", "MASK", "ESCAPE")
PAD, SEP, UNK, MASK, ESCAPE = range(len(SPECIAL))
N_SPECIAL = 16  # room for those that models need beside
FIRST_COUNT = N_SPECIAL  # id of the count 0
FIRST_MOTIF = FIRST_COUNT + 256  # id of the most frequent motif
SIZES = tuple(256 << k for k in range(10))  # of vocabularies whose coverage is reported: 256 to 131,072 motifs

VERSION = 1  # of the format
AGAIN = "delete it and copy or download it again, or fit it again with tokenize_dataset.py"
FIT = "give a tokenized data set, or fit it with tokenize_dataset.py"
Positive = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True)
class Fitted:
    """What a vocabulary was fitted on.

    Attributes:
        data_set: its name.
        split: which of its splits was counted.
        fingerprint: of the rows.
        tokens: units × bins that were counted.
        patches: number of patches.
        unique: number of motifs, of which the vocabulary has the most frequent.
        asked: number of motifs that were asked for.
        coverage: share of the patches that the most frequent 256, 512, … motifs have.
        order: by what the units were ordered: similarity, rate or area; None where they are as recorded.
        version: of this package.
    """

    data_set: str
    split: str
    fingerprint: str
    tokens: Positive
    patches: Positive
    unique: Positive
    asked: Positive
    coverage: dict[int, float]
    order: str | None = None
    version: str = __version__


class _Version(msgspec.Struct):
    """Which version of the format `vocabulary.json` has."""

    format: Literal["neuralpile vocabulary"]
    format_version: int


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The content of `vocabulary.json`."""

    format: Literal["neuralpile vocabulary"]
    format_version: Positive
    p_n: Positive
    p_t: Positive
    special: dict[str, int]
    n_special: int
    first_count: int
    first_motif: int
    motifs: Positive
    table: Annotated[str, Meta(pattern=r"^vocabulary-[0-9a-f]{16}\.parquet$")]
    sha256: str
    fitted_on: Fitted


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The motifs that a tokenizer has ids for.

    Attributes:
        motifs: the most frequent first, at least one.
        fitted_on: of what they are the most frequent.
    """

    motifs: Motifs
    fitted_on: Fitted

    def __len__(self) -> int:
        """Number of motifs."""
        return len(self.motifs.frequencies)

    @property
    def p_n(self) -> int:
        """Units of a patch."""
        return int(self.motifs.patches.shape[1])

    @property
    def p_t(self) -> int:
        """Bins of a patch."""
        return int(self.motifs.patches.shape[2])

    @property
    def n_ids(self) -> int:
        """Number of ids: the size of a model's embedding."""
        return FIRST_MOTIF + len(self)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest type that holds all ids: uint16, or uint32."""
        return np.dtype(np.uint16 if self.n_ids <= 2**16 else np.uint32)

    @cached_property
    def sha256(self) -> str:
        """Checksum of the shape, the motifs and their frequencies; it does not depend on how Parquet is written."""
        sha = hashlib.sha256(repr(self.motifs.patches.shape).encode())
        sha.update(np.ascontiguousarray(self.motifs.patches).data)
        sha.update(self.motifs.frequencies.astype("<i8").data)
        return sha.hexdigest()

    def save(self, folder: Path) -> None:
        """Write the vocabulary to a folder, which can hold other files.

        The same vocabulary gives the same bytes. If the process is killed, the folder holds the old one or the new one.
        """
        facts = self.fitted_on
        table = f"vocabulary-{self.sha256[:16]}.parquet"
        keys = keys_of(self.motifs.patches)
        counted = Counted(facts.data_set, self.p_n, self.p_t, facts.tokens, facts.patches)
        parquet.write([Table(keys, self.motifs.frequencies)], folder / table, counted, 1)
        content = {
            "format": "neuralpile vocabulary",
            "format_version": VERSION,
            "p_n": self.p_n,
            "p_t": self.p_t,
            "special": {name: i for i, name in enumerate(SPECIAL)},
            "n_special": N_SPECIAL,
            "first_count": FIRST_COUNT,
            "first_motif": FIRST_MOTIF,
            "motifs": len(self),
            "table": table,
            "sha256": self.sha256,
            "fitted_on": asdict(facts),
        }
        write_text(folder / FILE, msgspec.json.format(msgspec.json.encode(content), indent=1).decode() + "\n")
        for old in folder.glob("vocabulary-*.parquet"):
            if old.name != table:
                old.unlink()

    @classmethod
    def load(cls, folder: Path) -> "Vocabulary":
        """Read the vocabulary in a folder.

        Raises:
            BadInput: there is none, or its files are damaged or contradict each other. A pickle is not read.
        """
        path = folder if folder.is_file() else folder / FILE
        _check_start(path, b"{", "the JSON of a vocabulary")
        if folder.is_file():
            raise BadInput(folder, f"a folder with {FILE}", "a file", "give its folder")
        content = path.read_bytes()
        try:
            version = msgspec.json.decode(content, type=_Version).format_version
            if version > VERSION:
                raise BadInput(path, f"version {VERSION} of the format", f"version {version}", "update neuralpile")
            stated = msgspec.json.decode(content, type=_File)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadInput(path, "the JSON of a vocabulary", of_json(error), AGAIN) from None
        ids = stated.special, stated.n_special, stated.first_count, stated.first_motif
        if ids != ({name: i for i, name in enumerate(SPECIAL)}, N_SPECIAL, FIRST_COUNT, FIRST_MOTIF):
            raise BadInput(path, "the ids of this version", "others", AGAIN)
        table = folder / stated.table
        _check_start(table, b"PAR1", "the table of a vocabulary")
        start = parquet.read_start(table, stated.motifs, AGAIN)
        vocabulary = cls(start.motifs, stated.fitted_on)
        shape = start.counted.p_n, start.counted.p_t, len(vocabulary), start.unique
        if shape != (stated.p_n, stated.p_t, stated.motifs, stated.motifs):
            expected = f"{stated.motifs:,} motifs of {stated.p_n} × {stated.p_t}, as {FILE} says"
            raise BadInput(table, expected, f"{shape[3]:,} of {shape[0]} × {shape[1]}", AGAIN)
        if vocabulary.sha256 != stated.sha256:
            raise BadInput(table, f"motifs with the checksum that {FILE} states", "others", AGAIN)
        return vocabulary


def _check_start(path: Path, start: bytes, expected: str) -> None:
    """Check the first bytes of a file before any of it is parsed."""
    try:
        with path.open("rb") as file:
            found = file.read(len(start))
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise BadInput(path, expected, "none", FIT) from None
        raise BadInput(path, expected, error.strerror or str(error), AGAIN) from None
    if found[:1] == b"\x80":
        do = f"{AGAIN}; it was not read, because a pickle can run any code"
        raise BadInput(path, expected, "a pickle", do)
    if found != start:
        raise BadInput(path, expected, "something else", AGAIN)


def fit(
    parts: Iterable[Table],
    size: int,
    p_n: int,
    p_t: int,
    data_set: str,
    split: str,
    fingerprint: str,
    tokens: int,
    order: str | None = None,
) -> Vocabulary:
    """Make a vocabulary of the most frequent motifs.

    Parameters:
        parts: all motifs of the training rows, the most frequent first, those of one frequency in lexicographic order,
            as `motifs.extract.extract` gives them.
        size: number of motifs; fewer where there are fewer.
        p_n, p_t: units and bins of a patch.
        data_set, split, fingerprint, tokens, order: as in `Fitted`.
    """
    wanted = max(size, SIZES[-1])
    keys: list[kernels.Words] = []
    frequencies: list[NDArray[np.int64]] = []
    unique = patches = 0
    for part in parts:
        left = max(0, wanted - unique)
        keys.append(part.keys[: min(left, max(0, size - unique))])
        frequencies.append(part.frequencies[:left])
        unique += len(part.keys)
        patches += int(part.frequencies.sum())
    held = np.cumsum(np.concatenate(frequencies))
    coverage = {n: float(held[min(n, len(held)) - 1] / patches) for n in SIZES}
    table = Table(np.concatenate(keys), np.concatenate(frequencies)[:size])
    facts = Fitted(data_set, split, fingerprint, tokens, patches, unique, size, coverage, order)
    return Vocabulary(motifs_of(table, p_n, p_t), facts)


def fit_rows(rows: Iterable[NDArray[np.uint8]], p_n: int, p_t: int, size: int) -> Vocabulary:
    """Make a vocabulary of rows in memory, such as of one session.

    Parameters:
        rows: counts (units, bins), uint8, of each row.
        p_n, p_t: units and bins of a patch.
        size: number of motifs; fewer where there are fewer.

    Returns:
        The vocabulary.

    Raises:
        BadInput: the rows have no counts.
    """
    tally, tokens = kernels.Tally(p_n, p_t), 0
    for counts in rows:
        tally.add(counts)
        tokens += counts.size
    if not tokens:
        raise BadInput("rows", "rows with counts", "none", "give others")
    table = kernels.most_frequent_first(tally.table())
    return fit([table], size, p_n, p_t, "rows", "", "", tokens)


def keys_of(patches: NDArray[np.uint8]) -> kernels.Words:
    """Return the keys of patches (n, p_n, p_t), as `kernels.bytes_of` takes them: (n, words), uint64."""
    flat = patches.reshape(len(patches), -1)
    padded = np.zeros((len(flat), 8 * kernels.n_words(flat.shape[1])), np.uint8)
    padded[:, : flat.shape[1]] = flat
    return padded.view(">u8").astype(np.uint64)
