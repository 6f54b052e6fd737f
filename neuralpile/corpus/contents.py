"""What is in a data set, added up from its tables: areas by unit, animals, evaluation data, and restricted data sets.

Areas are named as the recordings name them. A unit whose area is not stated counts for the only area of its session's
data set if the recording states no area at all; it is "not stated" otherwise.
"""

from typing import NamedTuple

import pyarrow as pa

from neuralpile.corpus.tables import KEYS, UNITS, database

NOT_STATED = "not stated"
SESSION = ", ".join(KEYS)
DATA_SETS = "list(DISTINCT source_dataset ORDER BY source_dataset) AS data_sets"
SPLITS = "list(DISTINCT split ORDER BY split) FILTER (split IS NOT NULL) AS splits"
# A session can come in several files of one name: their units have the same names, and are counted together.
QUERIES = {
    "areas": f"""
        WITH one AS (
            SELECT {SESSION}, count(*) AS files, sum(tokens) AS tokens, sum(n_units) AS n_units,
                any_value(areas) AS areas
            FROM sessions GROUP BY ALL
        ), counted AS (
            SELECT {SESSION}, area, count(*) AS units, count(*) FILTER (alive) AS alive, sum(rate) AS rates
            FROM units GROUP BY ALL
            UNION ALL SELECT {SESSION}, NULL, n_units, NULL, NULL FROM one ANTI JOIN units USING ({SESSION})
        ), placed AS (
            SELECT *, CASE WHEN len(areas) = 1 AND count(area) OVER (PARTITION BY {SESSION}) = 0 THEN areas[1]
                ELSE area END AS place
            FROM counted JOIN one USING ({SESSION})
        )
        SELECT coalesce(place, '{NOT_STATED}') AS area, {DATA_SETS}, sum(files)::BIGINT AS sessions,
            coalesce(sum(units), 0)::BIGINT AS units, sum(alive)::BIGINT AS alive,
            round(sum(CASE WHEN n_units > 0 THEN tokens * units / n_units ELSE tokens END))::BIGINT AS tokens,
            round(sum(rates) / sum(units) FILTER (rates IS NOT NULL), 2) AS mean_rate
        FROM placed GROUP BY place ORDER BY place IS NULL, units DESC, tokens DESC, 1""",
    "animals": f"""
        SELECT coalesce(animal, '{NOT_STATED}') AS animal, {DATA_SETS},
            list(DISTINCT subject_id ORDER BY subject_id) AS subjects, max(species) AS species,
            count(*) AS sessions, sum(tokens)::BIGINT AS tokens, {SPLITS}
        FROM sessions GROUP BY sessions.animal
        ORDER BY sessions.animal IS NULL, len(data_sets) DESC, tokens DESC, 1""",
    "evaluation": f"""
        SELECT used AS benchmark, source_dataset, count(*) AS sessions, sum(tokens)::BIGINT AS tokens, {SPLITS}
        FROM (SELECT unnest(evaluation) AS used, * FROM sessions) GROUP BY 1, 2 ORDER BY 1, 2""",
    "restricted": """
        SELECT source_dataset, licence, count(*) AS sessions, sum(tokens)::BIGINT AS tokens
        FROM sessions WHERE restricted GROUP BY 1, 2 ORDER BY 1""",
}


class Contents(NamedTuple):
    """What is in a data set or a corpus, in tables. Sessions, units and tokens are counted in each.

    Attributes:
        areas: a line for each area, the one with the most units first, and units whose area is not stated last. A unit
            counts in each session in which it was recorded.
        animals: a line for each animal, those of several data sets first.
        evaluation: a line for each use in a benchmark ("nlb:test") of each data set.
        restricted: a line for each data set whose terms forbid, or may forbid, redistribution.
    """

    areas: pa.Table
    animals: pa.Table
    evaluation: pa.Table
    restricted: pa.Table


def contents(sessions: pa.Table, units: pa.Table | None) -> Contents:
    """Add up what is in a data set or a corpus.

    Parameters:
        sessions: of the schema `tables.SESSIONS`.
        units: of the schema `tables.UNITS`; None where it was built without.
    """
    with database() as connection:
        connection.register("sessions", sessions)
        connection.register("units", UNITS.empty_table() if units is None else units)
        return Contents(**{name: connection.sql(query).to_arrow_table() for name, query in QUERIES.items()})
