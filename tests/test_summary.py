"""Sums over shards: the same numbers however rows are cut, in whatever order they arrive."""

import functools
import itertools
import json
import operator
import re
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from disentangle_indicators import Encodings, Summary, read_encodings, score
from disentangle_indicators._row_sample import SAMPLED, Sample, ranks_of
from disentangle_indicators.aggregate import MarginalSketch, joint, marginals
from disentangle_indicators.registry import INDICATORS
from disentangle_indicators.summary import merge, parts_of

D = 3
CLUSTERS = {"names": np.array(["a"]), "rows": np.array([49]), "sums": np.zeros((1, 3, D))}


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(n, D)) * [0.9, 0.5, 0.0]
    return mean, np.array([0.19, 0.75, 1.0]) * np.exp(0.2 * rng.normal(size=(n, D)))


def shards(mean, var, cuts, **kwargs):
    """The summaries of rows between cuts."""
    ends = [0, *cuts, len(mean)]
    return [
        Summary.of(Encodings.of(mean[a:b], var[a:b]), name="all", first_row=a, **kwargs)
        for a, b in itertools.pairwise(ends)
    ]


def arrays(summary):
    """All numbers of a summary."""
    moments = summary.moments
    return {
        **{f"moments/{k}": np.asarray(v) for k, v in vars(moments).items() if v is not None},
        **{f"sketch/{k}": v for k, v in summary.sketch.to_arrays().items()},
        **summary.sample._asdict(),
    }


def assert_same_bits(one, two):
    assert one.parts == two.parts
    first, second = arrays(one), arrays(two)
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


@given(cuts=st.sets(st.integers(1, 199), max_size=6), data=st.data())
def test_the_order_of_arrival_changes_no_bit(cuts, data):
    parts = shards(*rows(200), sorted(cuts))
    moved = data.draw(st.permutations(parts))
    assert_same_bits(merge(parts), merge(moved))


@given(cuts=st.sets(st.integers(1, 199), min_size=1, max_size=6))
def test_any_cut_gives_the_same_sums(cuts):
    mean, var = rows(200)
    whole, parts = Summary.of(Encodings.of(mean, var), name="all"), shards(mean, var, sorted(cuts))
    for found in (merge(parts), functools.reduce(operator.add, parts), sum(parts)):
        assert found.n == 200
        for name, array in arrays(whole).items():
            scale = np.max(np.abs(array))
            np.testing.assert_allclose(
                arrays(found)[name], array, rtol=1e-12, atol=1e-12 * scale, err_msg=name
            )


