"""Encoders of the same rows: twins with known truth, nulls, errors, refusals."""

import numpy as np
import pytest
from strategies import orthogonal

from disentangle_indicators import Encodings
from disentangle_indicators._errors import Undefined
from disentangle_indicators.comparison import match
from disentangle_indicators.comparison._pairs import (
    Both,
    alignments,
    canonical,
    kept,
    kernel_alignment,
    moments_of,
    rotations_of,
    shuffled,
    stepped_down,
)

UNUSED = 2
LATENTS = 5


def twins(kind, seed, n=600, k=LATENTS, v=0.05, noise=0.05):
    """Two encoders of the same rows; the second has the space of the first, or does not."""
    rng = np.random.default_rng([seed, k])
    z = rng.normal(size=(n, k)) * np.sqrt(1 - v)
    q = orthogonal(rng, k)
    if kind == "permuted":
        w = z[:, rng.permutation(k)] * rng.choice([-1, 1], k)
    elif kind == "rotated":
        w = z @ q
    elif kind == "linear":
        w = z @ (q * np.exp(np.linspace(-0.7, 0.7, k))) @ orthogonal(rng, k)
        w = w / w.std(axis=0)
    elif kind == "unrelated":
        w = rng.normal(size=(n, k))
    w = w + noise * rng.normal(size=w.shape)
    return [_padded(rng, z, v), _padded(rng, w, v)]


def _padded(rng, mean, v):
    """Means with unused latents beside them."""
    n, k = mean.shape
    mean = np.hstack([0.01 * rng.normal(size=(n, UNUSED)), mean])
    return mean, np.hstack([np.full((n, UNUSED), 0.99), np.full((n, k), v)])


def matched(encoders, **options):
    return match(encoders, **{"same_rows": True, "rotations": 199} | options)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("permuted", "up to permutation and sign; the same axes for 5 of 5 latents."),
        ("rotated", "up to a rotation; the same axes for 0 of 5 latents."),
        ("linear", "up to a linear map; the same axes for 0 of 5 latents."),
    ],
)
def test_twins_with_known_truth(kind, sentence):
    found = matched(twins(kind, 0))
    assert found.sentence == f"The same 5-dimensional space in both encoders, {sentence}"
    assert found.latents == ((2, 3, 4, 5, 6),) * 2
    (pair,) = found.pairs
    assert pair.p_space == 1 / 40
    assert pair.shared_low == pair.shared_high == 5


def test_unrelated_encoders_share_nothing():
    found = matched(twins("unrelated", 0))
    assert found.sentence == "The encoders share 0 of 5 and of 5 dimensions."
    assert {one.verdict for one in found.pairs[0].matched} == {"not shared"}


def test_permuted_latents_find_their_partners_with_their_signs():
    rng = np.random.default_rng(0)
    mean, var = rng.normal(size=(500, 4)), np.full((500, 4), 0.1)
    order, sign = [2, 0, 3, 1], np.array([1, -1, -1, 1])
    (pair,) = matched([(mean, var), (mean[:, order] * sign, var)]).pairs
    assert {one.latent: one.partner for one in pair.matched} == {2: 0, 0: 1, 3: 2, 1: 3}
    assert [np.sign(one.correlation) for one in pair.matched] == [
        sign[o.partner] for o in pair.matched
    ]
    assert all(one.degrees == pytest.approx(0, abs=1e-3) for one in pair.matched)
    assert pair.cka == pytest.approx(1)


def test_one_pair_at_45_degrees_among_latents_that_agree():
    """The pair is in the space of the other encoder, and on none of its axes."""
    rng = np.random.default_rng(0)
    mean, var = rng.normal(size=(2000, 6)), np.full((2000, 6), 0.05)
    turned = mean.copy()
    turned[:, [1, 4]] = mean[:, [1, 4]] @ np.array([[1.0, 1.0], [-1.0, 1.0]]) / np.sqrt(2)
    found = matched([(mean, var), (turned + 0.05 * rng.normal(size=mean.shape), var)])
    assert found.sentence.endswith("up to a rotation; the same axes for 4 of 6 latents.")
    apart = {one.latent: one for one in found.pairs[0].matched if one.verdict != "same axis"}
    assert set(apart) == {1, 4}
    assert all(abs(one.degrees - 45) < 2 for one in apart.values())


