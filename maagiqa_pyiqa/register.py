"""All that pyiqa must know of this package, in one place.

To add a metric: an entry in METRICS. To add an architecture, dataset, model or statistic: a line in OBJECTS, and for
a new kind an entry point in pyproject.toml; public datasets are rows of ``data/public_datasets.py``. Classes are
registered by path and imported when pyiqa first asks.
"""

from __future__ import annotations

import importlib
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

from maagiqa_pyiqa.data import public_datasets

OWNER = "maagiqa_pyiqa"

METRICS: MappingProxyType[str, dict[str, Any]] = MappingProxyType(
    {
        "maagiqa": {
            "metric_opts": {"type": "MAAGIQA", "pretrained": "agiqa-3k", "semantics": "mplug-owl2"},
            "metric_mode": "NR",
            "lower_better": False,
            "score_range": "~0, ~5",
        },
        "maagiqa-lite": {
            "metric_opts": {"type": "MAAGIQA", "pretrained": "lite"},
            "metric_mode": "NR",
            "lower_better": False,
            "score_range": "~0, ~5",
        },
        "maagiqa-lite-2026a": {
            "metric_opts": {"type": "MAAGIQA", "pretrained": "lite-2026a"},
            "metric_mode": "NR",
            "lower_better": False,
            "score_range": "~0, ~5",
        },
        "one-align": {
            "metric_opts": {"type": "OneAlign"},
            "metric_mode": "NR",
            "lower_better": False,
            "score_range": "1, 5",
        },
    }
)
OBJECTS: MappingProxyType[str, dict[str, str]] = MappingProxyType(
    {
        "ARCH_REGISTRY": {
            "MAAGIQA": "maagiqa_pyiqa.archs.maagiqa_arch",
            "TimmRegressor": "maagiqa_pyiqa.archs.timm_regressor_arch",
            "OneAlign": "maagiqa_pyiqa.archs.one_align_arch",
            "TrainableMUSIQ": "maagiqa_pyiqa.archs.trainable_musiq_arch",
        },
        "DATASET_REGISTRY": {
            "SemanticFeatureDataset": "maagiqa_pyiqa.data.semantic_feature_dataset",
            "CSVQualityDataset": "maagiqa_pyiqa.data.agi_dataset",
        },
        "MODEL_REGISTRY": {"MAAGIQAModel": "maagiqa_pyiqa.models.maagiqa_model"},
        "METRIC_REGISTRY": {
            name: "maagiqa_pyiqa.agreement.statistics"
            for name in ("calculate_srcc_plcc", "calculate_plcc_fitted", "calculate_rmse_fitted")
        },
    }
)
_done: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()  # paths by registry: a re-imported pyiqa has new ones
_in_progress = False


def register() -> None:
    """Register everything with pyiqa, once; further calls do nothing. Also the target of every entry point.

    Raises:
        RuntimeError: another package already owns one of our names; names both.
    """
    global _in_progress
    if _in_progress:
        return  # looking up who owns a name makes pyiqa call every entry point, this one too
    _in_progress = True
    try:
        _register_all()
    finally:
        _in_progress = False


def _register_all() -> None:
    _register_metrics()
    registries = importlib.import_module("pyiqa.utils.registry")
    for registry_name, objects in OBJECTS.items():
        for name, module in objects.items():
            _register_object(getattr(registries, registry_name), name, f"{module}:{name}")
    for public in public_datasets.PUBLIC_DATASETS.values():
        _register_object(
            registries.DATASET_REGISTRY, public.class_name, f"maagiqa_pyiqa.data.agi_dataset:{public.class_name}"
        )


def _register_metrics() -> None:
    configs = importlib.import_module("pyiqa.default_model_configs").DEFAULT_CONFIGS
    for name, config in METRICS.items():
        if configs.get(name, config) is not config:
            arch = configs[name].get("metric_opts", {}).get("type")
            raise _clash("metric", name, configs[name].get("owner", f"the package that registered arch '{arch}'"))
        configs[name] = config


def _register_object(registry: Any, name: str, path: str) -> None:
    done = _done.setdefault(registry, set())
    if path in done:
        return
    try:
        registry.register_lazy(name, path)
    except AssertionError as error:
        raise _clash("object", name, registry.get(name).__module__) from error
    done.add(path)


def _clash(kind: str, name: str, other: str) -> RuntimeError:
    return RuntimeError(
        f"pyiqa {kind} '{name}' is claimed by two packages: {other} and {OWNER}. Uninstall one of them, or switch "
        "ours off with MAAGIQA_PYIQA_STARTUP=0."
    )
