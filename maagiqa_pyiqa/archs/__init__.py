"""The network: quality branch, adaptive fusion, and how checkpoints of every origin reach it."""
