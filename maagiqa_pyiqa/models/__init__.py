"""Training models for pyiqa's engine."""

RESOLVED_OPTIONS = "resolved_options.json"  # in an experiment's folder: what really ran
