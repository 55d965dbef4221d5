"""The pages for a task: their commands run in their order and leave what they name."""

import re
import shlex

import pandas
import pytest
from PIL import Image

from maagiqa_pyiqa.cli.main import build_parser, main
from tests.helpers.chat_server import serving
from tests.helpers.places import ROOT

PAGES = {"score": 10, "choose": 7, "cache": 4, "cluster": 3, "ask": 7}  # and how many commands each has at least


def commands(page, language="bash"):
    blocks = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / f"{page}.md").read_text(), re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("maagiqa ")]


@pytest.mark.parametrize("line", [line for page in PAGES for line in commands(page, "sh")])
def test_commands_that_need_more_than_a_test_has_are_parsed(line):
    assert build_parser().parse_args(shlex.split(line)[1:]).handler


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Three pictures with their prompts, in a list with a column of styles, and two folders of runs."""
    for folder in ("pictures", "runs/1", "runs/2"):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(3):
            picture = Image.linear_gradient("L").resize((96, 96)).rotate(30 * number).convert("RGB")
            picture.save(tmp_path / folder / f"{number}.png")
    (tmp_path / "prompts.csv").write_text("name,prompt,part\n0.png,a cat,train\n1.png,a cat,train\n2.png,a dog,test\n")
    rows = {
        "file": [f"pictures/{number}.png" for number in range(3)],
        "style": ["ink", "oil", "ink"],
        "words": ["blurred", "sharp", "empty"],
    }
    pandas.DataFrame(rows).to_csv(tmp_path / "list.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def endpoint():
    with serving() as server:
        yield server.url


@pytest.mark.parametrize("page", PAGES)
def test_every_command_works_and_writes_what_it_names(workplace, endpoint, page):
    if page == "ask":
        pytest.importorskip("openai", reason="asking an endpoint needs openai")
    for line in commands(page):
        words = shlex.split(line.replace("http://localhost:8000/v1", endpoint))
        assert main(words[1:]) == 0, line
        targets = [word for word in words if re.fullmatch(r"[\w.]+\.(csv|html|jsonl|json|parquet)", word)]
        assert all((workplace / word).is_file() for word in targets), line
    assert len(commands(page)) >= PAGES[page]
