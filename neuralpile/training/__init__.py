"""Train models on a corpus: windows of counts, tokens of motifs, and how well counts are predicted.

`windows` gives window i of a corpus as a function of i, with `permutation`, and `stream` batches of them;
`streamed_windows` reads rows in place, one after another, with `pool`; `selection` chooses the rows of both; `metrics`
scores predictions as the Neural Latents Benchmark does. These need NumPy and Arrow only. `tokens` is a tokenizer:
`vocabulary` keeps the motifs that have ids, and `lookup` finds the id of every patch of a row, of its own motif or,
with `nearest`, of the most similar one. `tokenized` does all that tokenize_dataset.py does, and `loss` reports what is
lost; `reordered` does all that reorder_units.py does, with the orders that `unit_order` computes.

Imports the hall, corpus, hub, open and motifs. Imported by examples/, the scripts and the programs of users.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuralpile.training.stream import Stream as Stream
    from neuralpile.training.streamed_windows import StreamedWindows as StreamedWindows
    from neuralpile.training.windows import Batch as Batch
    from neuralpile.training.windows import Window as Window
    from neuralpile.training.windows import Windows as Windows


def __getattr__(name: str) -> Any:
    """Import what programs of users name when they name it: the scripts' `--help` does not wait for Arrow."""
    if name == "Stream":
        from neuralpile.training import stream

        return stream.Stream
    if name == "StreamedWindows":
        from neuralpile.training import streamed_windows

        return streamed_windows.StreamedWindows
    if name in ("Batch", "Window", "Windows"):
        from neuralpile.training import windows

        return getattr(windows, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
