"""The visual abstractor of mPLUG-Owl2: learned queries that sum an image up in a few vectors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from maagiqa_pyiqa.semantics.mplug_owl2.config import AbstractorConfig
from maagiqa_pyiqa.semantics.mplug_owl2.layers import LayerNorm, Layers, Linear, TensorModule


class AbstractorAttention(TensorModule):
    """Attention of the learned queries to themselves and to the image; positions enter queries and keys only."""

    def __init__(self, config: AbstractorConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.q_pos_embed = nn.Parameter(torch.zeros(config.num_learnable_queries, config.hidden_size))
        self.k_pos_embed = nn.Parameter(torch.zeros(config.grid_size**2 + 1, config.hidden_size))
        self.query = Linear(config.hidden_size, config.hidden_size)
        self.key = Linear(config.encoder_hidden_size, config.hidden_size)
        self.value = Linear(config.encoder_hidden_size, config.hidden_size)

    def forward(self, queries: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Attend from (N, Q, W) to both (N, Q + L, W)."""
        query_position = self.q_pos_embed.to(queries.dtype)
        key_position = torch.cat([query_position, self.k_pos_embed.to(queries.dtype)])
        both = torch.cat([queries, image], dim=1)
        query, key, value = (
            torch.unflatten(x, -1, (self.heads, -1)).transpose(1, 2)  # (N, heads, L, W / heads)
            for x in (self.query(queries + query_position), self.key(both + key_position), self.value(both))
        )
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


class AbstractorMLP(TensorModule):
    """SwiGLU with a norm inside."""

    def __init__(self, config: AbstractorConfig) -> None:
        super().__init__()
        self.w1 = Linear(config.hidden_size, config.intermediate_size)
        self.w2 = Linear(config.intermediate_size, config.hidden_size)
        self.w3 = Linear(config.hidden_size, config.intermediate_size)
        self.ffn_ln = LayerNorm(config.intermediate_size, eps=config.layer_norm_eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.w2(self.ffn_ln(F.silu(self.w1(x)) * self.w3(x)))


class AbstractorOutput(TensorModule):
    """Residual connections around attention and MLP."""

    def __init__(self, config: AbstractorConfig) -> None:
        super().__init__()
        self.out_proj = Linear(config.hidden_size, config.hidden_size)
        self.norm2 = LayerNorm(config.hidden_size)  # torch's eps, not the config's, as published
        self.mlp = AbstractorMLP(config)

    def forward(self, attended: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        x = residual + self.out_proj(attended)
        return x + self.mlp(self.norm2(x))


class AbstractorCrossAttention(TensorModule):
    """Norms, attention and output of one layer; the residual is the normed input, as published."""

    def __init__(self, config: AbstractorConfig) -> None:
        super().__init__()
        self.attention = AbstractorAttention(config)
        self.output = AbstractorOutput(config)
        self.norm1 = LayerNorm(config.hidden_size)  # torch's eps, not the config's, as published
        self.normk = LayerNorm(config.encoder_hidden_size)

    def forward(self, queries: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Apply to queries (N, Q, W), looking at image (N, L, W)."""
        queries = self.norm1(queries)
        return self.output(self.attention(queries, self.normk(image)), queries)


class AbstractorLayer(TensorModule):
    """One layer, under the name the checkpoints give it."""

    def __init__(self, config: AbstractorConfig) -> None:
        super().__init__()
        self.crossattention = AbstractorCrossAttention(config)

    def forward(self, queries: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        return self.crossattention(queries, image)


class VisualAbstractor(TensorModule):
    """Encoded image (N, L, W) to the vectors that stand for it in the decoder, (N, queries + 1, D)."""

    def __init__(self, config: AbstractorConfig, language_width: int) -> None:
        super().__init__()
        self.query_embeds = nn.Parameter(torch.zeros(1, config.num_learnable_queries, config.hidden_size))
        self.encoder = Layers(AbstractorLayer(config) for _ in range(config.num_hidden_layers))
        self.visual_fc = Linear(config.hidden_size, language_width)
        self.vit_eos = nn.Parameter(torch.zeros(1, 1, language_width))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        queries = self.query_embeds.to(image.dtype).expand(len(image), -1, -1)
        for layer in self.encoder.layers:
            queries = layer(queries, image)
        end = self.vit_eos.to(image.dtype).expand(len(image), -1, -1)
        return torch.cat([self.visual_fc(queries), end], dim=1)
