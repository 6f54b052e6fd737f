"""The tokenizer: what it encodes and decodes, and the sequences that it lays out."""

import numpy as np
import pytest
from helpers.small_corpora import write_rows_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neuralpile.errors import BadInput
from neuralpile.training.tokens import Tokenizer
from neuralpile.training.vocabulary import ESCAPE, FIRST_COUNT, FIRST_MOTIF, PAD, SEP, fit_rows
from neuralpile.training.windows import Windows

SHAPES = [(1, 1), (1, 8), (1, 10), (1, 15), (15, 1), (4, 4), (2, 8), (3, 7), (1, 40)]


def matrices(most=3):
    shape = st.tuples(st.integers(1, 20), st.integers(1, 60))
    return shape.flatmap(lambda s: arrays(np.uint8, s, elements=st.integers(0, most), fill=st.just(0)))


def patches_of(counts, p_n, p_t):
    """The patches (groups, patches, p_n, p_t) of a row, padded with zeros."""
    padded = np.pad(counts, [(0, -counts.shape[0] % p_n), (0, -counts.shape[1] % p_t)])
    return padded.reshape(-1, p_n, padded.shape[1] // p_t, p_t).swapaxes(1, 2)


@settings(max_examples=60)
@given(matrices(255), matrices(2), st.sampled_from(SHAPES), st.integers(1, 30))
def test_exact_ids_give_the_counts_back(counts, fitted, shape, size):
    tokenizer = Tokenizer(fit_rows([fitted], *shape, size))
    ids = tokenizer.encode_lossless(counts)
    assert (tokenizer.decode(ids, counts.shape) == counts).all()
    for layout in ("units", "time"):
        again = tokenizer.groups(tokenizer.sequence(ids, layout), layout)
        assert [group.tolist() for group in again] == [group.tolist() for group in ids]


@settings(max_examples=60)
@given(matrices() | matrices(1).map(lambda m: m * 255), matrices(2), st.sampled_from(SHAPES), st.integers(1, 30))
def test_a_patch_of_the_vocabulary_keeps_its_counts_and_another_becomes_the_nearest(counts, fitted, shape, size):
    tokenizer = Tokenizer(fit_rows([fitted], *shape, size))
    ids = tokenizer.encode(counts)
    ranks = {motif.tobytes(): i for i, motif in enumerate(tokenizer.vocabulary.motifs.patches)}
    patches = patches_of(counts, *shape)
    assert ids.shape == patches.shape[:2]
    found = patches_of(tokenizer.decode(ids), *shape)
    for place in np.ndindex(*ids.shape):
        rank = ranks.get(patches[place].tobytes())
        if rank is None:
            rank = tokenizer.lookup._nearest.find(patches[place][None])[0]
        assert ids[place] == FIRST_MOTIF + rank
        assert (found[place] == tokenizer.vocabulary.motifs.patches[rank]).all()


def test_ids_are_those_of_a_dictionary_for_every_way_of_lookup():
    """Counts above 1, 3 and 15, patches with and without an index, whole ones and those at the edges."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.lognormal(-1, 1.5, (31, 1)), (31, 1_003)).astype(np.uint8)
    counts[3, 100:140] = 255
    for shape in SHAPES:
        tokenizer = Tokenizer(fit_rows([counts], *shape, 5 if shape == (1, 1) else 500))
        ids = {motif.tobytes(): FIRST_MOTIF + i for i, motif in enumerate(tokenizer.vocabulary.motifs.patches)}
        patches = patches_of(counts, *shape)
        expected = np.array([[ids.get(patch.tobytes(), 0) for patch in group] for group in patches])
        found = tokenizer.encode(counts)
        assert (found[expected > 0] == expected[expected > 0]).all(), shape
        exactly = np.concatenate(tokenizer.encode_lossless(counts))
        assert np.count_nonzero(exactly == ESCAPE) == np.count_nonzero(expected == 0) > 0, shape


def test_a_patch_of_many_spikes_does_not_carry_into_the_next_bin():
    """The vocabulary has what 255 + 1 and 0 - 1 would be in neighbouring bytes, and in the next word."""
    for shape in ((1, 2), (2, 1), (1, 10), (10, 1)):
        size = shape[0] * shape[1]
        for b in range(size - 1):
            patch, motif = np.zeros((2, size), np.uint8)
            patch[b], motif[b + 1] = 255, 1
            tokenizer = Tokenizer(fit_rows([motif.reshape(shape), np.full(shape, 3, np.uint8)], *shape, 2))
            (rank,) = tokenizer.lookup._nearest.find(patch.reshape(1, *shape))
            assert tokenizer.encode(patch.reshape(shape)).item() == FIRST_MOTIF + rank


def tokenizer_of_four():
    """Motifs of one unit and two bins: [0, 0] is 272, [1, 0] 273, [0, 1] 274, [1, 1] 275."""
    counts = np.array([[0, 0] * 4 + [1, 0] * 3 + [0, 1] * 2 + [1, 1]], np.uint8)
    return Tokenizer(fit_rows([counts], 1, 2, 10))


COUNTS = np.array([[0, 0, 1, 0, 7, 0], [0, 1, 1, 1, 0, 0]], np.uint8)


def test_windows_that_begin_at_patches_have_the_ids_of_their_row(tmp_path):
    counts = np.random.default_rng(0).poisson(0.4, (5, 96)).astype(np.uint8)
    write_rows_of(tmp_path / "x", [counts])
    tokenizer = Tokenizer(fit_rows([counts], 1, 8, 20))
    windows = Windows(str(tmp_path / "x"), split="train", n_bins=24, shuffle=False, jitter=False)
    assert len(windows) == 4
    found = np.concatenate([tokenizer.encode(window.counts) for window in windows], axis=1)
    assert (found == tokenizer.encode(counts)).all()


def test_an_escape_is_followed_by_the_counts():
    ids = tokenizer_of_four().encode_lossless(COUNTS)
    assert [group.tolist() for group in ids] == [
        [272, 273, ESCAPE, FIRST_COUNT + 7, FIRST_COUNT],
        [274, 275, 272],
    ]


def test_sequences_are_unit_after_unit_or_bin_after_bin():
    tokenizer = tokenizer_of_four()
    ids = tokenizer.encode(COUNTS)
    assert ids.tolist() == [[272, 273, 275], [274, 275, 272]]
    assert tokenizer.sequence(ids, "units").tolist() == [272, 273, 275, SEP, 274, 275, 272, SEP]
    assert tokenizer.sequence(ids, "time").tolist() == [272, 274, SEP, 273, 275, SEP, 275, 272, SEP]
    exact = tokenizer.encode_lossless(COUNTS)
    assert tokenizer.sequence(exact, "time").tolist() == [272, 274, SEP, 273, 275, SEP, ESCAPE, 23, 16, 272, SEP]


def test_a_sequence_is_never_cut_within_a_patch():
    tokenizer = tokenizer_of_four()
    found = tokenizer.sequences(tokenizer.encode_lossless(COUNTS), 4, "units")
    assert found.tolist() == [[272, 273, PAD, PAD], [ESCAPE, 23, 16, SEP], [274, 275, 272, SEP]]
    with pytest.raises(BadInput, match="length: expected at least 3, as one patch needs, found 2"):
        tokenizer.sequences(tokenizer.encode_lossless(COUNTS), 2)


def test_a_layout_that_there_is_not_is_one_line():
    tokenizer = Tokenizer(fit_rows([np.eye(2, dtype=np.uint8)], 1, 2, 2))
    ids = tokenizer.encode(np.eye(2, dtype=np.uint8))
    uses = (lambda: tokenizer.sequence(ids, "unit"), lambda: tokenizer.groups(tokenizer.sequence(ids), "unit"))
    for use in uses:
        with pytest.raises(BadInput, match="layout: expected one of units, time, found unit; give one of these"):
            use()


@settings(max_examples=30)
@given(matrices(9), st.integers(9, 30), st.sampled_from(["units", "time"]))
def test_sequences_of_one_length_joined_again_are_the_row(counts, length, layout):
    tokenizer = Tokenizer(fit_rows([counts % 3], 2, 4, 5))
    ids = tokenizer.encode_lossless(counts)
    found = tokenizer.sequences(ids, length, layout)
    assert found.shape[1] == length
    assert (tokenizer.decode(tokenizer.groups(found, layout), counts.shape) == counts).all()


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        ([[272, 276]], "272 to 275, or escapes, found 276"),
        ([[272, PAD]], "272 to 275, or escapes, found 0"),
        ([[272, -1]], "272 to 275, or escapes, found -1"),
        ([[ESCAPE, 16]], "2 counts after each escape"),
        ([[ESCAPE, 16, 16, 16]], "2 counts after each escape"),
        ([[272, 16]], "2 counts after each escape"),
        ([[16, 272]], "2 counts after each escape"),
        ([[16]], "2 counts after each escape"),
        ([[272], [272, 272]], "the same number of patches"),
        ([[272]], "at least 2 units × 2 bins"),
    ],
)
def test_ids_that_are_no_counts_are_refused(ids, found):
    with pytest.raises(BadInput, match=found):
        tokenizer_of_four().decode([np.array(group) for group in ids], (2, 2))


@settings(max_examples=20)
@given(matrices(), st.data())
def test_counts_in_another_order_come_back_as_recorded(counts, data):
    order = data.draw(st.permutations(range(len(counts))))
    tokenizer = Tokenizer(fit_rows([counts], 3, 4, 5))
    ids = tokenizer.encode_lossless(counts[order])
    assert (tokenizer.decode(ids, counts.shape, order) == counts).all()


@pytest.mark.parametrize(
    ("order", "found"), [([0], "1 units"), ([0, 1, 2], "3 units"), ([1, 1], "some of them twice"), ([1, 2], "others")]
)
def test_an_order_of_other_units_is_refused(order, found):
    with pytest.raises(BadInput, match=f"expected each of 2 units once, found .*{found}.*; give the order and the"):
        tokenizer_of_four().decode([[272], [273]], (2, 2), order)


@pytest.mark.parametrize("counts", [np.zeros((2, 3)), np.zeros((2, 3), np.int64), np.zeros(3, np.uint8)])
def test_counts_of_other_types_are_refused(counts):
    with pytest.raises(BadInput, match=r"expected uint8 of shape \(units, bins\)"):
        tokenizer_of_four().encode(counts)


def test_rows_without_units_or_bins_have_no_ids():
    tokenizer = tokenizer_of_four()
    for shape in ((0, 5), (3, 0), (0, 0)):
        counts = np.zeros(shape, np.uint8)
        assert tokenizer.encode(counts).shape == (shape[0], -(-shape[1] // 2))
        ids = tokenizer.encode_lossless(counts)
        assert tokenizer.decode(ids, shape).shape == shape
        assert tokenizer.groups(tokenizer.sequence(ids)) == [] or shape[1] == 0
