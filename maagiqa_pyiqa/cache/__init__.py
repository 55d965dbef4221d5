"""The feature cache: semantic features on disk, keyed by image content. Start at ``reader``."""
