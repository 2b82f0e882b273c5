"""Tensors of torch give the numbers of arrays: on the CPU, on a pretended device, on a GPU if there is one."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: NO tensor is tested")

import far
from test_summary import arrays, rows

from disentangle_indicators import Encodings, Summary, score
from disentangle_indicators.aggregate import MarginalSketch, joint, marginals, one_pass_marginals
from disentangle_indicators.moments import Moments
from disentangle_indicators.rotation import audit_rotations, axes
from disentangle_indicators.standard_errors import totals

MEAN, VAR = rows(400)
FACTORS = np.digitize(MEAN[:, :2], [-0.3, 0.3])


CALLS = {
    "sketch": MarginalSketch.of,
    "summary": lambda mean, var: Summary.of(Encodings.of(mean, var)),
    "marginals": marginals,
    "one pass": lambda mean, var: one_pass_marginals(Encodings.of(mean, var)),
    "joint": lambda mean, var: joint(mean, var, points=100),
    "score": lambda mean, var: score(mean, var=var, joint=True, factors=FACTORS),
    "axes": axes,
    "audit": lambda mean, var: audit_rotations(
        "mig", mean, FACTORS, var=var, rotations=2, search=False
    ),
}


@pytest.fixture(params=["cpu", "far", "cuda"])
def tensors(request):
    if request.param == "far":
        with far.Device() as device:
            yield [device.put(x) for x in (MEAN, VAR)]
        return
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch finds no GPU here: tensors on a GPU are NOT tested")
    device = torch.device(request.param)
    yield [torch.tensor(x, device=device, requires_grad=True) for x in (MEAN, VAR)]


def test_the_pretended_device_is_one():
    with far.Device() as device:
        here, there = torch.ones(2, 3), device.put(np.ones((2, 3), np.float32))
        with pytest.raises(RuntimeError, match="two devices"):
            here + there
        with pytest.raises((RuntimeError, TypeError), match="numpy"):
            there.detach().numpy()
        assert (there + 1).device.type == far.NAME
        assert float((there.detach() + 1).sum()) == 12
        assert device.transfers == []
        there.detach().cpu().numpy()
        assert device.transfers == [(2, 3)]
    with pytest.raises(RuntimeError, match="outside"):
        there + 1


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_means_and_variances_are_transferred_once(call):
    with far.Device() as device:
        call(*[device.put(x) for x in (MEAN, VAR)])
        assert device.transfers.count(MEAN.shape) == 2


def test_moments_and_their_standard_errors_transfer_no_rows():
    with far.Device() as device:
        mean, var = (device.put(x) for x in (MEAN, VAR))
        moments = Moments.of(mean, var, covariance=True)
        assert device.transfers == []
        found = totals(lambda: [(mean.detach(), var.detach())], moments)
        assert MEAN.shape not in device.transfers
    wanted = totals(lambda: [(MEAN, VAR)], Moments.of(MEAN, VAR, covariance=True))
    assert found == pytest.approx(wanted, rel=1e-9)


def test_moments_stay_on_the_device(tensors):
    found = Moments.of(*(x.detach() for x in tensors), covariance=True)
    wanted = Moments.of(MEAN, VAR, covariance=True)
    assert found.scatter.device.type == tensors[0].device.type
    for name in ("mean", "mean_scatter", "var", "log_var", "co_scatter", "scatter"):
        ours = getattr(found, name).cpu().numpy()
        scale = np.abs(getattr(wanted, name)).max()
        np.testing.assert_allclose(ours, getattr(wanted, name), rtol=1e-12, atol=1e-12 * scale)


def test_sums_that_are_made_in_numpy_are_the_same_bits(tensors):
    found, wanted = (Summary.of(Encodings.of(*pair)) for pair in (tensors, (MEAN, VAR)))
    assert found.parts == wanted.parts
    for name, array in arrays(wanted).items():
        np.testing.assert_array_equal(arrays(found)[name], array, err_msg=name)
    sketch = MarginalSketch.of(*tensors).to_arrays()
    for name, array in MarginalSketch.of(MEAN, VAR).to_arrays().items():
        np.testing.assert_array_equal(sketch[name], array, err_msg=name)


def test_the_aggregated_posterior_is_that_of_arrays(tensors):
    ours, wanted = (joint(*pair, rng=0, points=200) for pair in (tensors, (MEAN, VAR)))
    for name in ("mutual_information", "total_correlation", "mutual_information_high"):
        assert getattr(ours, name) == pytest.approx(getattr(wanted, name), abs=1e-9)
    np.testing.assert_array_equal(marginals(*tensors).entropy, wanted.marginals.entropy)
    card = score(tensors[0], var=tensors[1], joint=False)
    assert card.mutual_information == pytest.approx(
        score(MEAN, var=VAR, joint=False).mutual_information, rel=1e-12
    )


def test_rotations_are_those_of_arrays(tensors):
    options = {"rotations": 2, "search": False, "rng": 0}
    ours, wanted = (
        audit_rotations("mig", mean, FACTORS, var=var, **options)
        for mean, var in (tensors, (MEAN, VAR))
    )
    np.testing.assert_array_equal(ours.null, wanted.null)
    assert (
        axes(*tensors, rng=0, rows=200).to_dict()["pairs"]
        == (axes(MEAN, VAR, rng=0, rows=200).to_dict()["pairs"])
    )
