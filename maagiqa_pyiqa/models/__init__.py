"""Training models for pyiqa's engine."""