def test_different_widths():
    one, two = twins("rotated", 1)
    wide = np.random.default_rng(5).normal(size=(600, 3))
    two = np.hstack([two[0], wide]), np.hstack([two[1], np.full((600, 3), 0.05)])
    found = matched([one, two])
    assert found.widths == (7, 10)
    assert found.pairs[0].shared == 5
    assert found.sentence.startswith(
        "The encoders share 5 of 5 and of 8 dimensions, up to a rotation"
    )


def test_groups_of_encoders():
    """Two models of three seeds each, of other spaces: groups, a reference, and a matrix."""
    one, two = twins("rotated", 0)
    rng = np.random.default_rng(0)
    other = twins("unrelated", 3)[1]

    def again(code):
        return code[0] + 0.03 * rng.normal(size=code[0].shape), code[1]

    found = matched([one, other, again(one), two, again(other)], names=["a", "b", "c", "d", "e"])
    assert found.groups == [[0, 2, 3], [1, 4]]
    assert found.sentence == (
        "The same 5-dimensional space in 3 of 5 encoders, up to a rotation; the same axes for 0 of "
        "5 latents."
    )
    assert found.same_axes([0, 2]) == [2, 3, 4, 5, 6]
    assert found.shared[0].tolist() == [5, 0, 5, 5, 0]
    assert found.agreeing[0, 2] == 5
    assert "b" in repr(found)


def test_udr_is_calibrated_by_rotations():
    same, turned = (matched(twins(kind, 0)).ranking for kind in ("permuted", "rotated"))
    assert same.p_value.tolist() == [0.05, 0.05]
    assert turned.p_value.min() > 0.05
    assert np.all(same.score > same.null + 0.2)


def test_order_of_encoders_and_of_rows_changes_no_count():
    one, two = twins("linear", 4)
    order = np.random.default_rng(0).permutation(600)
    found = [
        matched([one, two]).pairs[0],
        matched([two, one]).pairs[0],
        matched([tuple(x[order] for x in code) for code in (one, two)]).pairs[0],
    ]
    for other in found[1:]:
        assert other.canonical == pytest.approx(found[0].canonical, abs=1e-9)
        assert other.cka == pytest.approx(found[0].cka, abs=1e-9)
        assert (other.shared, other.up_to) == (found[0].shared, found[0].up_to)


def test_a_linear_map_changes_no_canonical_correlation_and_a_rotation_no_alignment_of_kernels():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 300, 4))
    y = y + x @ rng.normal(size=(4, 4))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    none, group = np.zeros(4), np.zeros(300, dtype=int)
    one = moments_of(x, y, none, none, group)[0]
    two = moments_of(x @ rng.normal(size=(4, 4)), y, none, none, group)[0]
    three = moments_of(x @ orthogonal(rng, 4), y, none, none, group)[0]
    assert canonical(two).means == pytest.approx(canonical(one).means, abs=1e-9)
    assert kernel_alignment(three)[0] == pytest.approx(kernel_alignment(one)[0], abs=1e-9)
    assert kernel_alignment(two)[0] != pytest.approx(kernel_alignment(one)[0], abs=1e-3)


def test_samples_have_the_correlations_that_are_computed_without_drawing_them():
    """An independent oracle: many drawn samples, their canonical correlations and their CKA."""
    rng = np.random.default_rng(0)
    n, k = 40_000, 3
    x = rng.normal(size=(n, k))
    y = x @ orthogonal(rng, k) + 0.5 * rng.normal(size=(n, k))
    noise = np.array([0.2, 0.5, 1.0])
    both = moments_of(x, y, noise, noise, np.zeros(n, dtype=int))[0]
    drawn = [z + np.sqrt(noise) * rng.normal(size=z.shape) for z in (x, y)]
    of_drawn = moments_of(*drawn, 0 * noise, 0 * noise, np.zeros(n, dtype=int))[0]
    assert canonical(of_drawn).means == pytest.approx(canonical(both).samples, abs=5 / np.sqrt(n))
    assert kernel_alignment(of_drawn)[0] == pytest.approx(kernel_alignment(both)[1], abs=0.01)


