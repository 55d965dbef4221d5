"""Questions about images to a large model behind an OpenAI-compatible endpoint, into a folder of answers."""