def test_the_sample_does_not_depend_on_the_cut():
    mean, var = rows(3 * SAMPLED)
    whole = Sample.of(mean, var)
    parts = [Sample.of(mean[k::3], var[k::3]) for k in range(3)]
    assert len(whole.ranks) == SAMPLED
    for one, two in zip(whole, parts[2] + parts[0] + parts[1], strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_sample_is_like_the_rows():
    """Every latent's mean and variance, to 5 standard errors."""
    mean, var = rows(100_000)
    sample = Sample.of(mean, var)
    for some, every in ((sample.mean, mean), (sample.var, var)):
        spread = every.std(axis=0)
        assert np.all(
            np.abs(some.mean(axis=0) - every.mean(axis=0)) <= 5 * spread / np.sqrt(SAMPLED)
        )
        assert np.all(np.abs(some.std(axis=0) - spread) <= 5 * spread / np.sqrt(2 * SAMPLED) * 1.3)


def test_ranks_are_uniform_and_see_every_number():
    """Of whole numbers too, whose last bits are all 0."""
    whole = np.arange(4000.0)[:, None]
    ranks = ranks_of(np.hstack([whole, 0 * whole]), np.ones((4000, 2)))
    assert kstest(ranks / 2.0**64, "uniform").pvalue > 1e-6
    powers = 2.0 ** np.stack(np.divmod(np.arange(1600), 40), axis=1)  # which differ in few bits
    assert len(np.unique(ranks_of(powers, np.ones((1600, 2))))) == 1600
    zero = np.zeros((1, 3))
    one_moved = [zero + np.eye(3)[h] for h in range(3)]
    found = [ranks_of(zero, zero), *(ranks_of(m, zero) for m in one_moved)]
    found += [ranks_of(zero, v) for v in one_moved]
    assert len({int(rank[0]) for rank in found}) == 7


def test_the_error_of_a_total_of_one_latent_is_that_of_the_latent():
    """It is scaled to the error that all rows give the latent."""
    mean, var = (x[:, :1] for x in rows(20_000))
    errors = score(Summary.of(Encodings.of(mean, var))).result.standard_errors
    for name in ("mutual_information", "kl_posterior_prior"):
        assert errors[name] == pytest.approx(errors[f"{name}_per_latent"][0], rel=1e-3)


def test_score_of_sums_is_score_of_rows():
    mean, var = rows(50_000)
    whole = score(mean, var=var, marginals=True, joint=False)
    found = score(merge(shards(mean, var, [10_000, 17_000])))
    np.testing.assert_allclose(found.marginals.entropy, whole.marginals.entropy, atol=1e-6)
    for name, value in whole.result.values.items():
        np.testing.assert_allclose(found.result.values[name], value, atol=1e-12, err_msg=name)
    assert found.verdict.keys() == whole.verdict.keys()
    assert found.verdict["USED"] == whole.verdict["USED"]
    errors = found.result.standard_errors
    assert errors.keys() == whole.result.standard_errors.keys()
    for name, error in whole.result.standard_errors.items():
        if name != "gaussian_total_correlation":  # of latents that are independent it is about 0
            np.testing.assert_allclose(errors[name], error, rtol=0.08, err_msg=name)
    for name in ("entropy", "information", "total_information"):
        one, two = (card.marginals.standard_errors[name] for card in (found, whole))
        used = slice(0, 2) if np.ndim(one) else ...
        np.testing.assert_allclose(np.asarray(one)[used], np.asarray(two)[used], rtol=0.1)


def test_errors_of_totals_are_left_out_where_few_rows_lie_far_out():
    mean, var = rows(100_000)
    mean[:3] = 300.0
    errors = score(Summary.of(Encodings.of(mean, var))).result.standard_errors
    assert "kl_posterior_prior" not in errors
    assert "kl_posterior_prior_per_latent" in errors


def test_a_saved_summary_is_the_same_to_the_bit(tmp_path):
    summary = merge(shards(*rows(300), [100]))
    summary.save(tmp_path / "a.npz")
    summary.save(tmp_path / "b.npz")
    assert_same_bits(summary, Summary.load(tmp_path / "a.npz"))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert parts_of(tmp_path / "a.npz") == summary.parts
    assert score(tmp_path / "a.npz").verdict == score(summary).verdict


def test_files_are_merged_like_objects(tmp_path):
    parts = shards(*rows(300), [50, 120])
    paths = [tmp_path / f"{k}.npz" for k in range(3)]
    for part, path in zip(parts, paths, strict=True):
        part.save(path)
    assert_same_bits(merge(parts), merge([paths[2], parts[0], paths[1]]))


def test_a_torn_file_is_refused_by_name(tmp_path):
    path, whole = tmp_path / "torn.npz", tmp_path / "whole.npz"
    Summary.of(Encodings.of(*rows(50))).save(whole)
    content = whole.read_bytes()
    for size in np.linspace(64, len(content) - 1, 60).astype(int):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"torn\.npz"):
            Summary.load(path)


def test_too_little_memory_is_no_damage(tmp_path, monkeypatch):
    path = tmp_path / "large.npz"
    Summary.of(Encodings.of(*rows(50))).save(path)

    def full(*_, **__):
        raise MemoryError("Unable to allocate 3 TiB")

    for owner, name in ((np, "load"), (MarginalSketch, "from_arrays")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, full)
            with pytest.raises(MemoryError) as refusal:
                Summary.load(path)
        words = "large.npz: there is not enough memory to read it (Unable to allocate 3 TiB)"
        assert str(refusal.value).endswith(words)


def test_an_array_that_announces_more_than_the_file_has_is_damage(tmp_path):
    """Of a size that no machine has, which is not asked for."""
    path, whole = tmp_path / "flipped.npz", tmp_path / "whole.npz"
    Summary.of(Encodings.of(*rows(50))).save(whole)
    short, long = b"(50, 3), }" + b" " * 10, b"(500000000000, 3), }"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(short, long))
    with pytest.raises(ValueError, match="damaged: sample/mean.npy announces 1500000000000 "):
        Summary.load(path)


