"""Semantic features the authors' way, as the baseline of timings and the oracle of tests.

For each image and each question two full passes, as in their script: one for logits that nobody uses and one for the
hidden states; each encodes the images again, runs the decoder over all tokens, and lm_head over every position. Batches
of 8 as in their script, images decoded here, for each question anew. The layers are those of our network, so what
differs is the procedure alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from maagiqa_pyiqa.semantics.batched_extractor import as_pil
from maagiqa_pyiqa.semantics.mplug_owl2.decoder import IMAGE, TEXT, make_runs
from maagiqa_pyiqa.semantics.mplug_owl2.extractor import MplugOwl2Extractor
from maagiqa_pyiqa.semantics.mplug_owl2.network import MplugOwl2
from maagiqa_pyiqa.semantics.mplug_owl2.tokens import PromptTokens


def full_pass(net: MplugOwl2, pixels: torch.Tensor, prompt: PromptTokens) -> tuple[torch.Tensor, torch.Tensor]:
    """Everything about one question, nothing reused.

    Args:
        net: with its lm_head.
        pixels: normalised, (N, 3, S, S).
        prompt: token ids around the image.

    Returns:
        Final hidden states (L, N, D) and logits (L, N, vocabulary).
    """
    image_tokens = net.model.encode_images(pixels)
    before, after = (net.model.embed_text(ids, pixels.dtype, len(pixels)) for ids in prompt)
    runs = make_runs((TEXT, len(before)), (IMAGE, len(image_tokens)), (TEXT, len(after)))
    states, _ = net.model.decode(torch.cat([before, image_tokens, after]), runs)
    if net.lm_head is None:
        raise ValueError("the reference needs lm_head: load the extractor with words=True.")
    return states, net.lm_head(states)


@torch.no_grad()
def reference_features(extractor: MplugOwl2Extractor, images: Sequence[Any], batch_size: int = 8) -> torch.Tensor:
    """Features (N, E, D) of images, four full passes a batch where there are two questions."""
    batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    vectors = [torch.cat([_mean_states(extractor, b, prompt) for b in batches]) for prompt in extractor.lmm.prompts]
    return torch.stack(vectors, dim=1)


def _mean_states(extractor: MplugOwl2Extractor, images: Sequence[Any], prompt: str) -> torch.Tensor:
    pixels = torch.stack([extractor.pixels.prepare(as_pil(image)) for image in images]).to(extractor.device)
    normalised = extractor.pixels.normalise(pixels, extractor.dtype)
    full_pass(extractor.lmm.net, normalised, extractor.lmm.prompts[prompt])  # their logits, which nobody uses
    states, _ = full_pass(extractor.lmm.net, normalised, extractor.lmm.prompts[prompt])
    return states.float().mean(0).cpu()
