"""The engine for accelerators against autograd and the engine for CPUs.

It is the same program on any device; without an accelerator it runs on the CPU, and its
recording as a graph is played by :class:`Recording`.
"""

from contextlib import contextmanager, nullcontext
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_loop import KINDS, missing_to_one, spec_of
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from grokscope.train import loop as training
from grokscope.train.dataset import make_dataset
from grokscope.train.engines import batched
from grokscope.train.engines.base import MAX_ROWS, Columns, ranks_of, weight_ranks
from grokscope.train.engines.cpu import CpuEngine
from grokscope.train.engines.cuda import CudaEngine, gram_singular_values
from grokscope.train.loop import settled_step
from reference import Network, assert_steps_equal, autograd_gradient, start_like

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
# So small that the rows of these networks are split into several tiles.
SMALL = 60_000
on_devices = pytest.mark.parametrize("device", DEVICES)


def engine_of(specs, device="cpu", **options):
    return CudaEngine(specs, [make_dataset(spec) for spec in specs], device=device, **options)


def run(engine, first, last, *, test_every=10, rank_every=None):
    """Rows of the states first .. last, with an update after each state."""
    parts = []
    for start in range(first, last + 1, MAX_ROWS):
        steps = range(start, min(start + MAX_ROWS, last + 1))
        for row, t in enumerate(steps):
            ranked = rank_every is not None and t % rank_every == 0
            engine.step(row, tested=t % test_every == 0, ranked=ranked, update=True)
        parts.append(engine.rows(len(steps)))
    return np.concatenate(parts, axis=1)


def mixed(kind, **overrides):
    """Three runs that differ in seed, weight decay and learning rate."""
    return [
        spec_of(kind, seed=seed, weight_decay=decay, learning_rate=rate, **overrides)
        for seed, decay, rate in [(0, "0.0", 1e-3), (1, "1.0", 3e-3), (2, "0.1", 1e-2)]
    ]


