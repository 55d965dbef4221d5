"""Semantic extractors: frozen models that turn an image into one vector per semantic prompt.

To add one: a module with a class that follows ``extractor.SemanticExtractor``, and a line in ``create_extractor``.
"""
