"""docs/pipelines.md: its examples do what they say, with stand-ins for what does not come with the tests."""

import ast
import re
import types

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import maagiqa_pyiqa
from tests.helpers import ray_cluster
from tests.helpers.places import ROOT

PAGE = (ROOT / "docs" / "pipelines.md").read_text()
pytest.importorskip("ray", reason="Ray is not installed; it comes with the extra [ray]")
cluster, environment = ray_cluster.cluster, ray_cluster.environment


def example(title, folder="pictures"):
    """What the example below a heading defines, with its pictures in a folder."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    module = types.ModuleType("example")
    exec(compile(code.replace("pictures/", f"{folder}/"), title, "exec"), module.__dict__)
    return module


@pytest.fixture(scope="module")
def arrays(image_paths):
    """A good picture, and what is left of it."""
    good = np.asarray(Image.open(image_paths[2]).convert("RGB"))
    return [np.full_like(good, 128), good]


def test_a_stage_keeps_what_passes(arrays):
    batch = [types.SimpleNamespace(image_data=array) for array in arrays]
    assert example("NeMo-Curator").score_batch(batch) == [batch[1]]


def test_the_best_image_of_a_pipeline_is_given(arrays):
    images = [Image.fromarray(array) for array in arrays]
    pipeline = lambda prompt, num_images_per_prompt: types.SimpleNamespace(images=images)  # noqa: E731
    assert example("diffusers").best_of(pipeline, "a face", count=2) is images[1]


def test_a_node_gives_the_best_image_and_its_score(arrays):
    (node,) = example("ComfyUI").NODE_CLASS_MAPPINGS.values()
    assert list(node.INPUT_TYPES()["required"]) == ["images"]
    images = torch.from_numpy(np.stack(arrays)).float() / 255
    best, score = getattr(node(), node.FUNCTION)(images)
    assert torch.equal(best, images[1:])
    assert score > 2.5


def test_the_pipeline_of_ray_data_keeps_what_passes_with_its_scores(cluster, arrays, tmp_path, capsys):
    for name, array in zip("ab", arrays, strict=True):
        Image.fromarray(array).save(tmp_path / f"{name}.png")
    example("Ray Data", tmp_path)
    (row,) = ast.literal_eval(capsys.readouterr().out)
    good = str(tmp_path / "b.png")
    expected = maagiqa_pyiqa.score(good, ["maagiqa-lite", "piqe"], device="cpu").iloc[0]
    assert (row["path"], row["error"]) == (good, "")
    for metric in ("maagiqa-lite", "piqe"):
        assert row[metric] == pytest.approx(expected[metric], abs=1e-5)


def test_the_recipe_is_yaml_with_the_operators_own_words():
    (recipe,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    ((name, options),) = yaml.safe_load(recipe)["process"][0].items()
    source = (ROOT / "maagiqa_pyiqa" / "integrations" / "data_juicer.py").read_text()
    assert f'NAME = "{name}"' in source
    assert all(re.search(rf"^        {option}: ", source, re.MULTILINE) for option in options)
