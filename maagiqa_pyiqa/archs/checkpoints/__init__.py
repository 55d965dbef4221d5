"""Weights into networks: ours, the authors', and where a backbone starts from."""
