"""MA-AGIQA for pyiqa: quality of AI-generated images as people see it.

Importing this registers metrics, architecture, datasets and training model with pyiqa, once: at once where pyiqa is
imported already, otherwise as soon as it is. Where the package is installed ``import pyiqa`` alone is enough, see
``startup/``.
"""

from maagiqa_pyiqa.register import register
from maagiqa_pyiqa.startup._maagiqa_pyiqa_startup import after_pyiqa

__version__ = "0.3.0"
__all__ = ["__version__", "register"]

after_pyiqa(register)
