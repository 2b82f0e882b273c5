"""Batches of images: kept or read ahead, they are the same tensors in the same order."""

import threading
from contextlib import closing

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from runs import pictures

from dindic_models import batches as module
from dindic_models.batches import Batches, fits

CPU = torch.device("cpu")
ROWS = np.array([7, 3, 50, 51, 12, 0, 80, 3, 44])
POSITIONS = [np.array([8, 0]), np.array([], np.int64), np.array([4, 5, 5]), np.array([1])]


class Slow:
    """Images that say what is asked of them, and fail at one position."""

    def __init__(self, values, bad=None):
        self.values, self.bad, self.asked = values, bad, []
        self.shape, self.dtype = values.shape, values.dtype
        self.read = threading.Semaphore(0)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        self.asked.append(np.asarray(index).tolist())
        self.read.release()
        if self.bad in index:
            raise ValueError(f"image {self.bad} is damaged")
        return self.values[index]

    def wait(self, number):
        """Wait until so many more requests have come."""
        for _ in range(number):
            assert self.read.acquire(timeout=10)


def stored(kind):
    values = pictures()
    return values if kind == "uint8" else (values / np.float32(255)) ** 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_kept_or_not_the_tensors_are_the_same(kind, dtype):
    values = stored(kind)
    kept, lazy = (Batches(values, ROWS, CPU, dtype, keep=keep) for keep in (True, False))
    assert len(kept) == len(lazy) == len(ROWS)
    unit = values / np.float32(255) if kind == "uint8" else values
    expected = [torch.from_numpy(unit[ROWS[p]]).to(dtype) for p in POSITIONS]
    for one in (kept, lazy):
        for found in (list(one.each(POSITIONS)), [one.at(p) for p in POSITIONS]):
            assert all(map(torch.equal, found, expected))
            assert {t.dtype for t in found} == {dtype}
            assert [tuple(t.shape) for t in found] == [(len(p), 1, 8, 8) for p in POSITIONS]


@pytest.mark.parametrize("keep", [True, False])
def test_no_batches(keep):
    assert list(Batches(pictures(), ROWS, CPU, keep=keep).each([])) == []


@pytest.mark.parametrize("keep", [True, False])
def test_what_is_done_to_a_batch_stays_there(keep):
    values = stored("float32")
    batches = Batches(values, ROWS, CPU, keep=keep)
    for _ in range(2):
        for x in batches.each(POSITIONS):
            x.zero_()
    assert torch.equal(batches.at(np.arange(9)), torch.from_numpy(values[ROWS]))


def test_kept_images_are_read_once_as_they_are_stored():
    images = Slow(pictures())
    batches = Batches(images, ROWS, CPU, keep=True)
    assert batches.kept.dtype == torch.uint8
    for _ in range(3):
        list(batches.each(POSITIONS))
    assert images.asked == [ROWS.tolist()]


def test_many_images_are_read_in_blocks_with_progress():
    values = np.arange(2500 * 4, dtype=np.uint32).astype(np.uint8).reshape(2500, 1, 2, 2)
    images, shown = Slow(values), []

    def progress(steps, description, total):
        shown.append((description, total))
        yield from steps

    rows = np.arange(2500)[::-1]
    batches = Batches(images, rows, CPU, keep=True, progress=progress)
    assert torch.equal(batches.kept, torch.from_numpy(values[::-1].copy()))
    assert [len(rows) for rows in images.asked] == [1000, 1000, 500]
    assert shown == [("reading images", 3)]


def test_one_batch_is_read_ahead_and_no_more():
    images = Slow(pictures())
    asked = [ROWS[p].tolist() for p in POSITIONS]
    with closing(Batches(images, ROWS, CPU).each(POSITIONS)) as each:
        assert images.asked == []
        for number in range(3):
            next(each)
            images.wait(2 if number == 0 else 1)
            assert images.asked == asked[: number + 2]
        next(each)
        assert next(each, None) is None
    assert images.asked == asked


@pytest.mark.parametrize("bad", [44, 12, 3])
def test_a_damaged_image_is_an_error_when_its_turn_comes(bad):
    images = Slow(pictures(), bad)
    turn = next(i for i, p in enumerate(POSITIONS) if bad in ROWS[p])
    each = Batches(images, ROWS, CPU).each(POSITIONS)
    for _ in range(turn):
        next(each)
    with pytest.raises(ValueError, match=f"image {bad} is damaged"):
        next(each)
    with pytest.raises(ValueError, match=f"image {bad} is damaged"):
        Batches(images, ROWS, CPU, keep=True)


def test_leaving_early_ends_the_reader():
    before = threading.active_count()
    each = Batches(Slow(pictures()), ROWS, CPU).each(POSITIONS)
    next(each)
    assert threading.active_count() == before + 1
    each.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("value", [-0.1, 1.5, np.nan])
@pytest.mark.parametrize("keep", [True, False])
def test_values_outside_the_unit_interval_are_refused(keep, value):
    values = stored("float32")
    values[51, 0, 3, 3] = value
    with pytest.raises(ValueError, match=r"images must lie in \[0, 1\]"):
        Batches(values, ROWS, CPU, keep=keep).at(np.array([3]))


def test_what_fits_in_memory(monkeypatch):
    monkeypatch.setattr(module, "MEMORY", 64 * 10)
    assert fits(pictures(), 10)
    assert not fits(pictures(), 11)
    assert not fits(stored("float32"), 3)
    assert fits(stored("float32"), 2)
