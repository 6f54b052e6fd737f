"""Train a small language model on tokens, in plain PyTorch: the next motif of units, from all motifs before.

A GRU reads the motifs of one group of units, and beside them the mean of what all groups of the window show. It has no
weights of single units, so it predicts sessions that it has never seen. Counts are encoded as they are read.

    pip install -e ".[train]"
    python tokenize_dataset.py --p_n 1 --p_t 8 --vocabulary 500 --repo_name build/simulated-pile
    python examples/train_tokens.py --tokens build/simulated-pile-tokens        # on the corpus of `make demo`

Run it again after an interruption: it goes on from its last checkpoint, with the losses of an undisturbed run.
"""

import argparse
from pathlib import Path

import numpy as np
import torch  # if it is missing: pip install -e ".[train]"
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from neuralpile import cli
from neuralpile.training import Stream, Windows, checkpoint, metrics
from neuralpile.training.tokens import Tokenizer
from neuralpile.training.vocabulary import FIRST_MOTIF

PACK, PATCHES, LONG = 512, 40, 125  # units of all windows of a batch; patches of a window, and of a test window
RATE, SAVE_EVERY = 0.01, 50  # of learning; steps


class Model(nn.Module):
    """Logits of each motif, from the motifs before it. Training starts at their frequencies (motifs,)."""

    def __init__(self, frequencies: np.ndarray, hidden: int = 48) -> None:
        super().__init__()
        self.motifs, self.all = nn.Embedding(len(frequencies), hidden), nn.Linear(hidden, hidden)
        self.gru, self.out = nn.GRU(hidden, hidden, batch_first=True), nn.Linear(hidden, len(frequencies))
        nn.init.normal_(self.out.weight, std=0.01)
        self.out.bias.data = torch.from_numpy(np.log(frequencies / frequencies.sum())).float()

    def forward(self, motifs: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Motifs (windows, groups, patches), mask (windows, groups) to logits (windows, groups, patches, motifs)."""
        seen = self.motifs(motifs)
        weights = mask[..., None, None] / mask.sum(dim=1)[:, None, None, None]
        seen = seen + self.all((seen * weights).sum(dim=1, keepdim=True))
        past = F.pad(seen[:, :, :-1], (0, 0, 1, 0))
        states, _ = self.gru(past.flatten(0, 1))
        return self.out(states).unflatten(0, motifs.shape[:2])


def encode(tokenizer: Tokenizer, counts: np.ndarray) -> torch.Tensor:
    """Counts (windows, units, bins) to the numbers of motifs (windows, groups of units, patches)."""
    ids = np.stack([tokenizer.encode(window) for window in counts]).astype(np.int64)
    return torch.from_numpy(ids - FIRST_MOTIF)


def train(model: Model, tokenizer: Tokenizer, batches: Stream, path: Path) -> None:
    """Train from the last checkpoint on. A step depends on its number, and on the model after the last one."""
    optimizer = torch.optim.AdamW(model.parameters())
    p_n, p_t, of = tokenizer.vocabulary.p_n, tokenizer.vocabulary.p_t, tokenizer.vocabulary.sha256
    parts = {"batches": batches, "model": model, "optimizer": optimizer}
    losses = checkpoint.load(path, parts, vocabulary=of).get("losses", [])  # of this corpus and model, or none
    for batch in (progress := tqdm(batches, "train", initial=batches.step)):  # epoch after epoch
        step = batches.step  # counts from 1, and is what a checkpoint needs
        motifs = encode(tokenizer, batch.counts)
        mask = torch.from_numpy(batch.mask[:, ::p_n])  # of groups of units
        seen = mask[..., None] & torch.from_numpy(batch.bin_mask[:, None, ::p_t])
        nats = F.cross_entropy(model(motifs, mask).movedim(-1, 1), motifs, reduction="none")
        loss = (nats * seen).sum() / seen.sum()
        optimizer.param_groups[0]["lr"] = RATE * min(step / 20, (60 / step) ** 0.5, 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        progress.set_postfix(bits_per_token=f"{np.mean(losses[-20:]) / np.log(2) / p_n / p_t:.4f}", refresh=False)
        if step % SAVE_EVERY == 0 or step in (1, batches.steps):  # the first one shows early that it can be written
            checkpoint.save(path, parts, losses=losses, vocabulary=of)


@torch.no_grad()
def evaluate(model: Model, tokenizer: Tokenizer, windows: Windows, frequencies: np.ndarray) -> None:
    """Print what a token costs in bits, and how well the expected counts of the patches predict the true ones."""
    patches = torch.tensor(tokenizer.vocabulary.motifs.patches).float()
    frequent = torch.from_numpy(np.log(frequencies / frequencies.sum())).float()
    nats, tokens, scores = np.zeros(2), 0, []
    for window in windows:  # in order: every bin of every unit once
        n_units, n_bins = window.counts.shape
        motifs = encode(tokenizer, window.counts[None])
        logits = model(motifs, torch.ones(motifs.shape[:2], dtype=torch.bool))
        chosen = F.cross_entropy(logits.flatten(0, 2), motifs.flatten(), reduction="sum"), -frequent[motifs].sum()
        nats, tokens = nats + np.array(chosen), tokens + window.counts.size
        rates = torch.einsum("gpm,mut->gupt", logits[0].softmax(dim=-1), patches).flatten(2).flatten(0, 1)
        scores.append(metrics.poisson_nll(window.counts, rates[:n_units, :n_bins].numpy()))
    model_bits, frequency_bits = nats / np.log(2) / tokens
    print("on the test split")
    alone = f"{frequency_bits:.4f} by frequencies alone"
    print(f"  {model_bits:7.4f}  bits per token (a unit in a bin) for the ids; {alone}")
    bits = metrics.concatenate(scores).bits_per_spike
    print(f"  {bits:7.4f}  bits per spike of the expected counts; 0 is each unit's mean rate in these very windows")


def main() -> int:
    """Train and evaluate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", required=True, help="the tokenizer: a folder of tokenize_dataset.py, or its name")
    parser.add_argument("--repo_name", default="build/simulated-pile", help="the corpus")
    parser.add_argument("--out_dir", type=Path, default=Path("build/language-model"), help="for the checkpoint")
    parser.add_argument("--steps", type=int, default=300, help="in all; more than before goes on with the training")
    given = parser.parse_args()
    tokenizer = Tokenizer.from_pretrained(given.tokens)
    frequencies, p_t = tokenizer.vocabulary.motifs.frequencies, tokenizer.vocabulary.p_t
    order = tokenizer.vocabulary.fitted_on.order  # of the units in its patches; None for that of the recording
    torch.manual_seed(0)
    torch.set_num_threads(1)  # sums depend on how many threads share them
    model = Model(frequencies)
    batches = Stream(Windows(given.repo_name, n_bins=PATCHES * p_t, pack=PACK, order=order), steps=given.steps)
    train(model, tokenizer, batches, given.out_dir / "checkpoint.pt")
    whole = {"n_units": None, "shuffle": False, "jitter": False, "order": order}
    test = Windows(given.repo_name, split="test", n_bins=LONG * p_t, **whole)
    evaluate(model.eval(), tokenizer, test, frequencies)
    return 0


if __name__ == "__main__":
    cli.run(main)  # an error is one line
