"""Our scores inside other people's tools, each of which is an optional package."""
