"""Which rows are for testing: groups stay whole, and the split comes near the share that is asked for."""

import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest
from helpers import ROOT
from hypothesis import given
from hypothesis import strategies as st

from neuralpile import catalog
from neuralpile.catalog import Animal, DataSetInfo
from neuralpile.corpus import split
from neuralpile.corpus.rows import Names

ASSETS = ROOT.parent / "shared" / "facts" / "assets"


def in_test(name, names, tokens, test_size, seed, split_by="row", info=None, least=0):
    """Which rows of one component are for testing."""
    options = split.SplitOptions(test_size, seed, split_by, min_test_rows=least)
    return assign(name, names, tokens, options, info) == 1


def assign(name, names, tokens, options, info=None):
    """The split of each row of one component."""
    return split.assign([split.Part.of(name, names, tokens, info)], options)[0]


def group_of(row, split_by, info=None):
    """The group of a row."""
    return split.Part.of("x", [row], [1], info).groups(split_by).keys[0]


@st.composite
def named_rows(draw):
    """Names of rows and their tokens: subjects of sessions of segments."""
    names, tokens = [], []
    for subject in range(draw(st.integers(1, 4))):
        for session in range(draw(st.integers(1, 8))):
            for segment in range(draw(st.integers(1, 4))):
                names.append(Names(f"sub-{subject}", f"ses-{session}", f"segment_{segment}"))
                tokens.append(draw(st.integers(1, 1_000)))
    return names, tokens


@given(
    named_rows(), st.sampled_from([0.01, 0.1, 0.5]), st.integers(0, 5), st.sampled_from(["row", "session", "animal"])
)
def test_split_keeps_groups_whole_and_comes_near_the_share(named, test_size, seed, split_by):
    names, tokens = named
    test = in_test("x", names, tokens, test_size, seed, split_by)
    assert not test.all()
    n = {"animal": 1, "session": 2, "row": 3}[split_by]
    sides = {}
    for row, side in zip(names, test, strict=True):
        sides.setdefault(row[:n], set()).add(bool(side))
    assert all(len(both) == 1 for both in sides.values())
    sizes = Counter()
    for row, size in zip(names, tokens, strict=True):
        sizes[row[:n]] += size
    held, target = sum(np.array(tokens)[test]), test_size * sum(tokens)
    out = [size for group, size in sizes.items() if sides[group] == {False}]
    assert len(out) == 1 or all(
        abs(held + size - target) >= abs(held - target) for size in out
    )  # one more is no better
    assert held <= 2 * target


def test_split_of_many_rows_is_the_share_asked_for():
    rng = np.random.default_rng(0)
    names = [Names("s", f"{i // 10}", f"segment_{i % 10}") for i in range(5_000)]
    tokens = rng.integers(1, 10_000_000, 5_000).tolist()
    for split_by in ("row", "session"):
        test = in_test("x", names, tokens, 0.01, 0, split_by)
        assert np.array(tokens)[test].sum() / sum(tokens) == pytest.approx(0.01, rel=0.01)


def test_a_repeated_session_of_falcon_stays_with_the_session_it_repeats():
    """FALCON's minival repeats the beginning of calib, under another subject."""
    names = [
        Names(f"sub-MonkeyL-{part}", f"sub-MonkeyL-{part}_ses-2012{day + 1000}_behavior+ecephys", "segment_0")
        for day in range(40)
        for part in ("held-in-calib", "held-in-minival")
    ]
    test = in_test("m1-a", names, [100, 10] * 40, 0.2, 0, "session", catalog.load("m1-a"))
    assert (test[::2] == test[1::2]).all()
    assert 6 <= test[::2].sum() <= 10


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("area2-bump", ["sub-Han_desc-train_behavior+ecephys", "sub-Han_desc-test_ecephys"]),
        ("dmfc-rsg", ["sub-Haydn_desc-train_ecephys", "sub-Haydn_desc-test_ecephys"]),
        ("card", ["t15.2023.08.11_data_train", "t15.2023.08.11_data_val"]),
        ("h1", ["sub-HumanPitt-held-in-calib_ses-19250101T111111", "sub-HumanPitt-held-in-calib_ses-19250101T121212"]),
        ("kim", ["sub-Z08115_ses-20190101SL", "sub-Z08115_ses-20190101TX"]),
        ("temmar", ["sub-Monkey-N_ses-20200127_obj-1abc2d_ecephys", "sub-Monkey-N_ses-20200127_obj-9e3f_ecephys"]),
        ("willett", ["t12.2022.04.28_sentences", "t12.2022.04.28_diagnosticBlocks"]),
    ],
)
def test_two_files_of_a_session_stay_together(name, files):
    both = [Names("sub", file, "segment_0") for file in files]
    info = catalog.load(name)
    assert not in_test("x", both, [90, 10], 0.1, 0, "session", info).any()
    assert in_test("x", both, [90, 10], 0.1, 0, "row", info).tolist() == [False, True]


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("kim", ["sub-Z08115_ses-20190101SL", "sub-Z08115_ses-20190102SL"]),
        ("m2", ["sub-MonkeyN-held-in-calib_ses-2020-10-19-Run1", "sub-MonkeyN-held-in-calib_ses-2020-10-20-Run1"]),
        ("athalye", ["sub-monk-g_ses-session0", "sub-monk-g_ses-session1"]),
        ("lanzarini", ["x_ses-1234567890", "x_ses-1234567891"]),  # numbers that are no days
    ],
)
def test_two_sessions_are_two(name, files):
    both = [Names("sub", file, "segment_0") for file in files]
    assert in_test("x", both, [90, 10], 0.1, 0, "session", catalog.load(name)).tolist() == [False, True]


