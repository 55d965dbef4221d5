"""Weights that ship inside the package; the card beside them says what they are and where they come from."""
