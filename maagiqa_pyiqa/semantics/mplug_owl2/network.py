"""mPLUG-Owl2 (Ye et al., CVPR 2024, arXiv 2311.04257), for extracting features.

Original code: github.com/X-PLUG/mPLUG-Owl. Weights: MAGAer13/mplug-owl2-llama2-7b, under Llama 2's community licence;
the same network with the weights of q-future/one-align is Q-Align. Modules and parameters are named and shaped as in
the published checkpoints. What differs from the original: attention is torch's; the decoder works on sequences laid
out (length, batch, width), where a run of text or of image tokens is one contiguous slice, so that the two-way layers
need no gather.

Every layer computes in the dtype of what it is given, whatever dtype its weights are kept in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import nn

ConfigType = TypeVar("ConfigType")
TEXT, IMAGE = 0, 1  # index of a two-way layer's weights


# ---------------------------------------------------------------------------------------------------------- options


@dataclass(frozen=True)
class VisionConfig:
    """CLIP-like ViT; the published one is ViT-L/14 at 448 pixels."""

    hidden_size: int
    image_size: int
    patch_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    layer_norm_eps: float


@dataclass(frozen=True)
class AbstractorConfig:
    """Learned queries that sum an image up in a few vectors."""

    hidden_size: int
    encoder_hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    layer_norm_eps: float
    grid_size: int
    num_learnable_queries: int


@dataclass(frozen=True)
class MplugOwl2Config:
    """What defines the network, from the checkpoint's ``config.json``."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    rms_norm_eps: float
    vision: VisionConfig
    abstractor: AbstractorConfig
    rope_theta: float = 10000.0

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> MplugOwl2Config:
        """Read a published ``config.json``.

        Raises:
            ValueError: another kind of model, or a variant that the published ones do not use.
        """
        if raw.get("model_type") != "mplug_owl2":
            raise ValueError(f"config.json describes a '{raw.get('model_type')}' model; expected 'mplug_owl2'.")
        fixed = {"hidden_act": "silu", "rope_scaling": None, "num_key_value_heads": raw["num_attention_heads"]}
        for name, value in fixed.items():
            if raw.get(name, value) != value:
                raise ValueError(f"config.json: {name} {raw[name]!r} is not supported, only {value!r}.")
        parts = raw["visual_config"]
        vision = _pick(VisionConfig, parts["visual_model"])
        return _pick(cls, {**raw, "vision": vision, "abstractor": _pick(AbstractorConfig, parts["visual_abstractor"])})

    @property
    def image_tokens(self) -> int:
        """Vectors that stand for an image in the decoder: the queries and an end token."""
        return self.abstractor.num_learnable_queries + 1


def _pick(cls: type[ConfigType], raw: Mapping[str, Any]) -> ConfigType:
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    return cls(**{name: raw[name] for name in names if name in raw})


# ------------------------------------------------------------------------------- layers that follow their input's dtype


class Linear(nn.Linear):
    """Linear layer in the dtype of its input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply."""
        return F.linear(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))


class LayerNorm(nn.LayerNorm):
    """Layer norm in the dtype of its input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply."""
        return F.layer_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps)


class RMSNorm(nn.Module):
    """Llama's norm: the statistic in fp32, the rest in the dtype of the input."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply."""
        scale = x.float().square().mean(-1, keepdim=True).add(self.eps).rsqrt()
        return (x * scale).to(x.dtype) * self.weight.to(x.dtype)


# ------------------------------------------------------------------------------------------------------ vision encoder


class VisionEmbeddings(nn.Module):
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


