"""How much memory counting may use, where the process has a limit. Imports no large library, which could exceed it."""

from neuralpile import environment
from neuralpile.errors import BadInput

LIBRARIES = (
    1_000_000_000  # bytes of address space that the interpreter, the libraries and their threads reserve: 750 MB
)
LEAST = 20_000_000  # bytes for tables


def within_limit(memory: int) -> int:
    """Return the memory that the tables may use, given the limit of this process (`ulimit -v`).

    Raises:
        BadInput: the limit leaves none. LLVM, which compiles the kernels, would abort the process.
    """
    limit = environment.address_space()
    if limit < LIBRARIES:
        found = f"a limit of {limit / 1e9:.1f} GB"
        raise BadInput("ulimit -v", f"at least {LIBRARIES / 1e9:g} GB of address space", found, "raise the limit")
    return int(min(memory, max(limit - LIBRARIES, LEAST)))
