"""Checkpoints: a run goes on from its own, and refuses another's in one line."""

import numpy as np
import pytest
from helpers.small_corpora import write_big_and_small

from neuralpile.errors import BadInput
from neuralpile.training import Stream, Windows, checkpoint

torch = pytest.importorskip("torch", reason="torch is not installed (the extra `train`)")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_big_and_small(tmp_path_factory.mktemp("corpus") / "y")


def parts(corpus, hidden=3, batch_size=2, **options):
    model = torch.nn.Linear(4, hidden)
    stream = Stream(Windows(corpus, **{"n_bins": 10} | options), batch_size, steps=9)
    return {"batches": stream, "model": model, "optimizer": torch.optim.AdamW(model.parameters())}


def test_a_run_goes_on_where_its_checkpoint_left_it(corpus, tmp_path):
    path, saved, loaded = tmp_path / "new" / "checkpoint.pt", parts(corpus), parts(corpus)
    assert checkpoint.load(path, saved) == {}
    for _ in zip(range(4), saved["batches"], strict=False):
        pass
    checkpoint.save(path, saved, losses=[0.5, 0.25])
    assert checkpoint.load(path, loaded) == {"losses": [0.5, 0.25]}
    assert loaded["batches"].step == saved["batches"].step > 0
    assert torch.equal(loaded["model"].weight, saved["model"].weight)


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"seed": 1}, "a checkpoint of these windows, found one of other rows or options"),
        ({"where": "source_dataset = 'big'"}, "a checkpoint of these windows, found one of other rows or options"),
        ({"temperature": 0.0}, "a checkpoint of these windows, found one of other rows or options"),
        ({"dtype": "float32"}, "a checkpoint of these windows, found one of other rows or options"),
        ({"batch_size": 3}, "a checkpoint of batch_size 3, found batch_size 2"),
        ({"hidden": 5}, "a checkpoint of this run's model, found size mismatch for weight: "),
    ],
)
def test_a_checkpoint_of_something_else_says_what_differs_and_what_to_do(corpus, tmp_path, options, expected):
    checkpoint.save(tmp_path / "checkpoint.pt", parts(corpus))
    with pytest.raises(BadInput) as raised:
        checkpoint.load(tmp_path / "checkpoint.pt", parts(corpus, **options))
    assert str(raised.value).startswith(f"{tmp_path / 'checkpoint.pt'}: expected {expected}")
    assert str(raised.value).endswith("; give another path, or delete the file to start from the beginning")


def test_other_corpora_vocabularies_and_damaged_files_are_one_line(corpus, tmp_path):
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, parts(corpus), vocabulary="abc")
    with pytest.raises(BadInput, match="expected a checkpoint of vocabulary xyz, found vocabulary abc; give"):
        checkpoint.load(path, parts(corpus), vocabulary="xyz")
    other = write_big_and_small(tmp_path / "z")  # of one name and the same rows
    assert checkpoint.load(path, parts(other), vocabulary="abc") == {"vocabulary": "abc"}
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for content in (b"", b"x" * 99, whole[: len(whole) // 2], whole[:100], whole[:-1], rng.bytes(3000)):
        path.write_bytes(content)
        with pytest.raises(BadInput, match=r"expected a whole checkpoint, found .*; give another path") as raised:
            checkpoint.load(path, parts(corpus))
        assert "\n" not in str(raised.value)
    torch.save([1], path)
    with pytest.raises(BadInput, match="expected a checkpoint of this run, found list"):
        checkpoint.load(path, parts(corpus))
    torch.save({"model": {}}, path)
    with pytest.raises(BadInput, match="expected a checkpoint of this run's batches, found one without it"):
        checkpoint.load(path, parts(corpus))
