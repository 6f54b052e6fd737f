"""Reports of builds, as a build writes them."""

from neuralpile.build.record import REPORT, Report, Totals
from neuralpile.spikes.session import Options


def write_report(folder, failed=None, **options):
    """A report.json in a folder: no session's facts, these options, and these session files failed."""
    totals = Totals(1, 1, 1, (4, 4), 100, 400, 0, 0.0, 0, 0, 0, 0)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT).write_text(Report(folder.name, Options(**options), totals, [], failed or {}).to_json())