class VisionAttention(nn.Module):
    """Self-attention whose fused projection holds query, key and value head by head."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.query_key_value = Linear(config.hidden_size, 3 * config.hidden_size)
        self.dense = Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend (N, L, W)."""
        fused = self.query_key_value(x).unflatten(-1, (self.heads, 3, -1))  # (N, L, heads, 3, W / heads)
        query, key, value = fused.permute(3, 0, 2, 1, 4).unbind(0)  # each (N, heads, L, W / heads)
        return self.dense(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class VisionMLP(nn.Module):
    """Two layers with quick GELU."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.fc1 = Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply."""
        x = self.fc1(x)
        return self.fc2(x * torch.sigmoid(1.702 * x))


class VisionLayer(nn.Module):
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


class VisionModel(nn.Module):
    """Normalised pixels (N, 3, S, S) to (N, 1 + patches, W)."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.embeddings = VisionEmbeddings(config)
        self.encoder = _Layers(VisionLayer(config) for _ in range(config.num_hidden_layers))
        self.post_layernorm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode."""
        x = self.embeddings(pixels)
        for layer in self.encoder.layers:
            x = layer(x)
        return self.post_layernorm(x)


class _Layers(nn.Module):
    """A list under the name the checkpoints give it."""

    def __init__(self, layers: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)


# --------------------------------------------------------------------------------------------------- visual abstractor


class AbstractorAttention(nn.Module):
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
            x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (N, heads, L, W / heads)
            for x in (self.query(queries + query_position), self.key(both + key_position), self.value(both))
        )
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


class AbstractorMLP(nn.Module):
    """SwiGLU with a norm inside."""

    def __init__(self, config: AbstractorConfig) -> None:
        super().__init__()
        self.w1 = Linear(config.hidden_size, config.intermediate_size)
        self.w2 = Linear(config.intermediate_size, config.hidden_size)
        self.w3 = Linear(config.hidden_size, config.intermediate_size)
        self.ffn_ln = LayerNorm(config.intermediate_size, eps=config.layer_norm_eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply."""
        return self.w2(self.ffn_ln(F.silu(self.w1(x)) * self.w3(x)))


class AbstractorOutput(nn.Module):
    """Residual connections around attention and MLP."""

    def __init__(self, config: AbstractorConfig) -> None:
        super().__init__()
        self.out_proj = Linear(config.hidden_size, config.hidden_size)
        self.norm2 = LayerNorm(config.hidden_size)  # torch's eps, not the config's, as published
        self.mlp = AbstractorMLP(config)

    def forward(self, attended: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """Add both."""
        x = residual + self.out_proj(attended)
        return x + self.mlp(self.norm2(x))


class AbstractorCrossAttention(nn.Module):
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


class AbstractorLayer(nn.Module):
    """One layer, under the name the checkpoints give it."""

    def __init__(self, config: AbstractorConfig) -> None:
        super().__init__()
        self.crossattention = AbstractorCrossAttention(config)

    def forward(self, queries: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Apply."""
        return self.crossattention(queries, image)


class VisualAbstractor(nn.Module):
    """Encoded image (N, L, W) to the vectors that stand for it in the decoder, (N, queries + 1, D)."""

    def __init__(self, config: AbstractorConfig, language_width: int) -> None:
        super().__init__()
        self.query_embeds = nn.Parameter(torch.zeros(1, config.num_learnable_queries, config.hidden_size))
        self.encoder = _Layers(AbstractorLayer(config) for _ in range(config.num_hidden_layers))
        self.visual_fc = Linear(config.hidden_size, language_width)
        self.vit_eos = nn.Parameter(torch.zeros(1, 1, language_width))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Sum up."""
        queries = self.query_embeds.to(image.dtype).expand(len(image), -1, -1)
        for layer in self.encoder.layers:
            queries = layer(queries, image)
        end = self.vit_eos.to(image.dtype).expand(len(image), -1, -1)
        return torch.cat([self.visual_fc(queries), end], dim=1)


# ----------------------------------------------------------------------------------------------------- two-way decoder


class Run(NamedTuple):
    """A contiguous run of tokens of one kind: ``way`` is TEXT or IMAGE, positions ``start`` to ``stop``."""

    way: int
    start: int
    stop: int


def make_runs(*lengths: tuple[int, int]) -> tuple[Run, ...]:
    """Runs from (way, length) pairs in order; empty ones are left out."""
    runs: list[Run] = []
    for way, length in lengths:
        start = runs[-1].stop if runs else 0
        if length:
            runs.append(Run(way, start, start + length))
    return tuple(runs)


KeysValues = tuple[torch.Tensor, torch.Tensor]  # each (length, batch, heads, width / heads)


class Rotary(NamedTuple):
    """Cosines and sines of rotary positions, each (length, 1, 1, width / heads)."""

    cos: torch.Tensor
    sin: torch.Tensor

    def turn(self, x: torch.Tensor) -> torch.Tensor:
        """Rotate (length, batch, heads, width / heads)."""
        first, second = x.chunk(2, dim=-1)
        return x * self.cos + torch.cat([-second, first], dim=-1) * self.sin


class Multiway(nn.Module):
    """A layer that has weights of its own for text and for image tokens."""

    def __init__(self, text: nn.Module, image: nn.Module) -> None:
        super().__init__()
        self.multiway = nn.ModuleList([text, image])

    def forward(self, x: torch.Tensor, runs: Sequence[Run]) -> torch.Tensor:
        """Apply to (length, batch, width), run by run."""
        parts = [self.multiway[run.way](x[run.start : run.stop]) for run in runs]
        return torch.cat(parts) if len(parts) > 1 else parts[0]


class DecoderAttention(nn.Module):
    """Causal self-attention; text and image tokens share queries and output, not keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = Linear(width, width, bias=False)
        self.k_proj = Multiway(Linear(width, width, bias=False), Linear(width, width, bias=False))
        self.v_proj = Multiway(Linear(width, width, bias=False), Linear(width, width, bias=False))
        self.o_proj = Linear(width, width, bias=False)

    def forward(
        self, x: torch.Tensor, runs: Sequence[Run], rotary: Rotary, past: KeysValues | None
    ) -> tuple[torch.Tensor, KeysValues]:
        """Attend from (length, batch, width) to ``past`` and to itself."""
        query = rotary.turn(self.q_proj(x).unflatten(-1, (self.heads, -1)))
        key = rotary.turn(self.k_proj(x, runs).unflatten(-1, (self.heads, -1)))
        value = self.v_proj(x, runs).unflatten(-1, (self.heads, -1))
        if past is not None:
            key, value = (
                torch.cat([p.expand(-1, x.shape[1], -1, -1), own]) for p, own in zip(past, (key, value), strict=True)
            )
        attended = _causal_attention(query, key, value)  # (length, batch, heads, width / heads)
        return self.o_proj(attended.flatten(2)), (key, value)


def _causal_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Attention in which the last query is at the last key's position; all (length, batch, heads, width / heads)."""
    length, total = len(query), len(key)
    mask = None
    if 1 < length < total:
        mask = torch.ones(length, total, dtype=torch.bool, device=query.device).tril(total - length)
    query, key, value = (x.permute(1, 2, 0, 3) for x in (query, key, value))  # (batch, heads, length, width / heads)
    attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=length == total)
    return attended.permute(2, 0, 1, 3)


