"""Build hook of hatchling: place the start-up hook at the top of site-packages, in wheels and editable installs."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = "maagiqa_pyiqa/startup"
FILES = ("_maagiqa_pyiqa_startup.py", "maagiqa_pyiqa_startup.pth")


class StartupHook(BuildHookInterface):
    """Adds FILES to the wheel's root; hatchling finds this class by itself."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before each build; ``version`` is ``standard`` or ``editable``."""
        place = "force_include_editable" if version == "editable" else "force_include"
        build_data.setdefault(place, {}).update({f"{FOLDER}/{name}": name for name in FILES})
