"""Registers maagiqa_pyiqa with pyiqa as soon as pyiqa has been imported.

The build installs this file at the top of site-packages with a one-line ``.pth`` that imports it at interpreter
start, because ``pyiqa.create_metric`` looks at no entry point. It must stay cheap (nothing is imported here that
Python has not imported already), silent, and unable to fail. ``MAAGIQA_PYIQA_STARTUP=0`` switches it off.
"""

import os
import sys


class AfterImport:
    """Finder that steps aside at the first import of pyiqa, and calls ``action`` once that import is done."""

    def __init__(self, action):  # noqa: ANN001, ANN204
        self.action = action

    def find_spec(self, name, path=None, target=None):  # noqa: ANN001 ANN202
        if name != "pyiqa":
            return None
        sys.meta_path.remove(self)
        from importlib.util import find_spec

        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            self._call_after(spec.loader)
        return spec

    def _call_after(self, loader):  # noqa: ANN001 ANN202
        execute = loader.exec_module

        def exec_module(module):  # noqa: ANN001 ANN202
            loader.exec_module = execute  # two of these may be stacked: the .pth's and the package's own
            execute(module)
            self.action()

        loader.exec_module = exec_module


def after_pyiqa(action):  # noqa: ANN001 ANN202
    """Call ``action`` now if pyiqa is imported already, else right after it is."""
    if "pyiqa" in sys.modules:
        action()
    else:
        sys.meta_path.insert(0, AfterImport(action))


def _register_or_warn():  # noqa: ANN202
    try:
        import maagiqa_pyiqa  # noqa: F401  importing registers
    except Exception as error:
        import warnings

        warnings.warn(f"maagiqa_pyiqa could not register with pyiqa: {error}", RuntimeWarning, stacklevel=2)


if __name__ == "_maagiqa_pyiqa_startup" and os.environ.get("MAAGIQA_PYIQA_STARTUP", "1") != "0":
    after_pyiqa(_register_or_warn)
