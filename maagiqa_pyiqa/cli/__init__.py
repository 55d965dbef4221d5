"""Command line ``maagiqa``: one verb a file, each with ``add_parser`` and a handler that returns the exit code.

To add a verb: a module here and its name in ``main.VERBS``. Heavy imports belong into the handler.
Exit codes: 0, all well; 1, some items failed and are listed; 2, wrong usage; 70, a fault of the program, with its
traceback; 130, interrupted; 141, who read standard output has gone.
"""
