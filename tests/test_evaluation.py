"""The list of evaluation data, beside the real listings of files."""

from pathlib import Path

import pytest
from helpers import ROOT

from neuralpile import catalog, evaluation
from neuralpile.errors import BadInput

ASSETS = ROOT.parent / "shared" / "facts" / "assets"


def listed(data_set):
    """(subject, session) of the session files in the archive's listing."""
    info = catalog.load(data_set)
    path = ASSETS / f"{info.id}.tsv"
    if not path.is_file():
        pytest.skip(f"{path.name} is not on this machine")
    paths = [Path(line.split("\t")[0]) for line in path.read_text().splitlines()]
    return [(path.parent.name, path.stem) for path in paths if info.wants(path.name) and path.suffix == ".nwb"]


def of(benchmark, data_set, role=None):
    parts = evaluation.benchmarks()[benchmark].parts
    found = [
        names
        for names in listed(data_set)
        if any(part.matches(data_set, *names) for part in parts if role in (None, part.role))
    ]
    return set(found)


@pytest.mark.parametrize(
    ("data_set", "train", "validation", "adaptation"),
    [("h1", 13, 13, 14), ("h2", 21, 21, 5), ("m1-a", 4, 4, 3), ("m1-b", 4, 4, 4), ("m2", 7, 7, 6)],
)
def test_every_file_of_falcon_has_one_role(data_set, train, validation, adaptation):
    """Numbers of files: falcon_challenge's keys of held-in and held-out sessions; minival repeats held-in."""
    roles = [of("falcon", data_set, role) for role in ("train", "validation", "adaptation")]
    assert [len(files) for files in roles] == [train, validation, adaptation]
    assert len(set.union(*roles)) == len(listed(data_set)) == train + validation + adaptation


def test_guards_match_no_file_that_is_listed():
    """LINK's days are not those of FALCON M2, as far as its listing goes."""
    assert of("falcon", "temmar") == set()


def test_fourteen_sessions_of_perich_are_held_out_for_transfer():
    assert len(of("perich-transfer", "perich")) == 14
    assert of("perich-within", "perich") == set(listed("perich"))


@pytest.mark.parametrize(("data_set", "files"), [("area2-bump", 2), ("dmfc-rsg", 2)])
def test_nlb_has_a_train_and_a_test_file(data_set, files):
    assert len(of("nlb", data_set, "test")) == 1
    assert len(of("nlb", data_set)) == files


def test_no_session_of_churchland_is_of_mc_maze():
    assert of("nlb", "churchland") == set()


def test_parts_are_of_data_sets_that_exist_and_have_sources():
    for benchmark in evaluation.benchmarks().values():
        for part in benchmark.parts:
            assert part.data_set in catalog.names()
            assert part.source


def test_the_command_lists_every_part_with_its_source(script):
    done = script("merge_datasets.py", "--list_evaluation")
    assert (done.returncode, done.stderr) == (0, "")
    for name, benchmark in evaluation.benchmarks().items():
        for part in benchmark.parts:
            assert any(
                line.startswith(f"| {name} | {part.data_set} |") and part.source in line
                for line in done.stdout.splitlines()
            )
    assert script("merge_datasets.py", "--list_evaluation", "--seed", "1").returncode == 2


def test_a_faulty_list_ends_in_one_line(tmp_path):
    path = tmp_path / "evaluation.toml"
    path.write_text(
        '[nlb]\ntitle = "x"\nurl = "https://x"\n[[nlb.parts]]\ndata_set = "a"\nrole = "exam"\nsource = "b"\n'
    )
    with pytest.raises(BadInput, match="Invalid enum value 'exam'"):
        evaluation.benchmarks(path)


def test_animals_have_one_name_across_data_sets():
    found = {
        name: {info.name for info in catalog.recorded() if name in {a.name for a in info.animals}}
        for name in ("chestek-n", "shenoy-jenkins", "jazayeri-amadeus", "jazayeri-mahler")
    }
    assert found == {
        "chestek-n": {"temmar", "m2"},
        "shenoy-jenkins": {"churchland", "even-chen"},
        "jazayeri-amadeus": {"neupane-ppc", "neupane-entorhinal"},
        "jazayeri-mahler": {"neupane-ppc", "neupane-entorhinal", "rajalingham"},
    }


def test_every_published_subject_is_an_animal_of_its_data_set():
    """Each subject matches at most one animal, and where animals are named, each subject matches one."""
    for info in catalog.published():
        for subject in info.subject_ids:
            matches = [a.name for a in info.animals if info.animal(subject) == a.name]
            assert matches or not info.animals, (info.name, subject)


def test_the_splits_of_falcon_are_one_animal():
    for name in ("h1", "h2", "m1-a", "m1-b", "m2"):
        info = catalog.load(name)
        assert len({info.animal(subject) for subject in info.subject_ids}) == 1
