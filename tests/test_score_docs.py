"""docs/score.md: its commands run in their order and leave what it says."""

import re
import shlex

import pytest
from PIL import Image

from maagiqa_pyiqa.cli.main import main
from tests.helpers.places import ROOT

PAGE = (ROOT / "docs" / "score.md").read_text()
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("maagiqa ")
]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Three pictures with their prompts."""
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        picture = Image.linear_gradient("L").resize((96, 96)).rotate(30 * number).convert("RGB")
        picture.save(tmp_path / "pictures" / f"{number}.png")
    (tmp_path / "prompts.csv").write_text("name,prompt\n0.png,a cat\n1.png,a cat\n2.png,a dog\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_works_and_writes_what_it_names(workplace):
    for line in COMMANDS:
        words = shlex.split(line)
        assert main(words[1:]) == 0, line
        assert all((workplace / word).is_file() for word in words if re.search(r"\.(csv|html|jsonl)$", word)), line
    assert len(COMMANDS) >= 6
