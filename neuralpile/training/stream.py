"""A stream of batches of windows without end, whose state is one integer: the number of the next step."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from neuralpile.errors import BadInput
from neuralpile.training.arguments import whole
from neuralpile.training.batches import Batch
from neuralpile.training.permutation import Integers
from neuralpile.training.windows import Windows


class Stream:
    """Batches of windows, epoch after epoch: batch `step` is a function of the step, on every process.

    The windows of all epochs are one sequence, and the processes of a run take their batches from it in turn. So every
    window of an epoch is in exactly one batch, all processes make the same number of steps, and a run that resumes at
    a step goes on as if it had never stopped. `stream[step]` is a batch; iterating gives them from the next step on.

    Attributes:
        windows: what the batches are made of.
        batch_size: windows in a batch; None where `windows` are packed, because `pack` decides.
        rank, world: which of how many processes this is.
        step: the number of the next batch.
        steps: where iterating ends; None for never.

    Example:
        >>> stream = Stream(Windows("neural-pile-primate"), batch_size=64)  # doctest: +SKIP
        >>> for batch in stream:  # doctest: +SKIP
        ...     train(batch.counts, batch.mask)
    """

    def __init__(
        self,
        windows: Windows,
        batch_size: int | None = None,
        rank: int = 0,
        world: int = 1,
        step: int = 0,
        steps: int | None = None,
    ) -> None:
        given: object = windows
        if not isinstance(given, Windows):
            do = "give Windows(…); StreamedWindows makes batches of its own"
            raise BadInput("windows", "Windows", type(given).__name__, do)
        if (batch_size is None) == (windows.pack is None):
            found = "neither" if batch_size is None else "both"
            raise BadInput("batch_size", "the windows of a batch, or windows with pack=", found, "give one of them")
        self.batch_size = None if batch_size is None else whole("batch_size", batch_size, 1)
        self.step, self.steps = whole("step", step), None if steps is None else whole("steps", steps)
        self.windows, self.rank, self.world = windows, whole("rank", rank, None), whole("world", world, 1)
        if not 0 <= self.rank < self.world:
            raise BadInput("rank", f"a number from 0 to below {world}", str(rank), "give the process's rank")

    def __len__(self) -> int:
        """Steps to `steps`, from 0. Raises TypeError if there is no end."""
        if self.steps is None:
            raise TypeError("a stream without `steps` has no length: give Stream(…, steps=…), as loaders need")
        return self.steps

    def positions(self, step: int) -> Integers:
        """Where the windows of this process's batch are in the sequence of all windows of all epochs.

        Raises:
            BadInput: the windows are packed: which are in a batch depends on their units.
        """
        if self.batch_size is None:
            raise BadInput("positions", "batches of a number of windows", "packed windows", "use the batches")
        return (step * self.world + self.rank) * self.batch_size + np.arange(self.batch_size)

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step. Raises IndexError."""
        step = whole("step", step, None)
        if step < 0 or (self.steps is not None and step >= self.steps):
            raise IndexError(f"step {step}: steps count from 0{'' if self.steps is None else f' to {self.steps - 1}'}")
        if self.batch_size is None:
            return self.windows.packed(step * self.world + self.rank)
        return self.windows.at(self.positions(step))

    def __iter__(self) -> Iterator[Batch]:
        while self.steps is None or self.step < self.steps:
            batch = self[self.step]
            self.step += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """The step that comes next, for a checkpoint, and what the steps are of."""
        of = {"windows": self.windows.fingerprint, "batch_size": self.batch_size, "world": self.world}
        return {"step": self.step, "of": of}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on at a checkpoint's step.

        A state with nothing but a step is taken, too: whoever changes the number of processes knows which step it is.

        Raises:
            BadInput: it has no step, or is of other windows, batches or processes.
        """
        if not isinstance(state, Mapping) or "step" not in state:
            raise BadInput("state", "a checkpoint of a stream, with its step", repr(state)[:80], "give another")
        step, of = whole("step", state["step"]), self.state_dict()["of"]
        stated = state.get("of", of)
        for what, ours in of.items():
            theirs = stated.get(what) if isinstance(stated, Mapping) else None
            if theirs != ours:
                words = "one of other rows or options" if what == "windows" else f"{what} {theirs}"
                do = "open them as they were, or start at a step: {'step': 0}"
                expected = "these windows" if what == "windows" else f"{what} {ours}"
                raise BadInput("state", f"a checkpoint of {expected}", words, do)
        self.step = step