def test_the_noisier_encoder_decides_what_both_carry():
    """Of a direction with r = 1, an encoder with noise nu carries 1/2 log((1 + nu) / nu)."""
    wide, narrow = np.array([1.0]), np.array([0.01])
    for noises in ((wide, narrow), (narrow, wide)):
        both = Both(np.eye(1), np.eye(1), np.eye(1), *noises)
        assert canonical(both).information == pytest.approx([0.5 * np.log(2)])
        assert canonical(both).samples == pytest.approx([1 / np.sqrt(2 * 1.01)])


def test_nats_of_classes_of_maps_rise_with_the_class():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 300, 4))
    y = 0.3 * y + x @ rng.normal(size=(4, 4))
    both = moments_of(x, y, np.full(4, 0.1), np.full(4, 0.1), np.zeros(300, dtype=int))[0]
    nats = [sum(each) for each in kept(both, np.arange(4), np.arange(4)).values()]
    assert nats[2] >= max(nats[:2])
    assert min(nats) >= 0


def test_moments_without_a_group_are_those_of_the_other_rows():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 90, 3))
    group = np.repeat([0, 1, 2], 30)
    _, left = moments_of(x, y, np.ones(3), np.ones(3), group)
    rest = group != 1
    wanted = np.cov(np.hstack([x, y])[rest].T, bias=True)
    assert left[1].a == pytest.approx(wanted[:3, :3])
    assert left[1].between == pytest.approx(wanted[:3, 3:])


def test_errors_of_correlations_are_those_of_sampling():
    """r of Gaussian pairs has the standard error (1 - r^2) / sqrt(n)."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(4000, 2))
    other = mean + rng.normal(size=mean.shape)
    var = np.full(mean.shape, 0.1)
    (pair,) = matched([(mean, var), (other, var)]).pairs
    for one in pair.matched:
        assert one.correlation_se == pytest.approx(0.5 / np.sqrt(4000), rel=5 / np.sqrt(2 * 19))


def test_copies_of_rows_are_shuffled_whole():
    """Without names of clusters: what repeats another row counts with it."""
    rng = np.random.default_rng(0)
    mean = np.repeat(rng.normal(size=(50, 2)), 8, axis=0)
    other = np.repeat(rng.normal(size=(50, 2)), 8, axis=0)
    found = matched([Encodings.of(m, np.full(m.shape, 0.1)) for m in (mean, other)])
    assert found.n_clusters == 50
    assert "Copies of one row count as one draw, of 50." in repr(found)
    assert found.pairs[0].shared == 0


def test_clusters_widen_errors_and_are_shuffled_whole():
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(40), 25)
    mean = rng.normal(size=(40, 2))[clusters] + 0.1 * rng.normal(size=(1000, 2))
    other = mean + rng.normal(size=(40, 2))[clusters]
    var = np.full(mean.shape, 0.1)
    rows, whole = (
        matched([Encodings.of(m, var, clusters=c) for m in (mean, other)])
        for c in (None, clusters)
    )
    assert whole.n_clusters == 40
    assert whole.pairs[0].matched[0].correlation_se > 2 * rows.pairs[0].matched[0].correlation_se
    assert whole.pairs[0].chance > 2 * rows.pairs[0].chance


def test_shuffled_rows_are_as_chance_makes_them():
    """The greatest canonical correlation of independent codes: (sqrt p + sqrt q) / sqrt n."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 4000, 10))
    found = shuffled(x, x + y, None, 20, rng)
    assert np.mean(found) == pytest.approx(2 * np.sqrt(10 / 4000), rel=0.15)


def test_alignments_of_signed_permutations_are_1_and_of_rotations_the_greatest_entry():
    rng = np.random.default_rng(0)
    q = orthogonal(rng, 5)
    both = Both(np.eye(5), np.eye(5), q, np.zeros(5), np.zeros(5))
    assert alignments(both) == pytest.approx(np.abs(q).max(axis=1))
    turned = rotations_of(5, 3, rng)
    assert alignments(both, turned)[1] == pytest.approx(np.abs(q @ turned[1].T).max(axis=1))
    one = Both(np.eye(5), np.eye(5), np.eye(5)[::-1], np.zeros(5), np.zeros(5))
    assert alignments(one) == pytest.approx(np.ones(5))


def test_stepped_down_p_values_are_ordered_and_at_least_one_draw():
    rng = np.random.default_rng(0)
    null, observed = rng.uniform(size=(99, 6)), rng.uniform(size=6)
    p = stepped_down(observed, null)
    assert np.all(np.diff(p[np.argsort(-observed)]) >= 0)
    assert p.min() >= 0.01
    assert p[np.argmax(observed)] == np.mean([1, *(null.max(axis=1) >= observed.max())]) * 1.0


