"""The start-up hook: what an interpreter does before anybody imports anything."""

import os
import subprocess
import sys

import pytest


def python(code, **environment):
    result = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_import_pyiqa_alone_lists_our_metrics():
    listed = python("import pyiqa; print([name for name in pyiqa.list_models() if 'maagiqa' in name])")
    assert listed == "['maagiqa', 'maagiqa-lite', 'maagiqa-lite-2026a']"


def test_pyiqa_command_lists_our_metrics():
    code = "import sys; sys.argv = ['pyiqa', '-ls']; from pyiqa.pyiqa_cmd import main; main()"
    assert "maagiqa-lite" in python(code)


def test_pyiqa_knows_our_arch_datasets_model_and_statistics():
    code = (
        "import pyiqa.train as t; from pyiqa.utils.registry import *;"
        "print('MAAGIQA' in ARCH_REGISTRY, 'AGIQA3kDataset' in DATASET_REGISTRY, 'MAAGIQAModel' in MODEL_REGISTRY,"
        " 'calculate_srcc_plcc' in METRIC_REGISTRY)"
    )
    assert python(code) == "True True True True"


def test_nothing_heavy_is_imported_at_start():
    heavy = "import sys; print({'torch', 'pyiqa', 'numpy', 'maagiqa_pyiqa'} & set(sys.modules))"
    assert python(heavy) == "set()"


def test_an_environment_variable_switches_it_off_and_entry_points_still_serve_training():
    off = {"MAAGIQA_PYIQA_STARTUP": "0"}
    assert python("import pyiqa; print('maagiqa' in pyiqa.list_models())", **off) == "False"
    registry = "from pyiqa.utils.registry import ARCH_REGISTRY as a; print('MAAGIQA' in a)"
    assert python(f"import pyiqa; {registry}", **off) == "True"


@pytest.mark.parametrize(
    "code",
    ["import maagiqa_pyiqa, pyiqa", "import pyiqa, maagiqa_pyiqa", "import maagiqa_pyiqa as m, pyiqa; m.register()"],
)
@pytest.mark.parametrize("hook", ["0", "1"])
def test_registering_in_any_order_and_twice_is_harmless(code, hook):
    assert python(f"{code}; print('maagiqa-lite' in pyiqa.list_models())", MAAGIQA_PYIQA_STARTUP=hook) == "True"


def test_importing_the_package_alone_is_light():
    assert python("import maagiqa_pyiqa, sys; print('torch' in sys.modules)", MAAGIQA_PYIQA_STARTUP="0") == "False"


def test_what_needs_torch_is_there_once_it_is_asked_for():
    code = (
        "import maagiqa_pyiqa, sys; print(hasattr(maagiqa_pyiqa, 'scores'), 'torch' in sys.modules,"
        " maagiqa_pyiqa.score is maagiqa_pyiqa.score, 'torch' in sys.modules)"
    )
    assert python(code, MAAGIQA_PYIQA_STARTUP="0") == "False False True True"


FORGET_PYIQA = "[sys.modules.pop(name) for name in list(sys.modules) if name.partition('.')[0] == 'pyiqa']"
FAILED_IMPORT = """
import builtins, sys
real = builtins.__import__
def refuse(name, *arguments, **options):
    if name.startswith("pyiqa.models"):
        raise ImportError("broken for a moment")
    return real(name, *arguments, **options)
builtins.__import__ = refuse
try:
    import pyiqa
except ImportError as error:
    assert "broken" in str(error), error
else:
    raise AssertionError("the import was to fail")
finally:
    builtins.__import__ = real
"""


@pytest.mark.parametrize(
    "before",
    [
        "import importlib.util; importlib.util.find_spec('pyiqa')",
        "import importlib.util; [importlib.util.find_spec('pyiqa') for _ in range(3)]",
        FAILED_IMPORT,
        f"import sys, pyiqa; {FORGET_PYIQA}",
        f"import sys, pyiqa; {FORGET_PYIQA}; import pyiqa; {FORGET_PYIQA}",
        "import sys, pyiqa; del sys.modules['pyiqa']",
        f"import sys, pyiqa, maagiqa_pyiqa; {FORGET_PYIQA}",
    ],
    ids=["asked for", "asked for thrice", "failed once", "forgotten", "forgotten twice", "deleted", "both imported"],
)
def test_pyiqa_is_met_however_often_it_is_looked_for_or_imported(before):
    code = f"{before}\nimport pyiqa; from pyiqa.utils.registry import ARCH_REGISTRY as archs;"
    assert python(f"{code} print('maagiqa-lite' in pyiqa.list_models(), 'MAAGIQA' in archs)") == "True True"


FOREIGN_METRIC = """
from pyiqa.default_model_configs import DEFAULT_CONFIGS
DEFAULT_CONFIGS['maagiqa'] = {'metric_opts': {'type': 'Theirs'}}
"""
FOREIGN_ARCH = """
from pyiqa.utils.registry import ARCH_REGISTRY
ARCH_REGISTRY.register(type('X', (), {'__module__': 'Theirs'}), name='MAAGIQA')
"""


@pytest.mark.parametrize("foreign", [FOREIGN_METRIC, FOREIGN_ARCH])
def test_a_name_clash_names_both_owners(foreign):
    code = f"""
import pyiqa
{foreign}
try:
    import maagiqa_pyiqa
except RuntimeError as error:
    print(error)
"""
    message = python(code, MAAGIQA_PYIQA_STARTUP="0")
    assert "Theirs" in message
    assert "maagiqa_pyiqa" in message


def test_a_broken_package_is_a_warning_and_pyiqa_still_imports():
    code = (
        "import sys, warnings; warnings.simplefilter('always'); sys.modules['maagiqa_pyiqa'] = None; import pyiqa;"
        "print('piqe' in pyiqa.list_models())"
    )
    assert python(code) == "True"


def test_the_hook_module_costs_little_at_start():
    """A gross check against something heavy slipping in; the measured cost is in benchmarks/RESULTS.md."""
    code = (
        "import importlib, sys, time, _maagiqa_pyiqa_startup as hook; start = time.perf_counter();"
        "importlib.reload(hook); print(time.perf_counter() - start)"
    )
    assert min(float(python(code)) for _ in range(3)) < 0.02
