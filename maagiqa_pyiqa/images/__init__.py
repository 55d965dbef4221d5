"""Image files: finding them, decoding them to pixels, and pixels to the tensors that networks take."""