# Names as in the archives' listings and in the published rows, of data sets whose listing is not in facts/assets.
SEEN = {
    "chen": ["sub-Lalo/sub-Lalo_ses-1_behavior+ecephys", "sub-Offenbach/sub-Offenbach_ses-20230105_behavior+ecephys"],
    "card": ["T15/t15.2023.08.11_data_train", "T15/t15.2023.08.11_data_val", "T15/t15.2024.01.02_data_test"],
    "willett": ["T12/t12.2022.04.28_sentences", "T12/t12.2022.04.21_orofacial", "T12/t12.2022.04.28_diagnosticBlocks"],
    "kim": ["sub-Z08115/sub-Z08115_ses-20190101SL", "sub-Z11111/sub-Z11111_ses-20200305TX"],
    "papale": ["monkey_F/F_0", "monkey_N/N_0"],
    "wojcik": ["M1/Wom20200910_Spikes_preprocessed", "M2/Wil20201104_Spikes_preprocessed"],
    "makin": ["indy/indy_20160407_02", "loco/loco_20170210_03"],
    "lanzarini": ["Router/a", "Wifi/session1"],
    "rajalingham": ["Mahler/M_0", "Perle/P_0"],
    "simulated-motor": ["sub-simA/sub-simA_ses-01", "sub-simB/sub-simB_ses-02"],
    "simulated-visual": ["sub-simC/sub-simC_ses-01", "sub-simD/sub-simD_ses-02"],
}


def listed(info):
    """Subjects and sessions of a data set: of its archive's listing, or as they were seen."""
    listing = ASSETS / f"{info.id}.tsv"
    if info.name in SEEN:
        return [path.split("/") for path in SEEN[info.name]]
    if not listing.is_file():
        pytest.skip(f"listing {listing.name} is not on this machine")
    paths = [line.split("\t")[0] for line in listing.read_text().splitlines()]
    return [path.removesuffix(".nwb").split("/") for path in paths if info.wants(path)]


def group_before(subject_id, session_id):
    """The group of version 0.1.0, which knew the data sets by the look of their names."""
    subject = re.sub(r"-held-(in|out)-\w+$", "", subject_id)
    own = session_id.rpartition("_ses-")[2]
    day = re.search(r"(?<!\d)\d{4}[-.]?\d\d[-.]?\d\d(?!\d)", own)
    return subject, day[0] if day else re.sub(r"_desc-(train|test)(_.*)?$", "", own)


@pytest.mark.parametrize("name", catalog.names())
def test_groups_are_those_of_version_0_1_0(name):
    info = catalog.load(name)
    pairs = listed(info)
    assert pairs
    for subject_id, session_id in pairs:
        names = Names(subject_id, session_id, "segment_0")
        before = group_before(subject_id, session_id)
        assert group_of(names, "session", info) == before
        assert info.subject_group(subject_id) == before[0]