def load(path):
    try:
        return Summary.load(path), path.name
    except ValueError as error:
        return None, str(error)


def test_a_bracket_that_never_closes_is_damage(tmp_path):
    path = tmp_path / "a.npz"
    Summary.of(Encodings.of(*rows(2000))).save(path)  # of which no checksum is compared so early
    content = path.read_bytes()
    for head in re.finditer(rb"{'descr'", content):
        at = content.index(b"}", head.start())
        path.write_bytes(content[:at] + b"(" + content[at + 1 :])
        with pytest.raises(ValueError, match="a.npz is damaged"):
            Summary.load(path)


def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path):
    path, whole = tmp_path / "flipped.npz", tmp_path / "whole.npz"
    summary = Summary.of(Encodings.of(*rows(50)))
    summary.save(whole)
    content = whole.read_bytes()
    refused = 0
    for at in np.random.default_rng(0).integers(8 * len(content), size=400):
        changed = bytearray(content)
        changed[at // 8] ^= 1 << (at % 8)
        path.write_bytes(changed)
        found, message = load(path)
        refused += found is None
        assert "flipped.npz" in message
        if found is not None:
            assert_same_bits(found, summary)
    assert refused > 300


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"summary": "{"}, "damaged"),
        ({"summary": json.dumps({"schema": "dindic.summary/9", "parts": []})}, "version"),
        ({"summary": json.dumps({"schema": "dindic.summary/2", "parts": []})}, "missing"),
        ({"moments/mean": np.zeros(D + 1)}, "belong together"),
        ({"sample/mean": np.zeros((2, D))}, "sample"),
        ({"sketch/keys": np.zeros(1, np.int64)}, "belong together"),
        ({"sketch/counts": None}, "damaged"),
        ({f"clusters/{name}": x for name, x in CLUSTERS.items()}, "clusters do not belong"),
    ],
)
def test_a_file_with_other_arrays_is_refused(tmp_path, change, words):
    path = tmp_path / "other.npz"
    Summary.of(Encodings.of(*rows(50))).save(path)
    with np.load(path) as archive:
        kept = {name: archive[name] for name in archive.files} | change
    np.savez(path, **{name: array for name, array in kept.items() if array is not None})
    with pytest.raises(ValueError, match=words) as refusal:
        Summary.load(path)
    assert "other.npz" in str(refusal.value)


def test_encodings_are_no_summary_and_the_other_way_round(tmp_path):
    mean, var = rows(50)
    np.savez(tmp_path / "rows.npz", mean=mean, var=var)
    with pytest.raises(ValueError, match=r"rows\.npz holds no summary"):
        Summary.load(tmp_path / "rows.npz")
    Summary.of(Encodings.of(mean, var)).save(tmp_path / "sums.npz")
    with pytest.raises(ValueError, match=r"sums\.npz holds sums over rows.*score\(path\)"):
        read_encodings(tmp_path / "sums.npz")


def of(seed=0, n=50, **kwargs):
    kwargs, made = dict(kwargs), {}
    for key in ("prior_var", "clusters"):
        if key in kwargs:
            made[key] = kwargs.pop(key)
    return Summary.of(Encodings.of(*rows(n, seed), **made), **kwargs)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([of(name="a"), of(name="b")], "rows 0 to 49 of b would count twice.*of a hold the same"),
        ([of(name="a"), of(1, name="a")], "would count twice.*first_row"),
        ([of(name="a"), of(1, name="a", first_row=40)], "rows 40 to 89 of a would count twice"),
        ([of(name="a"), of(1, name="a", first_row=60)], "rows 50 to 59 of a are missing"),
        (
            [of(name="a"), of(1, name="b", prior_var=2.0)],
            "prior_var of latent 0 are the same: 1.0 in .* 2.0 in",
        ),
        ([of(name="a"), of(1, name="b", order=8)], "order"),
        ([of(name="a"), of(1, name="b", budget=64)], "budget"),
        ([of(name="a"), Summary.of(Encodings.of(np.zeros((9, 2)), np.ones((9, 2))))], "latents"),
        ([], "no summary"),
    ],
)
def test_what_does_not_add_up_is_refused(parts, words):
    with pytest.raises(ValueError, match=words):
        merge(parts)


