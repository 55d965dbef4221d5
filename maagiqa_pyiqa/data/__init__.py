"""Datasets, splits and augmentations for pyiqa's training engine."""
