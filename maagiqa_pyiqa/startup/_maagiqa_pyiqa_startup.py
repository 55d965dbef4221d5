"""Registers maagiqa_pyiqa with pyiqa as soon as pyiqa has been imported.

The build installs this file at the top of site-packages with a one-line ``.pth`` that imports it at interpreter
start, because ``pyiqa.create_metric`` looks at no entry point. It must stay cheap (nothing is imported here that
Python has not imported already), silent, and unable to fail. ``MAAGIQA_PYIQA_STARTUP=0`` switches it off.
"""

import os
import sys


class AfterImport:
    """Finder that finds nothing by itself and calls ``action`` whenever pyiqa has been imported.

    It stays for the life of the process: ``importlib.util.find_spec('pyiqa')`` asks without importing, a first import
    may fail, and pyiqa may be deleted from ``sys.modules`` and imported again.
    """

    def __init__(self, action):  # noqa: ANN001, ANN204
        self.action = action

    def find_spec(self, name, path=None, target=None):  # noqa: ANN001 ANN202
        if name != "pyiqa":
            return None
        spec = self._spec_of_others(name, path, target)
        if spec is not None and spec.loader is not None:
            self._call_after(spec.loader)
        return spec

    def _spec_of_others(self, name, path, target):  # noqa: ANN001 ANN202
        """Ask the finders behind this one: those before it have been asked and did not know."""
        place = sys.meta_path.index(self)
        for finder in sys.meta_path[place + 1 :]:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
        return None

    def _call_after(self, loader):  # noqa: ANN001 ANN202
        execute = loader.exec_module

        def exec_module(module):  # noqa: ANN001 ANN202
            loader.exec_module = execute  # two of these may be stacked: the .pth's and the package's own
            execute(module)
            self.action()

        loader.exec_module = exec_module


def after_pyiqa(action):  # noqa: ANN001 ANN202
    """Call ``action`` whenever pyiqa has been imported: now if it is already, and after each import to come."""
    sys.meta_path.insert(0, AfterImport(action))
    if "pyiqa" in sys.modules:
        action()


def _register_or_warn():  # noqa: ANN202
    try:
        import maagiqa_pyiqa  # noqa: F401  importing registers
    except Exception as error:
        import warnings

        warnings.warn(f"maagiqa_pyiqa could not register with pyiqa: {error}", RuntimeWarning, stacklevel=2)


if __name__ == "_maagiqa_pyiqa_startup" and os.environ.get("MAAGIQA_PYIQA_STARTUP", "1") != "0":
    after_pyiqa(_register_or_warn)
