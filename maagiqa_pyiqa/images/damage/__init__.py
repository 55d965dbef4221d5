"""Worse versions of an image, made on purpose: for training to rank, and for measuring what a metric notices."""
