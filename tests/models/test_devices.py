"""Devices by name, precision, and a group of processes that is one."""

import os
import platform
import sys

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from runs import settings_of_torch

from dindic_models.devices import (
    Group,
    keep_freed_memory,
    layout_of,
    pick_device,
    processes,
    set_precision,
)


@pytest.fixture(autouse=True)
def _settings():
    with settings_of_torch():
        yield


def pretend(monkeypatch, gpus):
    """Let torch say that there are so many GPUs; return what is chosen."""
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    return chosen


def test_auto_is_the_cpu_without_a_gpu(monkeypatch):
    pretend(monkeypatch, 0)
    assert pick_device() == pick_device("auto") == pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "local", "index"),
    [("auto", "0", 0), ("cuda", "0", 0), ("auto", "1", 1), ("cuda", "1", 1), ("cuda:1", "0", 1)],
)
def test_a_gpu_is_that_of_this_process_unless_it_is_named(monkeypatch, name, local, index):
    chosen = pretend(monkeypatch, 2)
    monkeypatch.setenv("LOCAL_RANK", local)
    assert pick_device(name) == torch.device("cuda", index)
    assert chosen == [torch.device("cuda", index)]
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "", "mps", "meta", "cuda:-1"])
def test_devices_that_training_does_not_know(monkeypatch, name):
    pretend(monkeypatch, 2)
    with pytest.raises(ValueError, match=rf"no device '{name}' here; give cpu, cuda or cuda:1"):
        pick_device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_no_gpu(monkeypatch, name):
    pretend(monkeypatch, 0)
    with pytest.raises(ValueError, match=f"device={name!r}: torch finds no GPU here"):
        pick_device(name)


def test_more_processes_or_a_higher_number_than_gpus(monkeypatch):
    pretend(monkeypatch, 2)
    with pytest.raises(ValueError, match="no device 'cuda:2' here; torch finds 2 of them"):
        pick_device("cuda:2")
    monkeypatch.setenv("LOCAL_RANK", "3")
    with pytest.raises(ValueError, match="no device 'cuda:3' here; torch finds 2 of them"):
        pick_device()


@pytest.mark.parametrize(
    ("precision", "product", "tf32"),
    [
        ("float32", "highest", False),
        ("tf32", "high", True),
        ("bf16", "highest", False),
        ("float64", "highest", False),
    ],
)
def test_precision(precision, product, tf32):
    for before in ("tf32", "float32"):
        set_precision(before)
        set_precision(precision)
        assert torch.get_float32_matmul_precision() == product
        assert torch.backends.cudnn.allow_tf32 is tf32
        assert torch.backends.cudnn.benchmark
    assert not torch.are_deterministic_algorithms_enabled()


def test_deterministic(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    set_precision("float32", deterministic=True)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_a_group_of_one(monkeypatch):
    for variables in ({}, {"WORLD_SIZE": "1", "RANK": "0"}):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with processes(torch.device("cpu")) as group:
            assert group == Group()
            assert group.first
            values = torch.ones(3)
            assert torch.equal(group.sum(values), torch.ones(3))
            assert group.any(True, values) is True
            assert group.any(False, values) is False
            group.wait()
        assert not torch.distributed.is_initialized()


def test_only_the_first_process_writes():
    assert [Group(rank, 3).first for rank in range(3)] == [True, False, False]


def test_freed_memory_is_kept_where_glibc_is():
    """And nothing is asked of other allocators; training in the other tests keeps its bits."""
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")


def test_another_system_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False


@pytest.mark.parametrize(
    ("precision", "kind", "layout"),
    [
        ("float32", "cpu", torch.channels_last),
        ("bf16", "cuda", torch.channels_last),
        ("tf32", "cuda", torch.channels_last),
        ("float32", "cuda", torch.contiguous_format),
        ("float64", "cuda", torch.contiguous_format),
    ],
)
def test_float32_on_a_gpu_is_not_stored_channels_last(precision, kind, layout):
    assert layout_of(precision, torch.device(kind)) == layout
