"""What server and client agree on; it imports nothing heavy, as the client does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

SCHEMA: Literal[1] = 1  # of requests and responses; what does not know it refuses it
HOST, PORT = "127.0.0.1", 8410
TOKEN_VARIABLE = "MAAGIQA_TOKEN"  # noqa: S105  # the name of a variable
SCORE_PATH, HEALTH_PATH, METRICS_PATH, CARD_PATH, GUIDE_PATH = "/score", "/health", "/metrics", "/card", "/docs"
IMAGES_FIELD, OPTIONS_FIELD = "images", "options"  # of a form
TENSOR_TYPE = "application/x-safetensors"
TENSOR_NAME = "images"  # of the tensor in a part
TENSOR_TYPES = ("U8", "F16", "F32")  # as safetensors calls them
TENSOR_SHAPES = "(N, H, W, 3) of uint8, or (N, 3, H, W) of float32 or float16 in [0, 1]"
MAX_IMAGES = 64  # of a request
MAX_BODY_MIB = 64


def pack(images: np.ndarray) -> bytes:
    """A batch of one size as a part of a request: safetensors bytes, which say shape and type.

    Args:
        images: TENSOR_SHAPES.
    """
    import numpy as np
    from safetensors.numpy import save

    return save({TENSOR_NAME: np.ascontiguousarray(images)})
