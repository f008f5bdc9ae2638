"""Training against autograd, torch.optim.AdamW and itself."""

from itertools import islice

import numba
import numpy as np
import pytest
import torch

from grokscope.runs.tasks import TASKS
from grokscope.train import loop as training
from grokscope.train.dataset import make_dataset
from grokscope.train.engines import kernels
from grokscope.train.engines.base import weight_ranks
from grokscope.train.engines.cpu import TILE_ROWS, CpuEngine
from grokscope.train.engines.vectors import LANES, load, store
from grokscope.train.loop import _Run, settled_step, train
from reference import (
    Network,
    assert_steps_equal,
    autograd_gradient,
    reference_steps,
    start_like,
    train_reference,
)
from synthetic import make_spec

KINDS = {
    "one_hot": {"task": "modular_addition", "p": 13, "samples": None, "encoding": "one_hot"},
    "embedding": {
        "task": "modular_addition",
        "p": 13,
        "samples": None,
        "encoding": "embedding",
        "embedding_dim": 6,
    },
    "division": {"task": "modular_division", "p": 11, "samples": None, "encoding": "one_hot"},
    "scalar": {"task": "sine_regression", "p": None, "samples": 90, "encoding": "scalar"},
    "cubic": {"task": "cubic_regression", "p": None, "samples": 90, "encoding": "scalar"},
}


def spec_of(kind: str, **overrides):
    defaults = {
        "depth": 2,
        "width": 12,
        "train_fraction": "0.7",
        "weight_decay": "0.1",
        "embedding_dim": None,
        "learning_rate": 1e-3,
        "betas": (0.9, 0.98),
        "steps": 50,
        "test_every": 1,
        "rank_every": None,
        "early_stop": None,
    }
    seed = overrides.get("seed", 3)
    seeds = {"seed": seed, "data_seed": seed, "init_seed": seed}
    return make_spec(**(defaults | KINDS[kind] | seeds | overrides))


