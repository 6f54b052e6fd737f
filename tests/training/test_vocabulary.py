"""Vocabularies: the most frequent motifs, in files that are the same everywhere, and refused if damaged."""

import json
import pickle
import shutil
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralpile import files
from neuralpile.errors import BadInput
from neuralpile.training import vocabulary
from neuralpile.training.tokens import Tokenizer
from neuralpile.training.vocabulary import FILE, Vocabulary, fit_rows


def counts(seed=0, shape=(9, 160), rate=0.5):
    return np.random.default_rng(seed).poisson(rate, shape).astype(np.uint8)


@settings(max_examples=30)
@given(st.integers(0, 20), st.integers(1, 300))
def test_it_has_the_most_frequent_motifs_in_order_of_frequency_then_of_bytes(seed, size):
    matrix = counts(seed)
    counter = Counter(matrix[i, j : j + 4].tobytes() for i in range(9) for j in range(0, 160, 4))
    expected = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    found = fit_rows([matrix], 1, 4, size)
    assert [(p.tobytes(), n) for p, n in zip(*vars(found.motifs).values(), strict=True)] == expected[:size]
    facts = found.fitted_on
    assert (facts.patches, facts.unique, facts.tokens, facts.asked) == (360, len(expected), 9 * 160, size)
    assert facts.coverage[256] == sum(n for _, n in expected[:256]) / 360


def test_rows_in_another_order_give_the_same_bytes(tmp_path):
    matrices = [counts(seed) for seed in range(5)]
    fit_rows(matrices, 2, 3, 100).save(tmp_path / "a")
    fit_rows(matrices[::-1], 2, 3, 100).save(tmp_path / "b")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(names) == 2
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_was_saved_is_loaded(tmp_path):
    saved = fit_rows([counts()], 2, 3, 100)
    saved.save(tmp_path)
    loaded = Vocabulary.load(tmp_path)
    assert (loaded.motifs.patches == saved.motifs.patches).all()
    assert (loaded.motifs.frequencies == saved.motifs.frequencies).all()
    assert loaded.fitted_on == saved.fitted_on
    assert (loaded.n_ids, loaded.dtype) == (372, np.uint16)


def test_special_ids_and_counts_come_before_the_motifs_and_stand_in_the_file(tmp_path):
    fit_rows([counts()], 2, 3, 100).save(tmp_path)
    stated = json.loads((tmp_path / FILE).read_text())
    assert stated["special"] == {"PAD": 0, "SEP": 1, "UNK": 2, "MASK": 3, "ESCAPE": 4}
    assert [stated[key] for key in ("n_special", "first_count", "first_motif", "motifs")] == [16, 16, 272, 100]


def test_ids_above_65535_need_uint32():
    patches = np.arange(70_000, dtype=">u4").view(np.uint8).reshape(-1, 1, 4)
    large = fit_rows([patches.reshape(1, -1)], 1, 4, 65_265)
    assert large.dtype == np.uint32
    assert fit_rows([patches.reshape(1, -1)], 1, 4, 65_264).dtype == np.uint16


@pytest.mark.parametrize("step", ["table", "json"])
def test_a_save_that_is_interrupted_leaves_the_old_one(tmp_path, monkeypatch, step):
    old, new = fit_rows([counts()], 2, 3, 100), fit_rows([counts(1)], 2, 3, 50)
    old.save(tmp_path)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(
        *((vocabulary.parquet, "write") if step == "table" else (vocabulary, "write_text")), interrupted
    )
    with pytest.raises(KeyboardInterrupt):
        new.save(tmp_path)
    assert Vocabulary.load(tmp_path).sha256 == old.sha256
    monkeypatch.undo()
    new.save(tmp_path)
    assert Vocabulary.load(tmp_path).sha256 == new.sha256
    assert len(list(tmp_path.iterdir())) == 2


class Loud:
    """A pickle that does something when it is read."""

    def __reduce__(self):
        return print, ("the pickle was read",)


@pytest.mark.parametrize("where", ["file", FILE, "table"])
def test_a_pickle_is_refused_unread(tmp_path, capsys, where):
    """The published tokenizer is one: a dictionary of motifs, with a separator."""
    fit_rows([counts()], 1, 8, 100).save(tmp_path)
    path = {"file": tmp_path / "x.pkl", FILE: tmp_path / FILE, "table": next(tmp_path.glob("*.parquet"))}[where]
    path.write_bytes(pickle.dumps({(0,) * 8: 0, "loud": Loud()}))
    with pytest.raises(BadInput, match=r"found a pickle; .* because a pickle can run any code"):
        Tokenizer.from_pretrained(path if where == "file" else tmp_path)
    assert capsys.readouterr().out == ""


def edited(**changes):
    def change(folder):
        stated = json.loads((folder / FILE).read_text())
        files.write_text(folder / FILE, json.dumps(stated | changes))

    return change


def of_other_rows(folder):
    fit_rows([counts(1)], 1, 8, 30).save(folder / "other")
    (other,) = (folder / "other").glob("*.parquet")
    (table,) = folder.glob("*.parquet")
    other.replace(table)


def without_table(folder):
    next(folder.glob("*.parquet")).unlink()


def cut(folder):
    (table,) = folder.glob("*.parquet")
    table.write_bytes(table.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (edited(motifs=29), "29 motifs of 1 × 8, as vocabulary.json says, found 30"),
        (edited(motifs=31), "31 motifs"),
        (edited(p_t=4), "30 motifs of 1 × 4, as vocabulary.json says, found 30 of 1 × 8"),
        (edited(sha256="0" * 64), "motifs with the checksum that vocabulary.json states"),
        (edited(format_version=2), "expected version 1 of the format, found version 2; update neuralpile"),
        (edited(format_version=2, more=1), "found version 2; update neuralpile"),
        (edited(format_version=0), "found no `int` >= 1"),
        (edited(format="x"), "expected the JSON of a vocabulary"),
        (edited(table="../x.parquet"), "expected the JSON of a vocabulary"),
        (edited(first_motif=260), "the ids of this version"),
        (edited(motifs=-1), "expected the JSON of a vocabulary"),
        (edited(more=1), "unknown field `more`"),
        (lambda folder: (folder / FILE).write_text("[1]"), "found something else"),
        (lambda folder: (folder / FILE).write_text("{"), "the JSON of a vocabulary"),
        (lambda folder: (folder / FILE).unlink(), "found none"),
        (of_other_rows, "motifs with the checksum"),
        (without_table, "expected the table of a vocabulary, found none"),
        (cut, "expected a table of motifs"),
        (shutil.rmtree, "found none"),
    ],
)
def test_files_that_are_damaged_or_do_not_belong_together_are_refused_in_one_line(tmp_path, damage, found):
    folder = tmp_path / "x"
    fit_rows([counts()], 1, 8, 30).save(folder)
    damage(folder)
    with pytest.raises(BadInput) as error:
        Vocabulary.load(folder)
    assert found in str(error.value)
    assert "\n" not in str(error.value)
    assert "extract_motifs" not in str(error.value)
    assert str(error.value).endswith(("with tokenize_dataset.py", "update neuralpile"))


def test_rows_without_counts_are_refused():
    with pytest.raises(BadInput, match="rows with counts"):
        fit_rows([], 1, 8, 30)
