"""How much memory counting may use, where the process has a limit. Imports no large library, which could exceed it."""

import resource

from neuralpile.errors import BadInput

LIBRARIES = 1_500_000_000  # bytes of address space that the interpreter, the libraries and their threads reserve
LEAST = 20_000_000  # bytes for tables


def within_limit(memory: int) -> int:
    """Return the memory that the tables may use, given the limit of this process (`ulimit -v`).

    Raises:
        BadInput: the limit leaves none. LLVM, which compiles the kernels, would abort the process.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return memory
    if limit < LIBRARIES:
        found = f"a limit of {limit / 1e9:.1f} GB"
        raise BadInput("ulimit -v", f"at least {LIBRARIES / 1e9:g} GB of address space", found, "raise the limit")
    return min(memory, max(limit - LIBRARIES, LEAST))
