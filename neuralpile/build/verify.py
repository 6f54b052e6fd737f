"""Compare every local build with what `dataset.toml` states: subjects, sessions, units and tokens.

`make verify`, or `python -m neuralpile.build.verify`, prints a table. The exit status is 1 if a build differs.
"""

from neuralpile import catalog, cli
from neuralpile.build import compare
from neuralpile.build.record import Report
from neuralpile.cli import plural
from neuralpile.corpus import store
from neuralpile.errors import BadInput
from neuralpile.open import open_data_set


def main() -> int:
    """Print the table; return the exit status."""
    cli.parser(__doc__ or "", "python -m neuralpile.build.verify").parse_args()
    built = store.built()
    if not built:
        raise BadInput(catalog.BUILD, "built data sets", "none", "build some: python data/<name>/preprocess.py")
    print(f"{'':20}{'subjects':>9}{'sessions':>10}{'units':>14}{'tokens':>18}  differences")
    wrong = 0
    for name in built:
        try:
            line, differs = compare_build(name)
        except BadInput as error:
            line, differs = f"{name:20}{'':>51}  {error}", True
        print(line)
        wrong += differs
    published = [data_set.name for data_set in catalog.published()]
    missing = len(set(published) - set(built))
    count = f"{plural(len(built), 'data set')} built, {wrong} of them different"
    print(f"{count}; {missing} of {plural(len(published), 'published data set')} not built")
    return 1 if wrong else 0


def compare_build(name: str) -> tuple[str, bool]:
    """The table's line about the local build of a data set, and whether it differs from what is published.

    Raises:
        BadInput: the build, or its report, cannot be read.
    """
    data_set, folder = catalog.load(name), catalog.BUILD / name
    held = compare.holdings_of_rows(data_set, open_data_set(str(folder)))
    differences = compare.differences(data_set, held, Report.read(folder))
    units = "–".join(f"{n:,}" for n in dict.fromkeys(held.units))
    line = f"{name:20}{len(held.subjects):>9}{held.sessions:>10,}{units:>14}{held.tokens:>18,}"
    return f"{line}  {'; '.join(differences.values()) or 'none'}", bool(differences)


if __name__ == "__main__":
    cli.run(main)
