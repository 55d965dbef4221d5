"""Semantic extractors: frozen models that turn an image into one vector per semantic prompt.

To add one: a module with a class that follows ``protocol.SemanticExtractor`` (``batched_extractor`` has most of it) and
the class methods of ``extractor.ExtractorClass``, and a row in ``extractor.ROWS``.
"""
