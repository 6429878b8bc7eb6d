"""Datasette as uvicorn's workers import it: the file that CALLS_FILE names, which nobody writes."""

import os

from datasette.app import Datasette

app = Datasette(
    immutables=[os.environ["CALLS_FILE"]],
    settings={"num_sql_threads": 1, "suggest_facets": False, "default_cache_ttl": 0},
).app()
