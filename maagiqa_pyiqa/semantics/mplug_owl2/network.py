"""mPLUG-Owl2 (Ye et al., CVPR 2024, arXiv 2311.04257), for extracting features.

Original code: github.com/X-PLUG/mPLUG-Owl. Weights: MAGAer13/mplug-owl2-llama2-7b, under Llama 2's community licence;
the same network with the weights of q-future/one-align is Q-Align. Modules and parameters are named and shaped as in
the published checkpoints. What differs from the original: attention is torch's, and the decoder's sequences are
laid out (length, batch, width), see ``decoder``.

Every layer computes in the dtype of what it is given, whatever dtype its weights are kept in.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from maagiqa_pyiqa.semantics.mplug_owl2.abstractor import VisualAbstractor
from maagiqa_pyiqa.semantics.mplug_owl2.config import MplugOwl2Config
from maagiqa_pyiqa.semantics.mplug_owl2.decoder import DecoderLayer, KeysValues, Rotary, Run
from maagiqa_pyiqa.semantics.mplug_owl2.layers import Linear, RMSNorm
from maagiqa_pyiqa.semantics.mplug_owl2.vision import VisionModel


class MplugOwl2Model(nn.Module):
    """Vision encoder, abstractor and decoder."""

    def __init__(self, config: MplugOwl2Config) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.vision_model = VisionModel(config.vision)
        self.visual_abstractor = VisualAbstractor(config.abstractor, config.hidden_size)

    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised pixels (N, 3, S, S) to image tokens (image_tokens, N, D), sequence first."""
        return self.visual_abstractor(self.vision_model(pixels)).transpose(0, 1).contiguous()

    def embed_text(self, ids: Sequence[int], dtype: torch.dtype, batch: int = 1) -> torch.Tensor:
        """Token ids to (length, batch, D)."""
        weight = self.embed_tokens.weight
        rows = F.embedding(torch.tensor(ids, dtype=torch.long, device=weight.device), weight).to(dtype)
        return rows.unsqueeze(1).expand(-1, batch, -1)

    def decode(
        self,
        x: torch.Tensor,
        runs: Sequence[Run],
        past: Sequence[KeysValues] | None = None,
        keep: bool = False,
    ) -> tuple[torch.Tensor, list[KeysValues]]:
        """Run the decoder.

        Args:
            x: embeddings (length, batch, D).
            runs: which of them are text and which image.
            past: keys and values of what stands before, per layer, of batch 1 or the same batch.
            keep: also return the keys and values of every layer.

        Returns:
            Hidden states after the last norm (length, batch, D), and keys and values per layer (empty unless kept).
        """
        rotary = self._rotary(len(past[0][0]) if past else 0, len(x), x)
        kept = []
        for index, layer in enumerate(self.layers):
            x, keys_values = layer(x, runs, rotary, past[index] if past else None)
            if keep:
                kept.append(keys_values)
        return self.norm(x), kept

    def _rotary(self, start: int, length: int, x: torch.Tensor) -> Rotary:
        width = self.config.hidden_size // self.config.num_attention_heads
        steps = torch.arange(0, width, 2, dtype=torch.float32, device=x.device) / width
        positions = torch.arange(start, start + length, dtype=torch.float32, device=x.device)
        angles = torch.outer(positions, 1.0 / self.config.rope_theta**steps)
        angles = torch.cat([angles, angles], dim=-1)[:, None, None]  # (length, 1, 1, width)
        return Rotary(angles.cos().to(x.dtype), angles.sin().to(x.dtype))


class MplugOwl2(nn.Module):
    """The network under the checkpoint's names: ``model`` and, where words are wanted, ``lm_head``."""

    def __init__(self, config: MplugOwl2Config, lm_head: bool = False) -> None:
        super().__init__()
        self.model = MplugOwl2Model(config)
        self.lm_head = Linear(config.hidden_size, config.vocab_size, bias=False) if lm_head else None
