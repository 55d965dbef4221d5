"""MA-AGIQA for pyiqa: quality of AI-generated images as people see it.

Importing this registers metrics, architecture, datasets and training model with pyiqa, once: at once where pyiqa is
imported already, otherwise as soon as it is. Where the package is installed ``import pyiqa`` alone is enough, see
``startup/``.
"""

from __future__ import annotations

import importlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from maagiqa_pyiqa.register import register
from maagiqa_pyiqa.startup._maagiqa_pyiqa_startup import after_pyiqa

if TYPE_CHECKING:
    from maagiqa_pyiqa import reward
    from maagiqa_pyiqa.api.scoring import score
    from maagiqa_pyiqa.leaderboard.card import Card, card
    from maagiqa_pyiqa.reward.best import select_best

__version__ = "0.4.0"
__all__ = ["__version__", "Card", "card", "register", "reward", "score", "select_best"]

_HOMES = MappingProxyType(
    {
        "Card": "maagiqa_pyiqa.leaderboard.card",
        "card": "maagiqa_pyiqa.leaderboard.card",
        "score": "maagiqa_pyiqa.api.scoring",
        "select_best": "maagiqa_pyiqa.reward.best",
    }
)


def __getattr__(name: str) -> Any:
    """What brings torch, once it is asked for."""
    if name == "reward":
        return importlib.import_module("maagiqa_pyiqa.reward")
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return globals()[name]


after_pyiqa(register)
