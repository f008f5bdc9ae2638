"""Runs of a block as one program (what an accelerator trains), against each alone."""

from functools import partial
from itertools import islice

import numpy as np
import pytest
import torch
from networks import spec_of
from test_generic_engine import MLP, OPTIMISERS
from test_own_networks import GOOD
from test_own_networks import spec_of as own_spec_of

from grokscope.train.checkpoint import Checkpoint
from grokscope.train.dataset import make_dataset
from grokscope.train.engines import generic
from grokscope.train.engines.base import select_runs
from grokscope.train.engines.generic import GenericEngine
from grokscope.train.loop import iter_train, train

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
NETWORKS = {f"transformer by {name}": settings for name, settings in OPTIMISERS.items()}
NETWORKS |= {
    f"perceptron, {kind}": {"model": "mlp", "depth": 3, "optimizer": "adam", **settings}
    for kind, settings in MLP.items()
}
NETWORKS |= {
    "two blocks": {
        "depth": 2,
        "layer_norm": "pre",
        "activation": "gelu",
        "biases": "all",
        "tied": True,
        "equals_token": False,
        "causal": False,
        "pooling": "mean",
        "loss": "squared_error",
    },
    "regression in batches": {
        "model": "mlp",
        "depth": 2,
        "batch_size": 7,
        "task": "cubic_regression",
        "p": None,
        "samples": 60,
        "encoding": "scalar",
    },
}
# A block's runs: seeds and weight decays, and what the interface allows beside them.
OWN = [("0.0", 1e-2), ("1.0", 1e-2), ("1.0", 1e-2), ("0.1", 3e-3)]


def block_of(**settings):
    """Four runs in float64, and their data."""
    specs = [
        spec_of(
            dtype="float64",
            seed=seed,
            data_seed=seed,
            init_seed=seed,
            weight_decay=decay,
            learning_rate=rate,
            **settings,
        )
        for seed, (decay, rate) in enumerate(OWN)
    ]
    return specs, [make_dataset(spec) for spec in specs]


def steps(engine, first, n):
    """Logged rows of `n` steps, (R, n, n_columns)."""
    for row, t in enumerate(range(first, first + n)):
        engine.step(row, tested=t % 5 == 0, ranked=t % 10 == 0, update=True)
    return engine.rows(n)


def same(found, wanted, tolerance=1e-9):
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", NETWORKS)
def test_each_run_is_trained_as_it_is_alone(name, device):
    specs, data = block_of(**NETWORKS[name])
    stacked = GenericEngine(specs, data, device=device, stacked=True)
    assert len(stacked.trainings) == 1
    alone = GenericEngine(specs, data)
    assert len(alone.trainings) == 4
    # Logged in float32; Muon orthogonalises in 16 bits.
    tolerance = 1e-2 if "muon" in name else 1e-6
    same(steps(stacked, 0, 30), steps(alone, 0, 30), tolerance)
    if "muon" not in name:
        same(stacked.state()["parameters"], alone.state()["parameters"])


@pytest.mark.parametrize("name", ["adam", "filtered", "batches", "sgd", "muon"])
def test_runs_that_stay_go_on_as_if_the_others_had(name):
    specs, data = block_of(**OPTIMISERS[name])
    whole = GenericEngine(specs, data, stacked=True)
    fewer = GenericEngine(specs, data, stacked=True)
    steps(whole, 0, 8)
    steps(fewer, 0, 8)
    fewer = fewer.keep([3, 1])
    tolerance = 1e-2 if name == "muon" else 1e-6
    same(steps(fewer, 8, 8), steps(whole, 8, 8)[[3, 1]], tolerance)
    # One is left, which no longer needs a stack.
    same(steps(fewer.keep([1]), 16, 4), steps(whole, 16, 4)[[1]], tolerance)