def test_means_only_are_matched():
    (mean, _), (other, _) = twins("permuted", 0)
    found = matched([(mean[:, 2:], None), (other[:, 2:], None)])
    assert found.sentence.endswith("the same axes for 5 of 5 latents.")


def test_one_used_latent_has_no_axes_to_choose_from():
    found = matched(twins("permuted", 0, k=1))
    assert found.sentence == (
        "The same 1-dimensional space in both encoders, up to permutation and sign; one latent has "
        "no axes to choose from."
    )


def test_rows_must_be_the_same():
    one, two = (
        Encodings.of(*code, name=x) for code, x in zip(twins("rotated", 0), "ab", strict=True)
    )
    with pytest.raises(
        ValueError, match="the encoders need the same rows: 'a' has 600, 'b' has 599"
    ):
        match([one, Encodings.of(two.mean[1:], two.var[1:], name="b")], same_rows=True)
    with pytest.raises(ValueError, match="nothing shows that row 1 .* add same_rows=True"):
        match([one, two])
    labels = np.random.default_rng(0).integers(10, size=600)
    a, b = (Encodings.of(code, labels=labels) for code in (one, two))
    assert match([a, b], rotations=19).evidence == "labels"
    wrong = Encodings.of(two, labels=np.roll(labels, 1))
    with pytest.raises(ValueError, match="the labels of 'a' and 'b' differ, first in row 1"):
        match([a, wrong], same_rows=True)
    constant = [Encodings.of(code, labels=np.zeros(600)) for code in (one, two)]
    with pytest.raises(ValueError, match="nothing shows"):
        match(constant)
    hashed = [
        code.replaced(metadata={"data_fingerprint": "f", "images": "i"}) for code in (one, two)
    ]
    assert match(hashed, rotations=19).evidence == "the hash of the data"
    other = two.replaced(metadata={"data_fingerprint": "g", "images": "i"})
    with pytest.raises(ValueError, match="are of other data"):
        match([hashed[0], other], same_rows=True)


ORDERS = {
    "sorted": lambda labels: np.sort(labels),
    "sorted the other way": lambda labels: -np.sort(-labels),
    "in blocks": lambda labels: np.repeat(labels[:60], 10),
    "in short blocks": lambda labels: np.repeat(labels[:300], 2),
    "in turns": lambda labels: np.arange(600) % 10,
    "in turns of blocks": lambda labels: np.arange(600) // 2 % 10,
    "few and shuffled": lambda labels: np.arange(600) == 7,
}


@pytest.mark.parametrize("order", ORDERS)
def test_labels_in_an_order_are_no_proof_of_the_same_rows(order):
    """Two passes, each shuffled within its classes, have the same labels and other rows."""
    labels = ORDERS[order](np.random.default_rng(0).integers(10, size=600))
    mean, var = twins("rotated", 0)[0]
    rng = np.random.default_rng(1)
    sorted_rows = np.argsort(labels, kind="stable")
    within = np.empty(600, dtype=int)
    within[sorted_rows] = np.lexsort([rng.random(600), labels])
    assert np.array_equal(labels[within], labels)
    one = Encodings.of(mean, var, labels=labels, name="a")
    two = Encodings.of(mean[within], var[within], labels=labels, name="b")
    reason = "labels agree, but rows that were shuffled within their classes would agree as well"
    with pytest.raises(ValueError, match=reason):
        match([one, two])
    with pytest.raises(ValueError, match=reason.replace("labels", "factors")):
        match([Encodings.of(mean, var, factors=labels) for _ in range(2)])


def test_sorted_factors_that_no_two_rows_share_prove_the_same_rows():
    code = twins("rotated", 0)[0]
    grid = np.stack(np.divmod(np.arange(600), 20), axis=1)
    several = [Encodings.of(*code, factors=grid, labels=grid[:, 0]) for _ in range(2)]
    assert match(several, rotations=19).evidence == "factors"
    named = [Encodings.of(*code, labels=np.arange(600).astype(str)) for _ in range(2)]
    assert match(named, rotations=19).evidence == "labels"


