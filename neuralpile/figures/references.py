"""Which data sets the figures are of."""

from collections.abc import Iterable

from neuralpile import catalog
from neuralpile.corpus import arrow, store
from neuralpile.errors import BadInput


def checked(reference: str) -> str:
    """Return a reference to a data set.

    Raises:
        BadInput: it is the corpus, and it is not merged yet.
    """
    if reference == catalog.PILE and not arrow.is_finished(catalog.BUILD / catalog.PILE):
        do = "run merge_datasets.py, or draw a data set with --repo_name or all with --plot_all"
        raise BadInput(catalog.BUILD / catalog.PILE, "the merged corpus", "none", do)
    return reference


def to_draw(signal: str | None = None) -> list[str]:
    """Return all local builds and the merged corpus; or all local builds with this kind of signal.

    Raises:
        BadInput: there is none.
    """
    pile = [catalog.PILE] if signal is None and arrow.is_finished(catalog.BUILD / catalog.PILE) else []
    found = with_signal(store.built(), signal) + pile
    if not found:
        expected = f"built data sets of {signal}" if signal else "data sets that are built"
        raise BadInput(catalog.BUILD, expected, "none", "build some: python data/<name>/preprocess.py")
    return found


def to_report(signal: str | None = None) -> tuple[list[str], int]:
    """Return the data sets that the page is about, and how many of them are built.

    They are all recorded data sets, and those simulated ones that are built. If only simulated ones are built, they are
    these.
    """
    recorded, built = [info.name for info in catalog.recorded()], store.built()
    simulated = [name for name in built if name not in recorded]
    names = with_signal(simulated if built and built == simulated else recorded + simulated, signal)
    if not names:
        raise BadInput("--signal", "the signal of a data set", str(signal), "choose another")
    return names, len(set(names) & set(built))


def with_signal(names: Iterable[str], signal: str | None) -> list[str]:
    """Return the names of the data sets with this kind of signal, or all."""
    return [name for name in names if signal is None or catalog.load(name).signal == signal]
