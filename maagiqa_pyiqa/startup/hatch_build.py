"""Build hook of hatchling: place the start-up hook at the top of site-packages, in wheels and editable installs."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = "maagiqa_pyiqa/startup"
FILES = ("_maagiqa_pyiqa_startup.py", "maagiqa_pyiqa_startup.pth")


class StartupHook(BuildHookInterface):
    """Adds FILES to the wheel's root; hatchling finds this class by itself."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before each build; ``version`` is ``standard`` or ``editable``."""
        # copies: a file that is placed elsewhere is left out of the package, which needs it too
        self.copies = Path(tempfile.mkdtemp())
        for name in FILES:
            shutil.copyfile(Path(self.root, FOLDER, name), self.copies / name)
        place = "force_include_editable" if version == "editable" else "force_include"
        build_data.setdefault(place, {}).update({str(self.copies / name): name for name in FILES})

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called after each build."""
        shutil.rmtree(self.copies, ignore_errors=True)