@given(named_rows(), st.integers(0, 5), st.sampled_from(["row", "session", "animal"]))
def test_a_validation_split_leaves_the_test_split_as_it_is(named, seed, split_by):
    names, tokens = named
    plain = split.SplitOptions(0.2, seed, split_by)
    more = replace(plain, validation_size=0.2)
    before, after = (assign("x", names, tokens, options) for options in (plain, more))
    assert ((before == 1) == (after == 2)).all()
    assert (after == 0).any()  # something is left for training
    groups = {}
    for row, side in zip(names, after, strict=True):
        groups.setdefault(group_of(row, split_by), set()).add(int(side))
    assert all(len(both) == 1 for both in groups.values())


def test_named_test_rows_take_what_belongs_to_them():
    days = [("held-in-calib", "20120924"), ("held-in-minival", "20120924"), ("held-in-calib", "20120926")]
    names = [Names(f"sub-MonkeyL-{part}", f"sub-MonkeyL-{part}_ses-{day}", "segment_0") for part, day in days]
    info = catalog.load("m1-a")

    def test_rows(name="m1-a", **options):
        return assign(name, names, [10] * 3, split.SplitOptions(**options), info).tolist()

    assert test_rows(test_sessions=(names[0].session_id,)) == [1, 1, 0]
    assert test_rows(test_subjects=("sub-MonkeyL-held-in-minival",)) == [1, 1, 1]
    assert test_rows(test_datasets=("m1-a",)) == [1, 1, 1]
    assert test_rows(test_datasets=("me/m1-a",)) == [1, 1, 1]
    assert test_rows(test_datasets=("kim",)) == [0, 0, 0]


@given(named_rows(), st.integers(0, 5), st.sampled_from(["row", "session", "animal"]), st.integers(1, 4))
def test_every_component_of_several_groups_has_test_rows(named, seed, split_by, least):
    """As many rows as asked for, or all groups but one; and no group more than that takes."""
    names, tokens = named
    test = in_test("x", names, tokens, 0.001, seed, split_by, least=least)
    plain = in_test("x", names, tokens, 0.001, seed, split_by)
    groups = Counter(group_of(row, split_by) for row in names)
    taken = {group_of(row, split_by) for row, side in zip(names, test, strict=True) if side}
    assert sum(test) >= least or len(taken) == len(groups) - 1
    assert len(taken) < len(groups)
    assert (test | plain == test).all()
    if sum(plain) >= least:
        assert (test == plain).all()
    elif taken:
        assert sum(test) - max(groups[group] for group in taken) < least


def test_the_smallest_group_is_taken_where_all_are_too_large():
    names = [Names("s", f"{i}", "segment_0") for i in range(3)]
    assert in_test("x", names, [500, 300, 400], 0.01, 0, "session", least=1).tolist() == [False, True, False]
    assert not in_test("x", names, [500, 300, 400], 0.01, 0, "session").any()
    assert not in_test("x", names[:1], [500], 0.01, 0, "session", least=1).any()


@pytest.mark.parametrize("n_rows", [2, 99, 100, 101, 250])
@pytest.mark.parametrize("seed", [0, 7])
def test_the_published_split_is_the_one_that_datasets_draws(n_rows, seed):
    drawn = datasets.Dataset.from_dict({"row": range(n_rows)}).train_test_split(0.01, shuffle=True, seed=seed)
    order, assigned = split.as_published(n_rows, seed)
    assert order[assigned[order] == 0].tolist() == list(drawn["train"]["row"])
    assert order[assigned[order] == 1].tolist() == list(drawn["test"]["row"])
    assert sum(assigned) == math.ceil(n_rows / 100)


def test_one_row_as_published_is_for_training():
    assert split.as_published(1, 0)[1].tolist() == [0]


@st.composite
def components_with_animals(draw):
    """Components of an invented catalog: their parts, and the animal of each row, "" where the catalog names none."""
    parts, animals = [], []
    for c in range(draw(st.integers(1, 6))):
        whose = draw(st.lists(st.sampled_from(["", "x", "y", "z", "u", "v"]), min_size=1, max_size=4))
        known = tuple(
            Animal(
                name=animal,
                subjects=(draw(st.sampled_from([f"sub-{s}", f"*-{s}", f"sub-{s}*"])),),
                source="a paper",
                probable=draw(st.booleans()),
            )
            for s, animal in enumerate(whose)
            if animal
        )
        info = DataSetInfo(
            name=f"data-{c}", folder=Path(f"data-{c}"), include=("*.nwb",), species=("human",), animals=known
        )
        names = [
            Names(f"sub-{s}", f"ses-{draw(st.integers(0, 3))}", f"segment_{i}")
            for s in range(len(whose))
            for i in range(draw(st.integers(1, 3)))
        ]
        tokens = draw(st.lists(st.integers(1, 1_000), min_size=len(names), max_size=len(names)))
        own_info = info if known or draw(st.booleans()) else None
        parts.append(split.Part.of(f"data-{c}", names, tokens, own_info))
        whose = [whose[int(row.subject_id[4:])] for row in names]
        animals.append([animal or f"{c} {row.subject_id}" for animal, row in zip(whose, names, strict=True)])
    return parts, animals


