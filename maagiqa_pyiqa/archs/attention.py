"""Token attention of MANIQA, with its parameters and results, in less time where it is trained on a CPU.

After MANIQA (Yang et al., CVPR Workshop 2022) as pyiqa has it. What differs: products.py does the products, image by
image, and their scale goes to the queries, which are fewer than the weights.
"""

from __future__ import annotations

import torch
from pyiqa.archs.maniqa_arch import TABlock

from maagiqa_pyiqa.archs.products import is_quick, linear


class TokenAttention(TABlock):
    """MANIQA's TABlock: attention among channels, each a vector over patches."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, patches) to the same shape."""
        if not is_quick(x, self.c_q.weight):
            return super().forward(x)
        query, key, value = self.c_q(x) * self.norm_fact, self.c_k(x), self.c_v(x)
        mixed = torch.stack([attend(*of_image) for of_image in zip(query, key, value, strict=True)])
        # scrambles the axes, as the authors do: their weights rely on it
        return self.proj_drop(mixed.transpose(1, 2).reshape(x.shape)) + x


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """``softmax(query @ key.T) @ value``, all (tokens, width)."""
    return linear(linear(query, key).softmax(-1), value.t())