@pytest.mark.parametrize("tile_rows", [TILE_ROWS, 17])
@pytest.mark.parametrize("depth", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_equal_autograd(kind, depth, tile_rows):
    specs = [spec_of(kind, depth=depth, seed=seed) for seed in (3, 4)]
    datasets = [make_dataset(spec) for spec in specs]
    engine = CpuEngine(specs, datasets, dtype=np.float64, tile_rows=tile_rows)
    networks = [Network(spec).double() for spec in specs]
    start_like(engine, networks)
    loss, metric, _ = engine.train_pass()
    test_loss, test_metric = engine.test_pass()
    for run, network in enumerate(networks):
        want, want_metric = network.loss("train", torch.float64)
        want.backward()
        want_test, want_test_metric = network.loss("test", torch.float64)
        assert loss[run].item() == pytest.approx(want.item(), rel=1e-10)
        assert test_loss[run].item() == pytest.approx(want_test.item(), rel=1e-10)
        assert metric[run].item() == pytest.approx(want_metric, rel=1e-10)
        assert test_metric[run].item() == pytest.approx(want_test_metric, rel=1e-10)
        expected = autograd_gradient(network)
        found = torch.from_numpy(engine.gradients.flat[run])
        assert (found - expected).norm() <= 1e-10 * expected.norm()
        # Also layer by layer: a small layer must not hide behind a large one.
        for start, stop in engine.shape.segments().values():
            part = expected[start:stop]
            assert (found[start:stop] - part).norm() <= 1e-10 * part.norm()


def test_gradients_equal_autograd_on_s5():
    spec = spec_of("one_hot", task="s5_composition", p=None, depth=3)
    engine = CpuEngine([spec], [make_dataset(spec)], dtype=np.float64)
    loss, _, _ = engine.train_pass()
    network = Network(spec).double()
    want, _ = network.loss("train", torch.float64)
    want.backward()
    assert loss.item() == pytest.approx(want.item(), rel=1e-10)
    start, stop = engine.shape.segments()[1]
    linear = network.linears[0]
    expected = torch.cat([linear.weight.grad.T.reshape(-1), linear.bias.grad])
    found = torch.from_numpy(engine.gradients.flat[0, start:stop])
    assert (found - expected).norm() <= 1e-10 * expected.norm()


PUBLISHED = {"p": 97, "width": 64, "seed": 42, "betas": (0.9, 0.999)}
TRAINED = [
    pytest.param(spec_of(kind, depth=depth, weight_decay="1.0"), id=f"{kind}-{depth}")
    for kind in ("one_hot", "embedding", "scalar")
    for depth in (2, 4, 8)
] + [pytest.param(spec_of("one_hot", **PUBLISHED), id="published")]


def in_float64(specs, datasets):
    engine = CpuEngine(specs, datasets, dtype=np.float64)
    start_like(engine, map(Network, specs))
    return engine


@pytest.mark.parametrize("spec", TRAINED)
def test_first_fifty_updates_equal_torch_adamw(spec, monkeypatch):
    """In float64, whose rounding stays far below the precision of a trace for these steps."""
    monkeypatch.setattr(training, "make_engine", lambda _, *of: in_float64(*of))
    columns = train([spec])[0].columns
    for name, values in train_reference(spec, 50, torch.float64).items():
        np.testing.assert_allclose(columns[name], values, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("spec", TRAINED)
def test_each_of_fifty_updates_equals_that_of_torch_adamw_in_float32(spec):
    engine = CpuEngine([spec], [make_dataset(spec)])
    steps = (step for _, step in islice(reference_steps(spec, torch.float32), 51))
    assert_steps_equal(engine, spec, steps)


@pytest.mark.parametrize("kind", ["one_hot", "embedding", "scalar"])
def test_batch_equals_each_run_alone(kind):
    specs = [
        spec_of(kind, seed=seed, weight_decay=decay, learning_rate=rate, steps=120, rank_every=40)
        for seed, decay, rate in [(0, "0.0", 1e-3), (1, "1.0", 3e-3), (2, "0.1", 1e-2)]
    ]
    together = train(specs)
    for spec, result in zip(specs, together, strict=True):
        alone = train([spec])[0]
        for name, values in alone.columns.items():
            assert values.tobytes() == result.columns[name].tobytes(), name


@pytest.mark.parametrize("kind", ["one_hot", "embedding", "scalar"])
def test_batch_equals_each_run_alone_at_published_size(kind):
    """With products so large that BLAS splits them by size and alignment."""
    p = {} if kind == "scalar" else {"p": 97, "embedding_dim": 16 if kind == "embedding" else None}
    specs = [spec_of(kind, depth=3, width=64, steps=2, seed=seed, **p) for seed in range(3)]
    for spec, result in zip(specs, train(specs), strict=True):
        alone = train([spec])[0]
        for name, values in alone.columns.items():
            assert values.tobytes() == result.columns[name].tobytes(), name


@pytest.mark.parametrize("kind", ["one_hot", "embedding", "scalar"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_seen_in_the_loss(kind, bad):
    """A pass that lost a NaN would let a diverged run look healthy."""
    spec = spec_of(kind, depth=3)
    for layer in range(3):
        engine = CpuEngine([spec], [make_dataset(spec)])
        engine.parameters.weights[layer][0, 0, :] = bad
        assert not np.isfinite(engine.train_pass()[0]).any(), layer
        assert not np.isfinite(engine.test_pass()[0]).any(), layer


def test_exp_of_the_kernels():
    @numba.njit
    def apply(x):
        out = np.empty_like(x)
        for at in range(0, x.size, LANES):
            store(out, at, kernels._exp(load(x, at)))
        return out

    x = -np.linspace(0, 87, 200_000, dtype=np.float32)
    exact = np.exp(x.astype(np.float64))
    assert np.abs(apply(x) / exact - 1).max() < 3e-7
    assert (apply(np.zeros(LANES, np.float32)) == 1.0).all()
    below = apply(np.repeat(np.array([-88, -1e9, -np.inf, -87.5], np.float32), 2))
    np.testing.assert_allclose(below, np.full(LANES, exact[-1]), rtol=3e-7)
    assert np.isnan(apply(np.full(LANES, np.nan, np.float32))).all()
    np.testing.assert_allclose(apply(-np.linspace(0, 700, 48)), np.exp(-np.linspace(0, 700, 48)))


def test_batch_outlives_members_that_stop_early():
    # Low, so that the runs end where rounding has not yet grown: at 0.9 it moves the end of the
    # third by some 20 steps, near to the last.
    rule = {"metrics": ["train"], "threshold": 0.5, "hold_steps": 20}
    specs = [
        spec_of("one_hot", learning_rate=rate, steps=700, early_stop=rule, seed=seed)
        for seed, rate in [(0, 1e-2), (1, 1e-5), (2, 3e-3)]
    ]
    together = train(specs)
    assert [r.info.stopped for r in together] == ["early_stop", "completed", "early_stop"]
    assert len(together[0].columns["step"]) < len(together[2].columns["step"]) < 701
    for spec, result in zip(specs, together, strict=True):
        alone = train([spec])[0]
        for name, values in alone.columns.items():
            assert values.tobytes() == result.columns[name].tobytes(), name


def test_two_trainings_give_the_same_bytes():
    spec = spec_of("one_hot", depth=4, steps=150, rank_every=50, test_every=10)
    first, second = train([spec])[0], train([spec])[0]
    for name in first.columns:
        assert first.columns[name].tobytes() == second.columns[name].tobytes(), name


def test_cadences():
    spec = spec_of("one_hot", steps=25, test_every=10, rank_every=5)
    columns = train([spec])[0].columns
    assert np.flatnonzero(~np.isnan(columns["test_loss"])).tolist() == [0, 10, 20, 25]
    assert np.flatnonzero(~np.isnan(columns["stable_rank_1"])).tolist() == [0, 5, 10, 15, 20, 25]
    assert not np.isnan(columns["grad_norm_2"]).any()
    combined = np.hypot(columns["grad_norm_1"], columns["grad_norm_2"])
    np.testing.assert_allclose(columns["grad_norm"], combined, rtol=1e-6)


def test_divergence_stops_that_run_alone():
    specs = [spec_of("scalar", learning_rate=rate, steps=300, width=8) for rate in (1e-3, 9.9)]
    # Weight decay factor 1 - lr * wd = -98 makes the weights overflow.
    specs[1] = spec_of("scalar", learning_rate=9.9, weight_decay="10.0", steps=300, width=8)
    calm, wild = train(specs)
    assert calm.info.stopped == "completed" and calm.info.diverged_step is None
    assert wild.info.stopped == "diverged"
    assert wild.info.diverged_step == len(wild.columns["step"]) < 100
    for name, values in wild.columns.items():
        if name.startswith(("train_loss", "grad_norm", "weight_norm")):
            assert np.isfinite(values).all(), name
    assert (
        calm.columns["train_loss"].tobytes() == train(specs[:1])[0].columns["train_loss"].tobytes()
    )


def test_a_confident_network_loses_no_gradient():
    """Probabilities far below the smallest float are cut off before exp; nothing else is."""
    spec = spec_of("one_hot", depth=3)
    engine = CpuEngine([spec], [make_dataset(spec)])
    network = Network(spec)
    engine.parameters.flat *= 12
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(12)
    loss, _, _ = engine.train_pass()
    want, _ = network.loss("train", torch.float32)
    want.backward()
    logits = network(network.inputs(network.data.train, torch.float32)).detach()
    assert (logits.max(1).values - logits.min(1).values).max() > 200
    assert loss.item() == pytest.approx(want.item(), rel=1e-5)
    expected = autograd_gradient(network)
    found = torch.from_numpy(engine.gradients.flat[0])
    assert (found - expected).norm() <= 1e-5 * expected.norm()


@pytest.mark.parametrize("width", [5, 12, 16, 64])
@pytest.mark.parametrize("kind", KINDS)
def test_a_pass_writes_nothing_beyond_its_work_space(kind, width):
    """Vectors and blocks of products are larger than what is left of a row or a tile."""
    spec = spec_of(kind, depth=3, width=width)
    engine = CpuEngine([spec], [make_dataset(spec)], tile_rows=17)
    beside = {}
    guarded = {}
    for name, array in engine._work._asdict().items():
        buffer = np.full(64 + array.size + 64, 7.0, array.dtype)
        guarded[name] = buffer[64:-64].reshape(array.shape)
        guarded[name][:] = array
        beside[name] = buffer
    engine._work = type(engine._work)(**guarded)
    engine.train_pass()
    engine.test_pass()
    changed = [
        name
        for name, buffer in beside.items()
        if (buffer[[*range(64), *range(-64, 0)]] != 7).any()
    ]
    assert changed == []


def missing_to_one(logits, classes):
    """One minus the probability of the class, from the sum of all others."""
    shares = torch.softmax(logits.double(), 1)
    return shares.scatter(1, classes[:, None], 0.0).sum(1)


@pytest.mark.parametrize("tile_rows", [TILE_ROWS, 17])
def test_softmax_collapse_counts_samples_without_gradient(tile_rows):
    """Against autograd: where float32 rounds the probability of the class to one."""
    spec = spec_of("one_hot", depth=3)
    engine = CpuEngine([spec], [make_dataset(spec)], tile_rows=tile_rows)
    network = Network(spec)
    engine.parameters.flat *= 15
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(15)
    logits = network(network.inputs(network.data.train, torch.float32))
    logits.retain_grad()
    classes = network.targets(network.data.train, torch.float32)
    torch.nn.functional.cross_entropy(logits, classes, reduction="sum").backward()
    want = (logits.grad.gather(1, classes[:, None]) == 0).to(torch.float32).mean().item()
    collapse = engine.train_pass()[2]
    assert 0.0 < want < 1.0
    # One minus the probability is below 2^-30 or above 2^-15: rounding by 2^-24 moves no sample.
    certain = missing_to_one(logits.detach(), classes)
    assert ((certain < 2.0**-30) | (certain > 2.0**-15)).all()
    assert collapse.item() == pytest.approx(want, abs=1e-6)


def test_softmax_collapse_is_null_in_regression():
    (result,) = train([spec_of("cubic", steps=3)])
    assert np.isnan(result.columns["softmax_collapse"]).all()


def test_ties_are_no_predictions():
    spec = spec_of("one_hot")
    engine = CpuEngine([spec], [make_dataset(spec)])
    engine.parameters.flat[:] = 0
    loss, accuracy, _ = engine.train_pass()
    assert loss.item() == pytest.approx(np.log(13), rel=1e-6)
    assert accuracy.item() == 0.0


def test_ranks_of_known_matrices():
    identity = np.eye(6)
    outer = np.outer(np.arange(1.0, 7), np.ones(6))
    two = np.diag([3.0, 1.0, 1e-5, 0, 0, 0])
    broken = np.full((6, 6), np.nan)
    zero = np.zeros((6, 6))
    matrices = np.stack([identity, outer, two, broken, zero]).astype(np.float32)
    effective, stable, numerical = ranks = weight_ranks(matrices, 1e-3)
    share = np.array([3, 1]) / 4
    entropy = -(share * np.log(share)).sum()
    np.testing.assert_allclose(effective[:3], [6, 1, np.exp(entropy)], rtol=1e-3)
    np.testing.assert_allclose(stable[:3], [6, 1, 10 / 9], rtol=1e-5)
    assert numerical[:3].tolist() == [6, 1, 2]
    assert np.isnan(ranks[:, 3]).all()
    assert np.isnan(effective[4]) and numerical[4] == 0


@pytest.mark.parametrize(
    ("values", "hold", "expected"),
    [
        ([0, 1, 1, 1], 1, 2),
        ([0, 1, 0, 1, 1], 1, 4),
        ([0, 1, 1], 2, None),
        ([1, 0, 1], 0, 0),
        ([0, np.nan, 1, np.nan, 1, np.nan, 1], 4, 6),
        ([0, np.nan, 1, np.nan, 0, np.nan, 1], 2, None),
        ([], 0, None),
        # The threshold itself is held.
        ([0.5, 0.9, 0.9, 0.9], 2, 3),
    ],
)
def test_settled_step(values, hold, expected):
    assert settled_step([np.array(values, float)], 0.9, hold) == expected


def test_settled_step_needs_all_metrics():
    train_metric = np.array([1.0, 1, 0.5, 1, 1, 1])
    test_metric = np.array([1.0, np.nan, 1, np.nan, 1, np.nan])
    assert settled_step([test_metric], 0.9, 2) == 2
    both = np.where(np.isnan(test_metric), np.nan, train_metric)
    assert settled_step([both, test_metric], 0.9, 2) is None


def test_runs_of_one_batch_must_share_what_is_shared():
    with pytest.raises(ValueError, match="must share steps"):
        train([spec_of("one_hot", steps=5), spec_of("one_hot", steps=6)])
    with pytest.raises(ValueError, match="must share their shape"):
        train([spec_of("one_hot", width=8), spec_of("one_hot", width=12)])


def test_every_task_trains():
    for name, task in TASKS.items():
        overrides = {
            "task": name,
            "p": 7 if "p" in task.parameters else None,
            "samples": 40 if "samples" in task.parameters else None,
            "encoding": "one_hot" if task.symbolic else "scalar",
            "steps": 3,
        }
        result = train([spec_of("one_hot", **overrides)])[0]
        assert result.info.stopped == "completed" and len(result.columns["step"]) == 4


@pytest.mark.parametrize("seed", range(20))
def test_a_run_ends_where_the_rule_over_all_its_rows_says(seed):
    """However rows are delivered: the part that is checked again suffices."""
    generator = np.random.default_rng(seed)
    test_every, hold, part = generator.integers([1, 0, 1], [12, 60, 40])
    rule = {"metrics": ["train", "test"], "threshold": 0.5, "hold_steps": int(hold)}
    spec = spec_of("one_hot", steps=400, test_every=int(test_every), early_stop=rule)
    run = _Run(spec, make_dataset(spec), None)
    names = run.columns.names
    rows = np.ones((spec.steps + 1, len(names)), np.float32)
    # Slow enough for streaks of all lengths.
    waves = np.sin(np.arange(spec.steps + 1)[:, None] / generator.uniform(5, 40, 2))
    columns = [names.index("train_metric"), names.index("test_metric")]
    rows[:, columns] = 0.5 + waves + generator.normal(0, 0.05, waves.shape)
    tested = np.arange(spec.steps + 1) % spec.test_every == 0
    tested[-1] = True
    rows[~tested, run.columns.tested] = np.nan
    train, test = rows[:, columns].T
    settled = settled_step([np.where(tested, train, np.nan), test], 0.5, int(hold))
    early = settled is not None and settled < spec.steps
    expected = ("early_stop", settled + 1) if early else ("completed", spec.steps + 1)
    for start in range(0, len(rows), part):
        new = rows[start : start + part]
        run.append(new)
        end = run.end(len(new))
        if end is not None:
            break
    assert end == expected
