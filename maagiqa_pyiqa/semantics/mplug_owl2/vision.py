"""The vision encoder of mPLUG-Owl2: a CLIP-like ViT, under the names of the published checkpoints."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from maagiqa_pyiqa.semantics.mplug_owl2.config import VisionConfig
from maagiqa_pyiqa.semantics.mplug_owl2.layers import LayerNorm, Layers, Linear, TensorModule


class VisionEmbeddings(TensorModule):
    """Patches and a class token, with positions."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        patches = (config.image_size // config.patch_size) ** 2
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.hidden_size))
        self.patch_embed = nn.Conv2d(3, config.hidden_size, config.patch_size, config.patch_size, bias=False)
        self.position_embedding = nn.Parameter(torch.zeros(1, patches + 1, config.hidden_size))
        self.pre_layernorm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Embed (N, 3, S, S) as (N, 1 + patches, W)."""
        weight = self.patch_embed.weight.to(pixels.dtype)
        patches = F.conv2d(pixels, weight, stride=self.patch_embed.stride).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.to(pixels.dtype).expand(len(pixels), -1, -1), patches], dim=1)
        return self.pre_layernorm(x + self.position_embedding.to(pixels.dtype))


class VisionAttention(TensorModule):
    """Self-attention whose fused projection holds query, key and value head by head."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.query_key_value = Linear(config.hidden_size, 3 * config.hidden_size)
        self.dense = Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend (N, L, W)."""
        fused = torch.unflatten(self.query_key_value(x), -1, (self.heads, 3, -1))  # (N, L, heads, 3, W / heads)
        query, key, value = fused.permute(3, 0, 2, 1, 4).unbind(0)  # each (N, heads, L, W / heads)
        return self.dense(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class VisionMLP(TensorModule):
    """Two layers with quick GELU."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.fc1 = Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.fc1(x)
        return self.fc2(x * torch.sigmoid(1.702 * x))


class VisionLayer(TensorModule):
    """Pre-norm transformer layer."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.self_attn = VisionAttention(config)
        self.input_layernorm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = VisionMLP(config)
        self.post_attention_layernorm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply to (N, L, W)."""
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class VisionModel(TensorModule):
    """Normalised pixels (N, 3, S, S) to (N, 1 + patches, W)."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.embeddings = VisionEmbeddings(config)
        self.encoder = Layers(VisionLayer(config) for _ in range(config.num_hidden_layers))
        self.post_layernorm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = self.embeddings(pixels)
        for layer in self.encoder.layers:
            x = layer(x)
        return self.post_layernorm(x)
