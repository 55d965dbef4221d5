"""docs/compare.md: every command of it runs, and the example has the form of what is printed."""

import json
import re
import shlex

import pandas
import pytest
from PIL import Image

from maagiqa_pyiqa.cli.main import main
from tests.helpers.places import ROOT

PAGE = (ROOT / "docs" / "compare.md").read_text()
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Folders of six images each, by names that pair, and their prompts."""
    rows = []
    for number, folder in enumerate(("sdxl", "flux", "step-1000", "step-2000")):
        (tmp_path / folder).mkdir()
        for image in range(6):
            path = tmp_path / folder / f"{image}.png"
            Image.linear_gradient("L").rotate(10 * image).resize((64 + 8 * number, 64)).convert("RGB").save(path)
            rows.append({"name": f"{folder}/{image}.png", "prompt": f"prompt {image}"})
    pandas.DataFrame(rows).to_csv(tmp_path / "prompts.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_has_commands():
    assert len(COMMANDS) == 3


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_of_the_page_run(workplace, line, capsys):
    assert main(shlex.split(line)[1:]) == 0
    out = capsys.readouterr().out
    assert re.search(r"maagiqa-lite \(higher is better\): (A is better|B is better|undecided)", out)
    assert f"of 6 pairs by {'prompt' if 'prompts.csv' in line else 'name'}" in out
    if "--json" in line:
        content = json.loads((workplace / "comparison.json").read_text())
        named = re.findall(r"`(better|paired_by|images|left_out|mean|difference|wins|p_value)`", PAGE)
        assert set(named) <= content["comparisons"][0].keys()
    if "--csv" in line:
        assert set(pandas.read_csv(workplace / "pairs.csv").columns) <= set(re.findall(r"`(\w+)`", PAGE))


def test_the_example_has_the_lines_that_are_printed(workplace, capsys):
    (workplace / "sdxl" / "more.png").write_bytes((workplace / "sdxl" / "0.png").read_bytes())
    assert main(["compare", "sdxl", "flux"]) == 0
    printed = capsys.readouterr().out
    (example,) = re.findall(r"```\n(A is .*?)```", PAGE, re.DOTALL)
    assert titles(example) == titles(printed)


def titles(text):
    """What stands before the values, line by line."""
    return [line[:16] for line in text.splitlines() if line.startswith("  ")]