def test_names_that_were_listed_must_be_there():
    parts = [of(name="a"), of(1, name="b")]
    assert merge(parts, of=["b", "a"]).n == 100
    with pytest.raises(ValueError, match="missing: c"):
        merge(parts, of=["a", "b", "c"])
    with pytest.raises(ValueError, match="not of them: b"):
        merge(parts, of=["a"])
    with pytest.raises(ValueError, match="the list of parts is empty"):
        merge(parts, of=[])


def clustered_rows(kind=str):
    """Rows of 12 clusters that move together, three to five clusters to a shard."""
    mean, var = rows(1200)
    clusters = np.arange(1200) // 100
    mean += 0.5 * np.random.default_rng(1).normal(size=(12, D))[clusters]
    names = np.array([f"donor {c}" for c in clusters]) if kind is str else clusters.astype(kind)
    cuts = [0, 300, 800, 1200]
    parts = [
        Summary.of(Encodings.of(mean[a:b], var[a:b], clusters=names[a:b]), name="all", first_row=a)
        for a, b in itertools.pairwise(cuts)
    ]
    return mean, var, names, parts


def test_errors_of_clusters_in_shards_are_those_of_all_rows(tmp_path):
    mean, var, names, parts = clustered_rows()
    paths = [tmp_path / f"{k}.npz" for k in range(3)]
    for part, path in zip(parts, paths, strict=True):
        part.save(path)
    whole = score(mean, var=var, clusters=names, marginals=False)
    found = score(merge(paths[::-1]))
    assert found.result.n_clusters == 12
    wanted, errors = whole.result.standard_errors, found.result.standard_errors
    of_covariance = {name for name, indicator in INDICATORS.items() if indicator.covariance}
    assert wanted.keys() - errors.keys() == of_covariance & wanted.keys() != set()
    for name, error in errors.items():
        np.testing.assert_allclose(error, wanted[name], rtol=1e-9, err_msg=name)
    alone = score(Summary.of(Encodings.of(mean, var))).result.standard_errors
    assert errors["mutual_information"] > 2 * alone["mutual_information"]
    assert found.verdict["USED"] == whole.verdict["USED"]
    chance, known = found.result.chance, whole.result.chance
    assert chance["kl_aggregate_prior"] == pytest.approx(known["kl_aggregate_prior"], rel=1e-9)
    assert known.keys() - chance.keys() == known.keys() - {"kl_aggregate_prior"} != set()
    assert "no ± from sums over clusters" in str(found)
    assert found.marginals is found.joint is None
    assert "need all rows at once" in found.reasons["marginals"]


def test_merging_shows_how_far_it_is():
    parts = clustered_rows()[3]
    seen = []
    note = lambda each, what, total: (seen.append((what, total)) or one for one in each)
    assert merge(parts, progress=note).n == 1200
    assert seen == [("states", 3)] * 3


def test_the_order_of_shards_with_clusters_changes_no_bit():
    _, _, _, parts = clustered_rows()
    one, two = merge(parts), merge(parts[::-1])
    for name, array in one.clusters._asdict().items():
        np.testing.assert_array_equal(array, getattr(two.clusters, name), err_msg=name)
    assert one.clusters.names.tolist() == sorted(one.clusters.names)