class DecoderMLP(nn.Module):
    """SwiGLU."""

    def __init__(self, width: int, intermediate: int) -> None:
        super().__init__()
        self.gate_proj = Linear(width, intermediate, bias=False)
        self.up_proj = Linear(width, intermediate, bias=False)
        self.down_proj = Linear(intermediate, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(nn.Module):
    """Pre-norm transformer layer with two-way norms, keys and values."""

    def __init__(self, config: MplugOwl2Config) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.rms_norm_eps
        self.self_attn = DecoderAttention(width, config.num_attention_heads)
        self.mlp = DecoderMLP(width, config.intermediate_size)
        self.input_layernorm = Multiway(RMSNorm(width, eps), RMSNorm(width, eps))
        self.post_attention_layernorm = Multiway(RMSNorm(width, eps), RMSNorm(width, eps))

    def forward(
        self, x: torch.Tensor, runs: Sequence[Run], rotary: Rotary, past: KeysValues | None
    ) -> tuple[torch.Tensor, KeysValues]:
        """Apply to (length, batch, width); also return keys and values, past ones included."""
        attended, keys_values = self.self_attn(self.input_layernorm(x, runs), runs, rotary, past)
        x = x + attended
        return x + self.mlp(self.post_attention_layernorm(x, runs)), keys_values


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
