"""Train models on a corpus: windows of counts, tokens of motifs, and how well counts are predicted.

`windows` gives window i of a corpus as a function of i, and `stream` batches of them; `streamed_windows` reads rows in
place, one after another. Both know where windows are from `index`, with `permutation`, their shares from `mixture`,
their rows from `selection`, and cut and pad them with `batches`; `arguments` checks what users give. `metrics` scores
predictions as the Neural Latents Benchmark does. These need NumPy and Arrow only; `checkpoint` keeps runs in PyTorch.

`tokens` is a tokenizer: `vocabulary` keeps the motifs that have ids, and `lookup` finds the id of every patch of a row,
of its own motif or, with `nearest`, of the most similar one. `tokenized` does all that tokenize_dataset.py does, and
`loss` reports what is lost; `reordered` does all that reorder_units.py does, with the orders of `unit_order`.

Imports the hall, corpus, hub, open and motifs. Imported by examples/, the scripts and the programs of users.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuralpile.training.batches import Batch as Batch
    from neuralpile.training.batches import Window as Window
    from neuralpile.training.stream import Stream as Stream
    from neuralpile.training.streamed_windows import StreamedWindows as StreamedWindows
    from neuralpile.training.windows import Windows as Windows


HOMES = {
    "Batch": "batches",
    "Stream": "stream",
    "StreamedWindows": "streamed_windows",
    "Window": "batches",
    "Windows": "windows",
}


def __getattr__(name: str) -> Any:
    """Import what programs of users name when they name it: the scripts' `--help` does not wait for Arrow."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
