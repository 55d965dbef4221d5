"""The leaderboard: any metrics on one dataset, scored once, compared with intervals, reported side by side.

``run.py`` is the whole; it asks ``entrants.py`` who takes part and ``datasets.py`` on what, has ``run_metrics.py``
score what ``score_store.py`` does not hold yet, compares by ``statistics.py``, and writes ``results.py``'s structure.
"""