by_animal = st.builds(
    split.SplitOptions,
    test_size=st.sampled_from([0.01, 0.2, 0.6]),
    seed=st.integers(0, 5),
    split_by=st.just("animal"),
    validation_size=st.sampled_from([0.0, 0.3]),
    test_subjects=st.sampled_from([(), (), ("sub-1",)]),
    test_sessions=st.sampled_from([(), (), ("ses-2",)]),
    test_datasets=st.sampled_from([(), (), ("data-0",)]),
)


@given(components_with_animals(), by_animal)
def test_an_animal_is_in_one_split_over_all_components(catalogued, options):
    parts, animals = catalogued
    assigned = split.assign(parts, options)
    sides = {}
    for its, found in zip(animals, assigned, strict=True):
        for animal, side in zip(its, found.tolist(), strict=True):
            sides.setdefault(animal, set()).add(side)
    assert all(len(both) == 1 for both in sides.values())
    if options.names_test_rows:
        return
    assert {0} in sides.values()  # something is left for training
    for its, found in zip(animals, assigned, strict=True):
        assert len(set(its)) == 1 or (found == len(options.splits) - 1).any()  # each of several animals is tested


@given(components_with_animals(), by_animal, st.randoms(use_true_random=False))
def test_components_without_a_common_animal_move_nothing(catalogued, options, random):
    """Those with an animal in common, at any remove, are split as if there were no others, in whatever order."""
    options = replace(options, test_subjects=(), test_sessions=(), test_datasets=())
    parts, animals = catalogued
    together = {0}
    for _ in parts:
        own = {animal for i in together for animal in animals[i]}
        together = {i for i, its in enumerate(animals) if own & set(its)}
    order = sorted(together)
    random.shuffle(order)
    alone = split.assign([parts[i] for i in order], options)
    beside = split.assign(parts, options)
    for i, found in zip(order, alone, strict=True):
        assert (found == beside[i]).all()


@pytest.mark.parametrize(
    ("animals", "tested"),
    [
        ([("x", "y"), ("x",)], [("y",), ()]),  # x stays for training, because it is all of the second
        ([("x", "y"), ("x",), ("y",)], [("x",), ("x",), ()]),  # the first must be tested on: the smallest goes
        ([("x", "y"), ("y", "z")], [("x",), ("z",)]),  # y would leave nothing of the first for training
    ],
)
def test_a_component_of_one_animal_stays_for_training_if_it_can(animals, tested):
    tokens = {"x": 40, "y": 100, "z": 1_000}
    parts = []
    for c, its in enumerate(animals):
        known = tuple(Animal(name=name, subjects=(name,), source="a paper") for name in its)
        info = DataSetInfo(name=f"{c}", folder=Path(), include=("*",), species=("human",), animals=known)
        names = [Names(name, "s", "segment_0") for name in its]
        parts.append(split.Part.of(f"{c}", names, [tokens[name] for name in its], info))
    found = split.assign(parts, split.SplitOptions(split_by="animal"))
    assert [
        tuple(name for name, side in zip(its, sides, strict=True) if side)
        for its, sides in zip(animals, found, strict=True)
    ] == tested


def test_a_named_subject_brings_its_animal_in_other_data_sets():
    temmar = split.Part.of("temmar", [Names("sub-Monkey-N", "a", "segment_0")], [1], catalog.load("temmar"))
    days = [Names(f"sub-MonkeyN-held-{part}", part, "segment_0") for part in ("in-calib", "out-calib")]
    m2 = split.Part.of("m2", days, [1, 1], catalog.load("m2"))
    options = split.SplitOptions(test_subjects=("sub-Monkey-N",))
    assert [sides.tolist() for sides in split.assign([temmar, m2], options)] == [[1], [1, 1]]