def test_numbers_of_encoders_are_bounded():
    one = twins("rotated", 0)[0]
    for count in (1, 51):
        with pytest.raises(ValueError, match=f"match takes 2 to 50 encoders; got {count}"):
            match([one] * count, same_rows=True)


def test_the_result_is_plain_and_the_same_for_the_same_seed():
    one = matched(twins("rotated", 0), rng=3)
    assert one.to_json() == matched(twins("rotated", 0), rng=3).to_json()
    content = one.to_dict()
    assert content["schema"] == "dindic.match/1"
    assert content["shared"] == [[5, 5], [5, 5]]
    assert list(content["udr"]) == ["score", "null", "p_value", "rows"]
    assert len(one.to_frame()) == 5
    assert one.to_scalars()["shared_least"] == 5
    one.plot()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "k"), [("rotated", 2), ("rotated", 6), ("linear", 6), ("unrelated", 6)]
)
def test_axes_that_do_not_agree_are_called_the_same_at_the_stated_rate(kind, k):
    runs = 200
    found = [matched(twins(kind, s, n=300, k=k), rng=s).pairs[0] for s in range(runs)]
    rate = np.mean([pair.axes > 0 for pair in found])
    assert rate <= 0.05 + 5 * np.sqrt(0.05 * 0.95 / runs)
    if kind == "unrelated":
        false = np.mean([pair.p_space <= 0.05 for pair in found])
        assert abs(false - 0.05) <= 5 * np.sqrt(0.05 * 0.95 / runs)
        assert max(pair.shared for pair in found) == 0
    else:
        assert np.mean([pair.shared == k for pair in found]) > 0.95


@pytest.mark.slow
def test_axes_that_agree_are_found():
    found = [matched(twins("permuted", s, n=300, k=6), rng=s).pairs[0] for s in range(100)]
    assert np.mean([pair.axes == 6 for pair in found]) > 0.95


@pytest.mark.parametrize("kind", ["permuted", "rotated"])
def test_directions_of_exact_twins_carry_the_same_nats_in_every_part_of_the_rows(kind):
    """All canonical correlations are 1: noise tells directions apart, and not rounding."""
    rng = np.random.default_rng(3)
    width = np.array([0.05, 0.1, 0.2, 0.3])
    mean = rng.normal(size=(3000, 4)) * np.sqrt(1 - width)
    turn = np.eye(4)[[2, 0, 3, 1]] if kind == "permuted" else orthogonal(rng, 4)
    one = Encodings.of(mean, np.broadcast_to(width, mean.shape), name="a")
    two = Encodings.of(mean @ turn, np.full(mean.shape, 0.1), name="b")
    (pair,) = match([one, two], same_rows=True, rotations=19, shuffles=19).pairs
    assert (pair.shared_low, pair.shared, pair.shared_high) == (4, 4, 4)
    assert np.all(pair.shared_information_se < 0.1)


def test_encoders_are_arrays_or_pairs_and_one_that_uses_nothing_is_named():
    mean = np.random.default_rng(0).normal(size=(200, 2))
    assert match([mean, (mean, np.full(mean.shape, 0.1))], same_rows=True).pairs[0].shared == 2
    unused = Encodings.of(0 * mean + 1e-3 * mean, np.ones(mean.shape), name="flat")
    with pytest.raises(Undefined, match="flat: no latent is used.*latents='all'"):
        match([Encodings.of(mean, np.full(mean.shape, 0.1), name="a"), unused], same_rows=True)


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_few_rows_are_refused(n):
    several = [Encodings.of(*(x[:n] for x in code)) for code in twins("rotated", 0)]
    for same_rows in (True, False):
        with pytest.raises(ValueError, match=f"match needs at least 8 rows; got {n}"):
            match(several, same_rows=same_rows)


def test_a_latent_that_moves_in_one_row_has_an_error():
    """Without the group of that row its means are constant, and correlate with nothing."""
    rng = np.random.default_rng(0)
    mean, var = rng.normal(size=(40, 3)), np.full((40, 3), 0.01)
    mean[:, 2] = 30.0 * (np.arange(40) == 7)
    (pair,) = matched([(mean, var), (mean[:, [2, 0, 1]], var)], latents="all").pairs
    assert len(pair.matched) == 3
    assert all(np.isfinite(one.correlation_se) for one in pair.matched)
