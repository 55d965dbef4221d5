"""mPLUG-Owl2 asked the same questions about many images, at a third of the work.

The question stands before the image, so what the decoder makes of it is the same for every image: its keys, values and
final hidden states are computed once. An image is encoded once for all questions, and only its tokens and the few that
follow go through the decoder.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch

from maagiqa_pyiqa.semantics.mplug_owl2.decoder import IMAGE, TEXT, KeysValues, make_runs
from maagiqa_pyiqa.semantics.mplug_owl2.network import MplugOwl2
from maagiqa_pyiqa.semantics.mplug_owl2.tokens import PromptTokens
from maagiqa_pyiqa.support.errors import InputError


class Prefix(NamedTuple):
    """What the decoder makes of the text before the image.

    ``keys_values`` per layer, of batch 1; ``state_sum`` (1, D), the final hidden states summed over positions, fp32.
    """

    keys_values: list[KeysValues]
    state_sum: torch.Tensor
    length: int


def repeated_in_fp32(
    run: Callable[[torch.Tensor, torch.dtype], torch.Tensor], pixels: torch.Tensor, dtype: torch.dtype, what: str
) -> torch.Tensor:
    """Run a batch; images whose results are not finite in half precision are run again in fp32, once, with a warning.

    Args:
        run: pixels (N, ...) and a dtype to results (N, ...).
        pixels: the batch.
        dtype: to try first.
        what: the results are called in the warning.
    """
    results = run(pixels, dtype)
    bad = ~results.flatten(1).isfinite().all(1)
    if bad.any() and dtype != torch.float32:
        warnings.warn(
            f"{int(bad.sum())} of {len(pixels)} images gave {what} that are not finite in {dtype}; "
            "repeating them in fp32",
            RuntimeWarning,
            stacklevel=3,
        )
        results[bad] = run(pixels[bad], torch.float32)
    return results


class PromptedMplugOwl2:
    """The network together with its prompts.

    Args:
        net: the network, in place and frozen.
        prompts: token ids around the image, by name.
    """

    def __init__(self, net: MplugOwl2, prompts: Mapping[str, PromptTokens]) -> None:
        self.net = net
        self.prompts = prompts
        self._prefixes: dict[tuple[str, torch.dtype], Prefix] = {}
        self._lock = threading.Lock()

    def prefix(self, name: str, dtype: torch.dtype) -> Prefix:
        """Return what stands before the image in a prompt, computing it on the first call."""
        with self._lock:
            if (name, dtype) not in self._prefixes:
                self._prefixes[name, dtype] = self._read_prefix(self.prompts[name].prefix, dtype)
            return self._prefixes[name, dtype]

    def _read_prefix(self, ids: Sequence[int], dtype: torch.dtype) -> Prefix:
        x = self.net.model.embed_text(ids, dtype)
        states, keys_values = self.net.model.decode(x, make_runs((TEXT, len(ids))), keep=True)
        return Prefix(keys_values, states.sum(0, dtype=torch.float32), len(ids))

    def read(self, name: str, image_tokens: torch.Tensor, keep: bool = False) -> tuple[torch.Tensor, list[KeysValues]]:
        """Run the decoder over the image and what follows it in the prompt.

        Args:
            name: of the prompt.
            image_tokens: (image_tokens, N, D), from ``encode_images``.
            keep: also return keys and values per layer, the prefix's included.

        Returns:
            Final hidden states (image_tokens + tail, N, D), and keys and values (empty unless kept).
        """
        tail = self.prompts[name].tail
        _, batch, _ = image_tokens.shape
        x = torch.cat([image_tokens, self.net.model.embed_text(tail, image_tokens.dtype, batch)])
        past = self.prefix(name, image_tokens.dtype).keys_values
        return self.net.model.decode(x, make_runs((IMAGE, len(image_tokens)), (TEXT, len(tail))), past, keep)

    def mean_state(self, name: str, image_tokens: torch.Tensor) -> torch.Tensor:
        """Mean over ALL positions, question included, of the final hidden states: the authors' pooling, (N, D) fp32."""
        states, _ = self.read(name, image_tokens)
        prefix = self.prefix(name, image_tokens.dtype)
        return (prefix.state_sum + states.sum(0, dtype=torch.float32)) / (prefix.length + len(states))

    def last_logits(self, name: str, image_tokens: torch.Tensor, ids: Sequence[int]) -> torch.Tensor:
        """Logits of a few next tokens at the last position only, (N, len(ids)) fp32."""
        states, _ = self.read(name, image_tokens)
        return self._logits(states[-1], list(ids))

    def _logits(self, states: torch.Tensor, ids: list[int] | slice = slice(None)) -> torch.Tensor:
        if self.net.lm_head is None:
            raise InputError("the network was loaded without lm_head; load it with words=True.")
        return torch.nn.functional.linear(states, self.net.lm_head.weight[ids].to(states.dtype)).float()

    def write(self, name: str, image_tokens: torch.Tensor, eos: int, limit: int) -> Iterator[int]:
        """Yield the ids of the model's answer about one image, the likeliest at each step, up to EOS or ``limit``."""
        states, past = self.read(name, image_tokens, keep=True)
        for _ in range(limit):
            token = int(self._logits(states[-1, 0]).argmax())
            if token == eos:
                return
            yield token
            x = self.net.model.embed_text([token], image_tokens.dtype)
            states, past = self.net.model.decode(x, make_runs((TEXT, 1)), past, keep=True)
