"""Training by automatic differentiation, against the hand-derived engine, torch and itself."""

import copy
from itertools import islice

import numpy as np
import pytest
import torch
from networks import spec_of
from torch.nn import functional

from grokscope.core.errors import UserError
from grokscope.train.batches import Batches
from grokscope.train.checkpoint import Checkpoint
from grokscope.train.dataset import make_dataset
from grokscope.train.engines.generic import TILE_ROWS, GenericEngine
from grokscope.train.engines.training import Training
from grokscope.train.loop import iter_train, train
from grokscope.train.losses import score
from grokscope.train.networks.factory import make_network
from grokscope.train.optimizers import rate_factor
from reference import reference_steps

MLP = {
    "one_hot": {"encoding": "one_hot"},
    "embedding": {"encoding": "embedding", "embedding_dim": 6},
    "regression": {"task": "sine_regression", "p": None, "samples": 60, "encoding": "scalar"},
}
# What must survive a kill, each with all that the next update depends on.
OPTIMISERS = {
    "adamw": {},
    "adam": {"optimizer": "adam", "schedule": "linear"},
    "sgd": {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "betas": None},
    "muon": {
        "optimizer": "muon",
        "momentum": 0.95,
        "nesterov": True,
        "muon_learning_rate": 0.02,
        "schedule": "cosine",
        "warmup_steps": 20,
    },
    "batches": {"batch_size": 13, "warmup_steps": 5},
    "filtered": {"gradient_filter": "ema", "filter_decay": 0.98, "filter_strength": 2.0},
}


@pytest.mark.parametrize("kind", MLP)
def test_a_perceptron_by_adamw_is_the_published_loop(kind):
    # Which the hand-derived engine is compared with too (test_loop.py): to 1e-10, 100 updates.
    spec = spec_of(model="mlp", depth=3, steps=100, test_every=1, dtype="float64", **MLP[kind])
    (result,) = train([spec])
    rows = [row for row, _ in islice(reference_steps(spec, torch.float64), 101)]
    for name in rows[0]:
        wanted = np.array([row[name] for row in rows], np.float32)
        np.testing.assert_allclose(result.columns[name], wanted, rtol=2e-7, err_msg=name)
    engine = GenericEngine([spec], [make_dataset(spec)])
    steps = reference_steps(spec, torch.float64)
    for _, (state, _, _) in islice(steps, 101):
        found = {
            name: value.detach().numpy()
            for name, value in engine.trainings[0]._network.module.named_parameters()
        }
        flat = [found[f"embeddings.{i}.weight"] for i in range(2) if kind == "embedding"]
        for layer in range(spec.depth):
            flat += [found[f"linear.{layer}.weight"].T, found[f"linear.{layer}.bias"]]
        mine = np.concatenate([part.ravel() for part in flat])
        np.testing.assert_allclose(mine, state["parameters"][0], rtol=1e-10, atol=1e-12)
        engine.step(0, tested=False, ranked=False, update=True)


def plain_updates(spec, n):
    """Parameters after each of `n` updates of a loop with torch's own optimisers."""
    data = make_dataset(spec)
    network = make_network(spec, data)
    module = network.module.double()
    inputs = torch.from_numpy(data.samples.operands[data.train])
    classes = torch.from_numpy(data.samples.classes[data.train])
    rate, decay = spec.learning_rate, float(spec.weight_decay)
    parameters = dict(module.named_parameters())
    hidden = [parameters.pop(name) for name in network.hidden]
    others = list(parameters.values())
    everything = [*others, *hidden]
    if spec.optimizer == "sgd":
        made = [torch.optim.SGD(everything, rate, 0.9, weight_decay=decay, nesterov=True)]
    elif spec.optimizer == "adam":
        made = [torch.optim.Adam(everything, rate, spec.betas, weight_decay=decay)]
    elif spec.optimizer == "muon":
        made = [
            torch.optim.AdamW(others, rate, spec.betas, weight_decay=decay),
            torch.optim.Muon(hidden, 0.02, decay, momentum=0.95, nesterov=True),
        ]
    else:
        made = [torch.optim.AdamW(everything, rate, spec.betas, weight_decay=decay)]
    rates = [optimiser.param_groups[0]["lr"] for optimiser in made]
    averages = None
    for number in range(1, n + 1):
        module.zero_grad()
        functional.cross_entropy(module(inputs), classes).backward()
        if spec.gradient_filter == "ema":
            # As published: github.com/ironjr/grokfast, gradfilter_ema.
            gradients = [p.grad for p in everything]
            if averages is None:
                averages = copy.deepcopy(gradients)
            averages = [a * 0.98 + g * 0.02 for a, g in zip(averages, gradients, strict=True)]
            for p, average in zip(everything, averages, strict=True):
                p.grad = p.grad + average * 2.0
        for optimiser, full in zip(made, rates, strict=True):
            optimiser.param_groups[0]["lr"] = full * rate_factor(spec, number)
            optimiser.step()
        yield torch.cat([p.detach().reshape(-1) for p in module.parameters()])


@pytest.mark.parametrize("name", [name for name in OPTIMISERS if name != "batches"])
def test_updates_are_those_of_a_plain_loop(name):
    spec = spec_of(dtype="float64", steps=30, **OPTIMISERS[name])
    engine = GenericEngine([spec], [make_dataset(spec)])
    for wanted in plain_updates(spec, 30):
        engine.step(0, tested=False, ranked=False, update=True)
        parameters = engine.trainings[0]._network.module.parameters()
        found = torch.cat([p.detach().reshape(-1) for p in parameters])
        # Muon orthogonalises in 16 bits.
        tolerance = 1e-6 if name == "muon" else 1e-10
        torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


