"""What a built wheel holds: everything that an installation without a checkout needs."""

import os
import subprocess
import sys
import zipfile

import pytest

from tests.helpers.places import ROOT

CODE = """
import maagiqa_pyiqa, pyiqa
from maagiqa_pyiqa.support.option_files import find_option_file
print(maagiqa_pyiqa.__file__, find_option_file("maagiqa_3k"), "maagiqa-lite" in pyiqa.list_models(), sep="\\n")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the content of a wheel, as it lies in site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(folder / "site-packages")
    return folder / "site-packages"


def test_the_package_works_without_its_checkout(installed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(installed), "MAAGIQA_PYIQA_STARTUP": "0"}
    command = [sys.executable, "-c", CODE]
    printed = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    package, options, listed = printed.splitlines()
    assert package == str(installed / "maagiqa_pyiqa" / "__init__.py")
    assert options == str(installed / "maagiqa_pyiqa" / "option_files" / "maagiqa_3k.yml")
    assert listed == "True"


@pytest.mark.parametrize(
    "name",
    [
        "_maagiqa_pyiqa_startup.py",
        "maagiqa_pyiqa_startup.pth",
        "maagiqa_pyiqa/py.typed",
        "maagiqa_pyiqa/weights/lite.safetensors",
        "maagiqa_pyiqa/leaderboard/published.yml",
        "maagiqa_pyiqa/leaderboard/report/templates/page.html",
    ],
)
def test_what_ships_beside_code_is_in_it(installed, name):
    assert (installed / name).is_file()
