"""Tests mirror the package; helpers they share stand in ``helpers``."""
