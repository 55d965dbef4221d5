"""Semantic features of many images into a feature cache, on this machine or on a Ray cluster."""
