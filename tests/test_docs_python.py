"""docs/python.md and docs/reward.md: every snippet of them runs."""

import json
import os
import re
import subprocess
import sys

import pytest
from PIL import Image

from tests.helpers.places import ROOT

PAGES = [(ROOT / "docs" / name).read_text() for name in ("python.md", "reward.md")]
SNIPPETS = [re.findall(r"```python\n(.*?)```", page, re.DOTALL) for page in PAGES]

RUN_EACH = """
import contextlib, io, json, sys

outputs = []
for code in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, {"__name__": "__main__"})
    outputs.append(printed.getvalue())
print(json.dumps(outputs))
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the pictures that the pages speak of."""
    folder = tmp_path_factory.mktemp("python")
    (folder / "pictures").mkdir()
    for name in ("image.png", "pictures/a.png", "pictures/b.png"):
        Image.radial_gradient("L").resize((96, 96)).convert("RGB").save(folder / name)
    return folder


@pytest.mark.parametrize("snippets", SNIPPETS, ids=["python.md", "reward.md"])
def test_snippets_run(workplace, snippets):
    """All of a page in one process, which starts once, and each in a namespace of its own."""
    pytest.importorskip("torchmetrics")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RUN_EACH]
    options = {"cwd": workplace, "env": environment, "capture_output": True, "text": True}
    done = subprocess.run(command, input=json.dumps(snippets), **options)
    assert done.returncode == 0, done.stderr[-2000:]
    for code, printed in zip(snippets, json.loads(done.stdout.splitlines()[-1]), strict=True):
        assert printed.strip()
        assert ("no such file: 'absent.png'" in printed) == ("absent.png" in code)
