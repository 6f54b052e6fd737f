"""Train a small autoregressive model on a corpus, in plain PyTorch: each unit's rate in a bin, from all bins before.

A GRU that all sessions share reads the population. Each unit has weights of its own: new sessions need training.

    pip install -e ".[train]"
    python examples/train.py        # on the corpus of `make demo`

Run it again after an interruption: it goes on from its last checkpoint, with the losses of an undisturbed run.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch  # if it is missing: pip install -e ".[train]"
from matplotlib.figure import Figure
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from neuralpile import cli
from neuralpile.corpus.rows import RowSource
from neuralpile.open import open_data_set
from neuralpile.training import Stream, Window, Windows, checkpoint, metrics

PACK, BINS, LONG, SHOWN = 4096, 100, 1000, 400  # units of all windows of a batch; bins in training, test and figure
RATE, SAVE_EVERY, BIN = 0.01, 50, 0.02  # of learning; steps; seconds


class Model(nn.Module):
    """Log rates of units in each bin, from the counts before it. Training starts at their mean rates (units,)."""

    def __init__(self, mean: np.ndarray, hidden: int = 32) -> None:
        super().__init__()
        self.into, self.out = nn.Embedding(len(mean), hidden), nn.Embedding(len(mean), hidden)
        self.bias = nn.Embedding.from_pretrained(torch.from_numpy(np.log(mean)).float()[:, None], freeze=False)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)
        nn.init.normal_(self.into.weight, std=0.1)
        nn.init.normal_(self.out.weight, std=0.01)

    def forward(self, counts: np.ndarray, units: np.ndarray) -> torch.Tensor:
        """Counts (batch, units, bins) and the units' numbers (batch, units) to log rates (batch, units, bins)."""
        units, past = torch.from_numpy(units), F.pad(torch.tensor(counts).float()[..., :-1], (1, 0))
        past = F.dropout(past, 0.5, self.training)  # so that the model relies on many units
        population, _ = self.gru(torch.einsum("but,buh->bth", past, self.into(units)))
        return torch.einsum("bth,buh->but", population, self.out(units)) + self.bias(units)


def number_units(corpus: RowSource) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number the units of all sessions: that of each row's first unit, and of each unit the mean rate and component."""
    sessions = [(row.source_dataset, row.subject_id, row.session_id) for row in corpus]
    sizes = {session: len(row.counts) for session, row in zip(sessions, corpus, strict=True)}
    begins = dict(zip(sizes, np.cumsum([0, *sizes.values()]), strict=False))
    spikes, bins = np.zeros((2, sum(sizes.values())))
    for session, row in zip(sessions, corpus, strict=True):
        if row.split == "train":
            spikes[begins[session] :][: len(row.counts)] += row.counts.sum(axis=1)
            bins[begins[session] :][: len(row.counts)] += row.counts.shape[1]
    mean = metrics.mean_rates(spikes, bins)
    components = np.repeat([str(session[0]) for session in sizes], list(sizes.values()))
    return np.array([begins[s] for s in sessions]), np.where(bins > 0, mean, np.nanmean(mean)), components