def test_learning_rates_rise_and_fall_as_stated():
    shares = {
        kind: [
            rate_factor(spec_of(steps=110, warmup_steps=10, schedule=kind), t)
            for t in (1, 5, 10, 11, 61, 110)
        ]
        for kind in ("constant", "linear", "cosine")
    }
    assert shares["constant"] == [0.1, 0.5, 1, 1, 1, 1]
    np.testing.assert_allclose(shares["linear"], [0.1, 0.5, 1, 1, 0.5, 0.01])
    np.testing.assert_allclose(shares["cosine"], [0.1, 0.5, 1, 1, 0.5, 0.000247], atol=1e-6)


LOSSES = [
    ("standard", "float32"),
    ("cross_entropy_float64", "float32"),
    ("squared_error", "float64"),
]


@pytest.mark.parametrize(("loss", "dtype"), LOSSES)
def test_losses_are_torchs(loss, dtype):
    spec = spec_of(loss=loss, dtype=dtype, steps=1, test_every=1)
    (result,) = train([spec])
    data = make_dataset(spec)
    module = make_network(spec, data).module.to(getattr(torch, dtype))
    for part in ("train", "test"):
        rows = getattr(data, part)
        with torch.no_grad():
            output = module(torch.from_numpy(data.samples.operands[rows])).double()
        classes = torch.from_numpy(data.samples.classes[rows])
        if loss == "squared_error":
            hot = functional.one_hot(classes, 7).double()
            wanted = functional.mse_loss(output, hot)
        else:
            wanted = functional.cross_entropy(output, classes)
        accuracy = float((output.argmax(1) == classes).double().mean())
        assert np.isclose(result.columns[f"{part}_loss"][0], float(wanted), rtol=1e-6)
        assert np.isclose(result.columns[f"{part}_metric"][0], accuracy)


def test_of_large_logits_only_a_sum_in_float64_leaves_a_gradient():
    outputs = torch.zeros(1, 7)
    outputs[0, 2] = 25.0
    target = torch.tensor([2])
    assert score(spec_of(loss="standard"), outputs, target).collapse == 1
    wide = score(spec_of(loss="cross_entropy_float64"), outputs, target)
    assert wide.collapse == 0
    assert np.isclose(float(wide.loss), 6 * np.exp(-25), rtol=1e-3)


def test_batches_are_each_sample_once_an_epoch_in_an_order_of_its_own():
    batches = Batches(10, 4, seed=3)
    epochs = [[batches.of_update(3 * e + i) for i in (1, 2, 3)] for e in range(3)]
    assert [len(batch) for batch in epochs[0]] == [4, 4, 2]
    orders = [np.concatenate(epoch) for epoch in epochs]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    # Of the update alone, whatever was asked for before.
    assert np.array_equal(Batches(10, 4, seed=3).of_update(8), epochs[2][1])
    assert not np.array_equal(Batches(10, 4, seed=4).of_update(1), epochs[0][0])


def test_with_batches_metrics_of_evaluations_are_of_the_whole_training_set():
    spec = spec_of(batch_size=5, steps=20)
    (result,) = train([spec])
    n_train = result.info.n_train
    metrics = result.columns["train_metric"]
    assert np.allclose(metrics[::5] * n_train % 1, 0, atol=1e-4)
    training = Training([spec], [make_dataset(spec)], "cpu", TILE_ROWS)
    assert np.isclose(training.evaluate("train")[1][0], metrics[0])


def test_without_torch_the_error_says_what_needs_none(monkeypatch):
    monkeypatch.setattr("grokscope.train.engines.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"task=modular_addition.*torch, which is not installed"):
        train([spec_of()])
    train([spec_of(model="mlp", depth=2, steps=2)])


class Killed(Exception):
    """Raised in place of a signal."""


def killed(specs, checkpoints, after):
    """Train until `after` steps are made."""
    made = 0

    def progress(n):
        nonlocal made
        made += n
        if made >= after:
            raise Killed

    with pytest.raises(Killed):
        for _ in iter_train(
            specs, checkpoints=checkpoints, checkpoint_seconds=0, progress=progress
        ):
            pass


@pytest.mark.parametrize("name", OPTIMISERS)
def test_resumed_it_gives_the_same_bytes(tmp_path, name):
    spec = spec_of(steps=320, **OPTIMISERS[name])
    (whole,) = train([spec])
    checkpoint = Checkpoint(tmp_path / "run.npz", "key")
    killed([spec], [checkpoint], 200)
    killed([spec], [checkpoint], 200)
    ((_, resumed),) = iter_train([spec], checkpoints=[checkpoint])
    assert resumed.info.resumed_at == (100, 200)
    for column, values in whole.columns.items():
        assert values.tobytes() == resumed.columns[column].tobytes(), column


def test_a_run_has_the_same_bytes_whatever_its_block():
    specs = [spec_of(seed=seed, init_seed=seed, data_seed=seed) for seed in range(3)]
    for spec, together in zip(specs, train(specs), strict=True):
        (alone,) = train([spec])
        for column, values in alone.columns.items():
            assert values.tobytes() == together.columns[column].tobytes(), column


def test_a_run_that_diverges_ends_before_the_step():
    spec = spec_of(optimizer="sgd", momentum=0.0, nesterov=False, betas=None, learning_rate=1e4)
    (result,) = train([spec])
    assert result.info.stopped == "diverged"
    assert len(result.columns["step"]) == result.info.diverged_step
    assert np.isfinite(result.columns["train_loss"]).all()