def test_a_state_is_the_same_for_a_stack_and_for_single_runs():
    specs, data = block_of(**OPTIMISERS["filtered"])
    stacked = GenericEngine(specs, data, stacked=True)
    steps(stacked, 0, 8)
    state = stacked.state()
    again = GenericEngine(specs, data, stacked=True)
    again.restore(state)
    alone = GenericEngine(specs[2:], data[2:])
    alone.restore(select_runs(state, [2, 3]))
    wanted = steps(stacked, 8, 8)
    assert np.array_equal(steps(again, 8, 8), wanted, equal_nan=True)
    same(steps(alone, 8, 8), wanted[2:], 1e-6)


def test_the_loop_ends_and_resumes_runs_of_a_stack(tmp_path, monkeypatch):
    monkeypatch.setattr(generic, "GenericEngine", partial(GenericEngine, stacked=True))
    specs, _ = block_of(
        steps=420,
        early_stop={"metrics": ["train"], "threshold": 0.99, "hold_steps": 20},
    )
    alone = [train([spec])[0] for spec in specs]
    lengths = [len(result.columns["step"]) for result in alone]
    assert len(set(lengths)) == 4
    checkpoints = [Checkpoint(tmp_path / f"{i}.npz", "key") for i in range(4)]
    # Stopped when the first has ended; the others continue from their checkpoints.
    before = dict(islice(iter_train(specs, checkpoints=checkpoints, checkpoint_seconds=0), 1))
    left = [place for place in range(4) if place not in before]
    after = {
        left[place]: result
        for place, result in iter_train(
            [specs[place] for place in left], checkpoints=[checkpoints[place] for place in left]
        )
    }
    assert any(result.info.resumed_at for result in after.values())
    for place, wanted in enumerate(alone):
        found = (before | after)[place]
        assert len(found.columns["step"]) == lengths[place]
        for name, values in wanted.columns.items():
            np.testing.assert_allclose(found.columns[name], values, 1e-5, 1e-6, err_msg=name)


def own_block(tmp_path, text):
    """Two runs of the user's network that a file makes, and their data."""
    specs = [own_spec_of(tmp_path, text, learning_rate=rate) for rate in (1e-3, 2e-3)]
    return specs, [make_dataset(spec) for spec in specs]


DROP = "self.drop = nn.Dropout(0.1)"
REFUSED = {
    "dropout": GOOD,
    "buffers": GOOD.replace(DROP, "self.drop = nn.BatchNorm1d(task.width)"),
    "a branch on values": GOOD.replace(DROP, "self.drop = nn.Identity()").replace(
        "def forward(self, x):",
        "def forward(self, x):\n        if self.embed.weight.sum() > 1e9:\n            return x",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_users_network_that_cannot_be_mapped_is_trained_run_by_run(tmp_path, kind):
    specs, data = own_block(tmp_path, REFUSED[kind])
    engine = GenericEngine(specs, data, stacked=True)
    assert len(engine.trainings) == 2
    assert np.array_equal(
        steps(engine, 0, 5), steps(GenericEngine(specs, data), 0, 5), equal_nan=True
    )


def test_a_users_network_is_mapped_where_it_can_be(tmp_path):
    specs, data = own_block(tmp_path, GOOD.replace(DROP, "self.drop = nn.Identity()"))
    engine = GenericEngine(specs, data, stacked=True)
    assert len(engine.trainings) == 1
    same(steps(engine, 0, 30), steps(GenericEngine(specs, data), 0, 30), 1e-3)


def test_only_runs_that_are_alike_are_one_program():
    specs = [spec_of(), spec_of(optimizer="adam")]
    engine = GenericEngine(specs, [make_dataset(spec) for spec in specs], stacked=True)
    assert len(engine.trainings) == 2


def test_tf32_is_switched_for_the_step_alone(monkeypatch):
    matmul = torch.backends.cuda.matmul
    before, seen = matmul.fp32_precision, []
    step = generic.Training.step

    def watched(self, **options):
        seen.append(matmul.fp32_precision)
        return step(self, **options)

    monkeypatch.setattr(generic.Training, "step", watched)
    spec = spec_of()
    for device in ("cpu", "cpu-tf32"):
        engine = GenericEngine([spec], [make_dataset(spec)], device=device)
        engine.step(0, tested=False, ranked=False, update=True)
        assert matmul.fp32_precision == before
    assert seen == ["ieee", "tf32"]
