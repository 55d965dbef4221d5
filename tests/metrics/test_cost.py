"""What scoring takes."""

import time

import numpy as np
import pytest
import torch

from maagiqa_pyiqa.metrics.cost import SECONDS_BETWEEN_SAMPLES, Cost, PeakMemory, estimate_seconds

MEGABYTE = 1_000_000


def test_the_highest_use_within_counts_also_where_it_is_given_back():
    with PeakMemory(torch.device("cpu")) as memory:
        block = np.ones(100 * MEGABYTE, np.uint8)
        time.sleep(5 * SECONDS_BETWEEN_SAMPLES)
        del block
    assert memory.bytes == pytest.approx(100 * MEGABYTE, rel=0.5)


def test_speed_is_that_over_all_images():
    assert Cost(30, 2.0, 0, 0, "cpu").images_per_second == 15


def test_an_estimate_is_by_what_it_took_before_else_by_what_is_known_of_slow_metrics():
    assert estimate_seconds("ilniqe", 597, None) == 597 * 10
    assert estimate_seconds("ilniqe", 100, Cost(10, 50.0, 0, 0, "cpu")) == 500
    assert estimate_seconds("brisque", 597, None) is None
    assert estimate_seconds(None, 597, None) is None