def train(model: Model, batches: Stream, first: np.ndarray, out_dir: Path) -> None:
    """Train from the last checkpoint on. A step depends on its number, and on the model after the last one."""
    optimizer, path = torch.optim.AdamW(model.parameters()), out_dir / "checkpoint.pt"
    parts = {"batches": batches, "model": model, "optimizer": optimizer}
    losses = checkpoint.load(path, parts).get("losses", [])  # of this corpus and model, or none
    for batch in (progress := tqdm(batches, "train", initial=batches.step)):  # epoch after epoch
        step = batches.step  # counts from 1, and is what a checkpoint needs
        torch.manual_seed(step)
        log_rates = model(batch.counts, np.where(batch.mask, first[batch.rows][:, None] + batch.units, 0))
        seen = torch.from_numpy(batch.mask[..., None] & batch.bin_mask[:, None])
        nll = F.poisson_nll_loss(log_rates, torch.from_numpy(batch.counts).float(), reduction="none")
        loss = (nll * seen).sum() / seen.sum()
        optimizer.param_groups[0]["lr"] = RATE * min(step / 20, (60 / step) ** 0.5, 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        progress.set_postfix(loss=f"{np.mean(losses[-20:]):.4f}", refresh=False)
        if step % SAVE_EVERY == 0 or step in (1, batches.steps):  # the first one shows early that it can be written
            checkpoint.save(path, parts, losses=losses)


@torch.no_grad()
def evaluate(model: Model, windows: Windows, first: np.ndarray, mean: np.ndarray, components: np.ndarray) -> None:
    """Print the bits per spike of the model and of both baselines, by component."""
    scores, numbers = defaultdict(list), []
    for window in windows:  # in order: every bin of every unit once
        counts, units = window.counts, first[window.row] + window.units
        rates = {"model": model(counts[None], units[None])[0].exp().numpy(), "mean rate in training": mean[units, None]}
        rates["rate in the past second"] = metrics.smoothed_rates(counts, mean[units])
        for name, predicted in rates.items():
            scores[name].append(metrics.poisson_nll(counts, predicted))
        numbers.append(units)
    print("bits per spike on the test split; 0 is each unit's mean rate in these very bins")
    for name, parts in scores.items():
        total = metrics.concatenate(parts).merge(np.concatenate(numbers))
        groups = total.by(components[: len(total.bins)])
        each = ", ".join(f"{component} {part.bits_per_spike:.3f}" for component, part in groups.items())
        print(f"  {total.bits_per_spike:7.3f}  {name} ({each})")


@torch.no_grad()
def draw(model: Model, window: Window, first: np.ndarray, path: Path) -> None:
    """Draw the counts of a window and the rates predicted for them, the most modulated units at the top."""
    counts, name = window.counts[:, :SHOWN], f"{window.source}, {window.names.session_id}"
    rates = model(counts[None], (first[window.row] + window.units)[None])[0].exp().numpy()
    order = np.argsort(-rates.std(axis=1) / rates.mean(axis=1))
    edges, ys, top = np.arange(counts.shape[1] + 1) * BIN, np.arange(len(order) + 1), order[: len(order) // 3 + 1]
    figure = Figure((11, 7), dpi=128, layout="constrained")
    axes = figure.subplots(3, 1, sharex=True, height_ratios=[3, 3, 2], subplot_kw={"xmargin": 0})
    shown = (counts, name, "binary", "spikes"), (rates / BIN, "predicted from the bins before", "Reds", "Hz")
    for ax, (values, title, colors, scale) in zip(axes, shown, strict=False):
        figure.colorbar(ax.pcolormesh(edges, ys, values[order], cmap=colors, vmin=0), ax=ax, label=scale)
        ax.set(ylabel="units, most modulated first", title=title, ylim=(len(order), 0))
    axes[2].stairs(counts[top].mean(axis=0) / BIN, edges, fill=True, color="0.75")
    axes[2].plot(edges[:-1] + BIN / 2, rates[top].mean(axis=0) / BIN, color="C3")
    axes[2].set(xlabel="seconds", ylabel="Hz", title=f"mean of the {len(top)} units at the top, and as predicted (red)")
    figure.savefig(path)


def main() -> int:
    """Train, evaluate, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo_name", default="build/simulated-pile", help="the corpus")
    parser.add_argument("--out_dir", type=Path, default=Path("build/model"), help="for the checkpoint and the figure")
    parser.add_argument("--steps", type=int, default=300, help="in all; more than before goes on with the training")
    given = parser.parse_args()
    corpus = open_data_set(given.repo_name)
    first, mean, components = number_units(corpus)
    torch.manual_seed(0)
    torch.set_num_threads(1)  # threads would wait for each other, and sums depend on how many there are
    model = Model(mean)
    train(model, Stream(Windows(corpus, n_bins=BINS, pack=PACK), steps=given.steps), first, given.out_dir)
    longest = max(row.counts.shape[1] for row in corpus.only("test"))
    test = Windows(corpus, split="test", n_bins=min(LONG, longest), n_units=None, shuffle=False, jitter=False)
    evaluate(model.eval(), test, first, mean, components)
    draw(model, test[0], first, given.out_dir / "predicted.png")
    return 0


if __name__ == "__main__":
    cli.run(main)  # an error is one line
