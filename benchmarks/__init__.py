"""Runnable scripts on the package: demonstrations, figures, timings. Run them as ``python -m benchmarks.NAME``."""