@on_devices
@pytest.mark.parametrize("activation_bytes", [batched.ACTIVATION_BYTES, SMALL])
@pytest.mark.parametrize("depth", [2, 3, 4, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_equal_autograd(kind, depth, activation_bytes, device):
    specs = [spec_of(kind, depth=depth, seed=seed) for seed in (3, 4)]
    engine = engine_of(specs, device, dtype=torch.float64, activation_bytes=activation_bytes)
    networks = [Network(spec).double() for spec in specs]
    start_like(engine, networks)
    # Twice, since nothing of the first pass may remain.
    for _ in range(2):
        loss, metric, _ = engine.train_pass()
        test_loss, test_metric = engine.test_pass()
    for place, network in enumerate(networks):
        want, want_metric = network.loss("train", torch.float64)
        want.backward()
        want_test, want_test_metric = network.loss("test", torch.float64)
        assert loss[place].item() == pytest.approx(want.item(), rel=1e-10)
        assert test_loss[place].item() == pytest.approx(want_test.item(), rel=1e-10)
        assert metric[place].item() == pytest.approx(want_metric, rel=1e-10)
        assert test_metric[place].item() == pytest.approx(want_test_metric, rel=1e-10)
        expected = autograd_gradient(network)
        found = engine.gradients.flat[place].cpu()
        for start, stop in engine.shape.segments().values():
            part = expected[start:stop]
            assert (found[start:stop] - part).norm() <= 1e-10 * part.norm()


@on_devices
def test_gradients_equal_autograd_on_s5(device):
    spec = spec_of("one_hot", task="s5_composition", p=None, depth=3)
    engine = engine_of([spec], device, dtype=torch.float64)
    loss, _, _ = engine.train_pass()
    network = Network(spec).double()
    want, _ = network.loss("train", torch.float64)
    want.backward()
    assert loss.item() == pytest.approx(want.item(), rel=1e-10)
    expected = autograd_gradient(network)
    assert (engine.gradients.flat[0].cpu() - expected).norm() <= 1e-10 * expected.norm()


@on_devices
@pytest.mark.parametrize("depth", [2, 4])
@pytest.mark.parametrize("kind", ["one_hot", "embedding", "scalar"])
def test_a_hundred_steps_equal_the_cpu_engine_in_float64(kind, depth, device):
    specs = mixed(kind, depth=depth)
    datasets = [make_dataset(spec) for spec in specs]
    theirs = run(CpuEngine(specs, datasets, dtype=np.float64), 0, 100, rank_every=25)
    ours = run(engine_of(specs, device, dtype=torch.float64), 0, 100, rank_every=25)
    # Rows are kept in float32.
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@on_devices
@pytest.mark.parametrize("depth", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_each_of_a_hundred_steps_equals_that_of_the_cpu_engine_in_float32(kind, depth, device):
    specs = mixed(kind, depth=depth)[:2]
    theirs = CpuEngine(specs, [make_dataset(spec) for spec in specs])

    def steps():
        for _ in range(101):
            before = theirs.state()
            theirs.step(0, tested=True, ranked=False, update=True)
            yield before, theirs.rows(1)[:, 0], theirs.state()["parameters"]

    assert_steps_equal(engine_of(specs, device), specs[0], steps())


@on_devices
def test_a_confident_network_loses_no_gradient_and_collapses_as_autograd_does(device):
    """Where float32 rounds the probability of the class to one, and far beyond."""
    spec = spec_of("one_hot", depth=3)
    engine = engine_of([spec], device, activation_bytes=SMALL)
    network = Network(spec)
    engine.parameters.flat.mul_(15)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(15)
    logits = network(network.inputs(network.data.train, torch.float32))
    logits.retain_grad()
    classes = network.targets(network.data.train, torch.float32)
    torch.nn.functional.cross_entropy(logits, classes).backward()
    assert (logits.max(1).values - logits.min(1).values).max() > 200
    want = (logits.grad.gather(1, classes[:, None]) == 0).to(torch.float32).mean().item()
    assert 0.0 < want < 1.0
    collapse = engine.train_pass()[2]
    # One minus the probability is below 2^-30 or above 2^-15: rounding by 2^-24 moves no sample.
    certain = missing_to_one(logits.detach(), classes)
    assert ((certain < 2.0**-30) | (certain > 2.0**-15)).all()
    assert collapse.item() == pytest.approx(want, abs=1e-6)
    expected = autograd_gradient(network)
    found = engine.gradients.flat[0].cpu()
    assert (found - expected).norm() <= 1e-5 * expected.norm()


def test_ties_are_no_predictions():
    engine = engine_of([spec_of("one_hot")])
    engine.parameters.flat.zero_()
    loss, accuracy, _ = engine.train_pass()
    assert loss.item() == pytest.approx(np.log(13), rel=1e-6)
    assert accuracy.item() == 0.0


@on_devices
@pytest.mark.parametrize("size", [(97, 128), (194, 128), (64, 64), (1, 32)])
def test_ranks_from_gram_matrices_equal_those_from_singular_values(size, device):
    generator = torch.Generator().manual_seed(0)
    full = torch.randn(3, *size, generator=generator)
    # Singular values over eight orders of magnitude, also near the tolerance.
    u, _, vh = torch.linalg.svd(full[:1].double(), full_matrices=False)
    decay = torch.logspace(0, -8, min(size), dtype=torch.float64)
    spread = (u * decay) @ vh
    weights = torch.cat([full, spread.float(), torch.zeros(1, *size)])
    weights[2, 0, 0] = torch.nan
    want = weight_ranks(weights.numpy(), 1e-3)
    found = ranks_of(gram_singular_values(weights.to(device)).cpu().numpy(), 1e-3)
    np.testing.assert_allclose(found, want, rtol=1e-5)
    assert np.isnan(found[:, 2]).all() and not np.isnan(found[:, 3]).any()


class Recording(TorchDispatchMode):
    """Replaces a CUDA graph: the operations of a program, replayed on the same memory.

    As on the device, what the host knew while it recorded is fixed: places in memory, numbers
    that are no tensors. To read a tensor from the host is an error.
    """

    HOST_READS = frozenset({"_local_scalar_dense", "is_nonzero", "equal", "nonzero"})

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        assert name not in self.HOST_READS, name
        result = function(*args, **(kwargs or {}))
        self.calls.append((name, function, args, kwargs or {}, result))
        return result

    def replay(self):
        for _, function, args, kwargs, result in self.calls:
            again = function(*args, **kwargs)
            for old, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)

    def pool(self):
        return "memory"


@pytest.fixture
def recorded(monkeypatch):
    """An engine on the CPU that records its steps, and the memory pools it requested."""
    pools = []

    def make(specs, **options):
        engine = engine_of(specs, **options)
        engine._records = True

        @contextmanager
        def graph(recording, pool):
            pools.append(pool)
            held = [engine._flat, engine._updates, engine._log]
            before = [tensor.clone() for tensor in held]
            with recording:
                yield
            # A program does not run while it is recorded.
            for tensor, values in zip(held, before, strict=True):
                tensor.copy_(values)

        monkeypatch.setattr(torch.cuda, "graph", graph)
        return engine, pools

    stream = SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    monkeypatch.setattr(torch.cuda, "stream", nullcontext)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Recording)
    return make


@pytest.mark.parametrize("kind", KINDS)
def test_replayed_steps_equal_steps(kind, recorded):
    specs = mixed(kind, depth=3)
    want = run(engine_of(specs, activation_bytes=SMALL), 0, 130, test_every=3, rank_every=7)
    engine, pools = recorded(specs, activation_bytes=SMALL)
    found = run(engine, 0, 130, test_every=3, rank_every=7)
    assert found.tobytes() == want.tobytes()
    # One recording of each kind, in the same memory.
    assert pools == [None, "memory"]


@pytest.mark.parametrize("kind", ["one_hot", "embedding", "scalar"])
def test_steps_have_no_sums_in_random_order(kind, recorded):
    """No operation is among those that torch lists as non-deterministic on CUDA."""
    engine, _ = recorded(mixed(kind, depth=3))
    run(engine, 0, 10)
    calls = [call for graph in engine._graphs.values() for call in graph.calls]
    names = {name.strip("_") for name, *_ in calls}
    assert {"bmm", "baddbmm", "threshold_backward"} <= names
    random = {
        "bincount",
        "cumsum",
        "embedding_bag_dense_backward",
        "embedding_dense_backward",
        "gather_backward",
        "histc",
        "index_add",
        "index_put",
        "index_put_impl",
        "index_reduce",
        "kthvalue",
        "median",
        "put",
        "scatter_add",
        "scatter_reduce",
        "segment_reduce",
    }
    assert not names & random


def test_last_state_is_logged_without_an_update():
    engine = engine_of(mixed("one_hot"))
    before = engine.state()
    engine.step(0, tested=True, ranked=True, update=False)
    after = engine.state()
    assert all(after[name].tobytes() == before[name].tobytes() for name in before)
    assert not np.isnan(engine.rows(1)).any()


def test_what_is_not_measured_is_null_in_a_row_that_is_used_again():
    engine = engine_of(mixed("one_hot"))
    engine.step(0, tested=True, ranked=True, update=True)
    engine.step(0, tested=False, ranked=False, update=True)
    columns = Columns(spec_of("one_hot"))
    rows = engine.rows(1)
    assert np.isnan(rows[:, :, columns.tested.start :]).all()
    assert not np.isnan(rows[:, :, : columns.tested.start]).any()


@on_devices
@pytest.mark.parametrize("kind", ["one_hot", "scalar"])
def test_restored_engine_goes_on_bit_by_bit(kind, device):
    specs = mixed(kind)
    engine = engine_of(specs, device)
    run(engine, 0, 33)
    state = engine.state()
    assert int(state["updates"]) == 34
    want = run(engine, 34, 80)
    fresh = engine_of(specs, device)
    run(fresh, 0, 5)
    # As in training: used outside of inference mode, made inside.
    with torch.inference_mode():
        inside = engine_of(specs, device)
    for other in (fresh, inside):
        other.restore(state)
        assert run(other, 34, 80).tobytes() == want.tobytes()


def test_engines_agree_on_what_a_state_is():
    specs = mixed("embedding")
    ours = engine_of(specs, dtype=torch.float64)
    theirs = CpuEngine(specs, [make_dataset(spec) for spec in specs], dtype=np.float64)
    run(theirs, 0, 20)
    ours.restore(theirs.state())
    np.testing.assert_allclose(run(ours, 21, 60), run(theirs, 21, 60), rtol=1e-6)


@on_devices
@pytest.mark.parametrize(("places", "rebuilt"), [([4, 2, 0, 1], False), ([3, 1], True)])
def test_kept_runs_go_on_as_before(places, rebuilt, device):
    specs = [spec_of("one_hot", seed=seed, learning_rate=1e-3 * (seed + 1)) for seed in range(5)]
    engine, whole = (engine_of(specs, device, dtype=torch.float64) for _ in range(2))
    run(engine, 0, 20)
    run(whole, 0, 20)
    want = run(whole, 21, 60)
    kept = engine.keep(places)
    assert (kept._flat is not engine._flat) == rebuilt
    np.testing.assert_allclose(run(kept, 21, 40), want[places, :20], rtol=1e-6)
    # And again, of the remaining ones.
    again = kept.keep([1])
    assert again.state()["parameters"].shape == (1, again.n_parameters)
    np.testing.assert_allclose(run(again, 41, 60), want[[places[1]], 20:], rtol=1e-6)


@on_devices
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_training_retires_finished_and_diverged_runs(dtype, device, monkeypatch):
    rule = {"metrics": ["train"], "threshold": 0.5, "hold_steps": 20}
    different = [
        {"learning_rate": 5e-3},
        {"learning_rate": 1e-5},
        {"learning_rate": 2e-3},
        # Weight decay factor 1 - 99 makes the weights overflow.
        {"learning_rate": 9.9, "weight_decay": "10.0"},
        {"learning_rate": 1e-5},
    ]
    specs = [
        spec_of("one_hot", steps=700, early_stop=rule, seed=seed, **overrides)
        for seed, overrides in enumerate(different)
    ]
    results = []
    number = np.float32 if dtype == torch.float32 else np.float64
    for make in (
        partial(CpuEngine, dtype=number),
        partial(CudaEngine, device=device, dtype=dtype),
    ):
        monkeypatch.setattr(training, "make_engine", lambda _, *of, make=make: make(*of))
        # In float64 a diverging run continues beyond the float32 numbers of its rows.
        with np.errstate(over="ignore"):
            results.append(training.train(specs))
    stopped = ["early_stop", "completed", "early_stop", "diverged", "completed"]
    for found in results:
        assert [result.info.stopped for result in found] == stopped
        # Independently of rounding: exactly at the step that its own rows show.
        for result in found:
            last = len(result.columns["step"]) - 1
            settled = settled_step([result.columns["train_metric"]], 0.5, 20)
            assert settled == (last if result.info.stopped == "early_stop" else None)
        # About ten after one update, weights grow 98-fold at each: beyond float32 by step 20.
        assert len(found[3].columns["step"]) == found[3].info.diverged_step <= 20
    theirs, ours = results
    if dtype == torch.float64:
        # At the end of the last run, rounding is still far below the precision of the rows.
        for a, b in zip(ours, theirs, strict=True):
            for name, values in b.columns.items():
                np.testing.assert_allclose(a.columns[name], values, rtol=1e-6, err_msg=name)
        return
    for place, rows in enumerate([100, 701, 100, 20, 701]):
        # Runs that learn diverge from each other by rounding after some hundred steps and may end
        # at other steps. Those whose weights hardly move do not; they outlive the others.
        a, b = (found[place].columns["train_loss"][:rows] for found in results)
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_rows_are_cut_to_fit_the_budget():
    specs = mixed("one_hot", depth=4)
    whole = engine_of(specs)
    assert [tile.n for tile in whole._tiles["train"]] == [whole.shape.n_train]
    cut = engine_of(specs, activation_bytes=SMALL)
    tiles = [tile.n for tile in cut._tiles["train"]]
    assert sum(tiles) == cut.shape.n_train and max(tiles) - min(tiles) <= 1
    buffers = cut._buffers
    held = sum(buffer.nbytes for buffer in (*buffers.hidden, *buffers.deltas, buffers.output))
    assert SMALL / 2 < held <= SMALL


def test_tf32_is_switched_for_the_step_alone(monkeypatch):
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    seen = []
    program = CudaEngine._program

    def watched(self, *args):
        seen.append(matmul.fp32_precision)
        program(self, *args)

    monkeypatch.setattr(CudaEngine, "_program", watched)
    for options in ({}, {"tf32": True}):
        engine = engine_of([spec_of("one_hot")], **options)
        engine.step(0, tested=False, ranked=False, update=True)
        assert matmul.fp32_precision == before
    assert seen == ["ieee", "tf32"]


def test_runs_of_one_block_must_share_their_shape():
    with pytest.raises(ValueError, match="must share their shape"):
        engine_of([spec_of("one_hot", width=8), spec_of("one_hot", width=12)])
