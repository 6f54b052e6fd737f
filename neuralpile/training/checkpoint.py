"""Checkpoints of PyTorch runs that appear whole or not at all, and that are refused by a run of something else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from neuralpile.errors import BadInput
from neuralpile.files import whole_file


class Stateful(Protocol):
    """What a run consists of: a model, an optimizer, a `Stream`."""

    def state_dict(self) -> Any:
        """Its state, for a checkpoint."""

    def load_state_dict(self, state: Any, /) -> Any:
        """Go on from a state."""


def save(path: Path, parts: Mapping[str, Stateful], **values: Any) -> None:
    """Write a checkpoint; one that is there is replaced when the new one is complete.

    Parameters:
        path: of the file.
        parts: of the run, by name.
        values: numbers, strings and lists of these that belong to it, such as losses.

    Raises:
        OSError: the file cannot be written.

    Example:
        >>> save(Path("checkpoint.pt"), {"batches": stream, "model": model}, losses=[0.4, 0.3])  # doctest: +SKIP
    """
    import torch

    with whole_file(path) as partial:
        torch.save({name: part.state_dict() for name, part in parts.items()} | values, partial)


def load(path: Path, parts: Mapping[str, Stateful], **expected: Any) -> dict[str, Any]:
    """Put the parts of a run where a checkpoint left them. Where there is no checkpoint, nothing happens.

    Parameters:
        path: of the file.
        parts: of the run, by name, in the order in which they are loaded. A `Stream` refuses a checkpoint of other rows
            or options.
        expected: values that the checkpoint must have, such as the checksum of a vocabulary.

    Returns:
        The values that were saved beside the parts; none if there is no checkpoint.

    Raises:
        BadInput: the checkpoint is of something else, or is damaged.

    Example:
        >>> losses = load(Path("checkpoint.pt"), {"batches": stream, "model": model}).get("losses", [])
        ... # doctest: +SKIP
    """
    import torch

    do = "give another path, or delete the file to start from the beginning"
    try:
        saved = torch.load(path, weights_only=True)
    except FileNotFoundError:
        return {}
    except OSError:
        raise
    except Exception as error:  # of a damaged file: PyTorch raises what it meets
        raise BadInput(path, "a whole checkpoint", _first_line(error), do) from None
    if not isinstance(saved, dict):
        raise BadInput(path, "a checkpoint of this run", type(saved).__name__, do)
    for name, value in expected.items():
        if saved.get(name) != value:
            raise BadInput(path, f"a checkpoint of {name} {value}", f"{name} {saved.get(name)}", do)
    for name, part in parts.items():
        try:
            part.load_state_dict(saved[name])
        except BadInput as error:
            raise BadInput(path, error.expected, error.found, do) from None
        except Exception as error:
            raise BadInput(path, f"a checkpoint of this run's {name}", _first_line(error), do) from None
    return {name: value for name, value in saved.items() if name not in parts}


def _first_line(error: Exception) -> str:
    """What is wrong, without the list of everything else: PyTorch's first line can be a title, "Error(s) in …:"."""
    if isinstance(error, KeyError):
        return "one without it"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[len(lines) > 1 and lines[0].endswith(":")][:200]
