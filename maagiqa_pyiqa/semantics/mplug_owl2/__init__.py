"""mPLUG-Owl2: network, tokens, pixels, weights, and the pass that gives the authors' features at less work."""