def test_a_cluster_that_a_shard_cuts_is_an_error_by_name():
    """By the same name as a whole number and as a float."""
    mean, var = rows(90)
    halves = [
        Summary.of(Encodings.of(mean[a:b], var[a:b], clusters=codes), name=name)
        for (a, b), codes, name in (
            ((0, 40), np.arange(40) // 10, "a"),
            ((40, 90), 3.0 + np.arange(50) // 10, "b"),
        )
    ]
    with pytest.raises(ValueError, match="cluster '3' is cut.*rows 0 to 39 of a.*0 to 49 of b"):
        merge(halves)
    with pytest.raises(ValueError, match="clusters are the same.*no clusters"):
        merge([halves[0], of(name="c")])


def test_means_alone_are_refused():
    mean, var = rows(50)
    with pytest.raises(ValueError, match="only means"):
        Summary.of(Encodings.of(mean))
    with pytest.raises(ValueError, match="first_row"):
        Summary.of(Encodings.of(mean, var), first_row=-1)


def test_arrays_beside_a_summary_are_refused():
    with pytest.raises(ValueError, match="sums stand for the rows; they exclude var"):
        score(of(), var=np.ones((50, D)))


def test_a_latent_too_narrow_for_sums_gets_a_bound_and_the_others_numbers():
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(5000, 2)) * [0.9, 1.0]
    var = np.broadcast_to([0.19, 1e-14], mean.shape)
    exact = marginals(mean, var)
    card = score(Summary.of(Encodings.of(mean, var), budget=64))
    ours = card.marginals
    assert ours.saturated.tolist() == [False, True]
    assert ours.information[0] == pytest.approx(exact.information[0], abs=1e-4)
    assert ours.information[1] <= exact.information[1]
    assert "latent 1 has a ≥" in " ".join(str(card).split())


def test_the_joint_is_that_of_the_sample_however_rows_were_cut():
    mean, var = rows(6000)
    one, two = (score(merge(shards(mean, var, cuts))) for cuts in ([], [1000, 1001, 4500]))
    assert one.joint.n == SAMPLED
    assert one.joint.mutual_information_low == two.joint.mutual_information_low
    sample = merge(shards(mean, var, [])).sample
    again = joint(sample.mean, sample.var, rng=0)
    assert one.joint.total_correlation == again.total_correlation
    assert one.joint.dependence.startswith("The joint is of 4096 rows, drawn by a hash")
    assert score(of()).joint.dependence == "Rows are taken as independent."
    assert score(of(), joint=False).joint is None
    assert score(of(), marginals=False).joint is None


def test_the_range_of_the_prior_is_that_of_the_rows_and_their_sample():
    """Latents of the same size with random signs are uncorrelated: only the joint shows it."""
    mean, var = rows(6000)
    signs = np.random.default_rng(1).choice([-1, 1], size=6000)
    summary = Summary.of(Encodings.of(np.c_[mean[:, 0], signs * mean[:, 0]], var[:, [0, 0]]))
    assert score(summary).distance.total.low > 0.1
    assert score(summary, joint=False).distance.total.low < 0.01


def test_float32_and_streams_give_the_sums_of_their_numbers():
    mean, var = (x.astype(np.float32) for x in rows(1000))
    stream = Encodings.of(
        batches=lambda: ((mean[k : k + 70], var[k : k + 70]) for k in range(0, 1000, 70))
    )
    one, two = Summary.of(stream), Summary.of(Encodings.of(mean, var))
    assert one.parts[0].digest == two.parts[0].digest
    np.testing.assert_allclose(one.moments.mean, two.moments.mean, atol=1e-12)


def test_where_numbers_lie_in_memory_changes_no_bit():
    """Arrays that came over a wire need not begin at a multiple of 8 bytes, and BLAS wants that."""

    def moved(array):
        buffer = np.empty(array.nbytes + 3, np.uint8)
        new = buffer[3:].view(array.dtype).reshape(array.shape)
        new[:] = array
        assert not new.flags.aligned
        return new

    mean, var = rows(500)
    one, two = (
        Summary.of(Encodings.of(x, y)) for x, y in ((mean, var), (moved(mean), moved(var)))
    )
    assert_same_bits(one, two)
    assert_same_bits(one, Summary.of(Encodings.of(np.asfortranarray(mean), var)))


def test_a_prior_is_applied_once():
    mean, var = rows(500)
    card = score(Summary.of(Encodings.of(2 * mean + 1, 4 * var, prior_mean=1.0, prior_var=4.0)))
    plain = score(Summary.of(Encodings.of(mean, var)))
    for name, value in plain.result.values.items():
        np.testing.assert_allclose(card.result.values[name], value, atol=1e-9, err_msg=name)


def test_the_joint_of_a_sample_of_all_rows_is_that_of_the_rows_within_errors():
    """The sample has them in the order of a hash, so that one seed draws other points."""
    mean, var = rows(600)
    one, two = score(merge(shards(mean, var, [200]))).joint, score(mean, var=var).joint
    assert one.n == two.n == 600
    for name in ("mutual_information", "total_correlation", "kl_aggregate_prior"):
        error = np.hypot(one.standard_errors[name], two.standard_errors[name])
        assert abs(getattr(one, name) - getattr(two, name)) <= 5 * error
