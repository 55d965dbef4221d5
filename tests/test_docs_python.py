"""docs/python.md and docs/reward.md: every snippet of them runs."""

import os
import re
import subprocess
import sys

import pytest
from PIL import Image

from tests.helpers.places import ROOT

PAGES = [(ROOT / "docs" / name).read_text() for name in ("python.md", "reward.md")]
SNIPPETS = [code for page in PAGES for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL)]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the pictures that the pages speak of."""
    folder = tmp_path_factory.mktemp("python")
    (folder / "pictures").mkdir()
    for name in ("image.png", "pictures/a.png", "pictures/b.png"):
        Image.radial_gradient("L").resize((96, 96)).convert("RGB").save(folder / name)
    return folder


@pytest.mark.parametrize("code", SNIPPETS)
def test_snippets_run(workplace, code):
    if "torchmetrics" in code:
        pytest.importorskip("torchmetrics")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=workplace, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()
    assert ("no such file: 'absent.png'" in done.stdout) == ("absent.png" in code)
