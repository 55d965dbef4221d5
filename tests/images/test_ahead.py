"""Work ahead: in order, as much at once as the limits allow, and no more."""

import threading

import pytest
from PIL import Image

from maagiqa_pyiqa.images import ahead
from maagiqa_pyiqa.images.ahead import batches, map_ahead, map_files_ahead


class Watched:
    """Doubles numbers; knows how many were begun beyond those that were taken."""

    def __init__(self):
        self.begun = self.taken = self.most = 0
        self.lock = threading.Lock()

    def __call__(self, number):
        with self.lock:
            self.begun += 1
            self.most = max(self.most, self.begun - self.taken)
        return 2 * number

    def take(self, results):
        for result in results:
            with self.lock:
                self.taken += 1
            yield result


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_order(workers):
    assert list(map_ahead(lambda x: 2 * x, range(50), workers=workers, count=4)) == list(range(0, 100, 2))


def test_no_more_items_are_ahead_than_asked_for():
    watched = Watched()
    results = watched.take(map_ahead(watched, range(50), workers=2, count=5))
    assert list(results) == list(range(0, 100, 2))
    assert 2 <= watched.most <= 6  # the one that is being taken beside five


@pytest.mark.parametrize(("each", "most"), [(10e6, 7), (24e6, 3), (40e6, 2), (128e6, 2)])
def test_large_images_are_fewer_at_once_and_the_largest_goes_alone(each, most):
    watched = Watched()
    list(watched.take(map_ahead(watched, range(30), workers=8, count=20, pixels=lambda item: each)))
    assert watched.most <= most  # HELD_MEGAPIXELS and the one that is being taken


def test_small_images_after_a_large_one_are_many_again():
    watched = Watched()
    sizes = [128e6, *[1e6] * 40]
    list(watched.take(map_ahead(watched, range(41), workers=2, count=20, pixels=sizes.__getitem__)))
    assert watched.most > 10


def test_an_error_is_raised_where_its_item_stands():
    results = map_ahead(lambda x: 1 // x, [1, 1, 0, 1], workers=2, count=4)
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_threads_end_when_the_caller_stops_listening():
    before = threading.active_count()
    results = map_ahead(lambda x: x, range(1000), workers=4, count=8)
    assert next(results) == 0
    results.close()
    assert threading.active_count() == before


def test_files_tell_their_size_before_they_are_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(ahead, "HELD_MEGAPIXELS", 1e-3)
    paths = [tmp_path / f"{number}.png" for number in range(8)]
    for path in paths:
        Image.new("RGB", (30, 30)).save(path)
    paths.insert(3, tmp_path / "absent.png")
    watched = Watched()
    results = watched.take(map_files_ahead(lambda path: watched(0) or path.name, paths, workers=4, count=8))
    assert list(results) == [path.name for path in paths]
    assert watched.most <= 3  # one image and the absent file, which counts for nothing, beside the one that is taken


def test_batches_end_at_their_size_or_where_they_hold_enough():
    assert list(batches([1, 1, 1, 1, 1], 2, lambda item: 0)) == [[1, 1], [1, 1], [1]]
    assert list(batches([30, 30, 30, 1, 70], 9, lambda item: int(item * 1e6))) == [[30, 30, 30], [1, 70]]
