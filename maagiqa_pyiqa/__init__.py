"""MA-AGIQA for pyiqa: quality of AI-generated images as people see it.

Importing this registers metrics, architecture, datasets and training model with pyiqa, once: at once where pyiqa is
imported already, otherwise as soon as it is. Where the package is installed ``import pyiqa`` alone is enough, see
``startup/``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maagiqa_pyiqa.register import register
from maagiqa_pyiqa.startup._maagiqa_pyiqa_startup import after_pyiqa

if TYPE_CHECKING:
    from maagiqa_pyiqa.api.scoring import score

__version__ = "0.4.0"
__all__ = ["__version__", "register", "score"]


def __getattr__(name: str) -> Any:
    """``score``, which brings torch, once it is asked for."""
    if name != "score":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from maagiqa_pyiqa.api.scoring import score

    globals()[name] = score
    return score


after_pyiqa(register)
