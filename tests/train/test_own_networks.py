"""A user's own network: what trains, what is refused and how, and what an edit trains again."""

import pytest
import torch

from grokscope.core.errors import UserError
from grokscope.data.trace_reader import read_trace
from grokscope.data.trace_writer import write_trace
from grokscope.runs.config import check_config
from grokscope.runs.grid import expand_study
from grokscope.train.checkpoint import Checkpoint
from grokscope.train.dataset import make_dataset
from grokscope.train.loop import iter_train, train
from grokscope.train.networks.factory import make_network

GOOD = '''
import torch
from torch import nn


class Net(nn.Module):
    """Embedding, dropout and two linear maps."""

    def __init__(self, task):
        super().__init__()
        self.embed = nn.Embedding(task.n_symbols, task.width)
        self.inner = nn.Linear(task.n_inputs * task.width, task.width)
        self.drop = nn.Dropout(0.1)
        self.read = nn.Linear(task.width, task.n_outputs)

    def forward(self, x):
        return self.read(self.drop(self.inner(self.embed(x).flatten(1)).relu()))


def make(task):
    return Net(task)
'''
GRID = {
    "tasks": ["modular_addition"],
    "depths": [2],
    "train_fractions": [0.7],
    "weight_decays": [1.0],
    "widths": [8],
    "seeds": [0],
    "steps": 220,
}


def spec_of(tmp_path, text, name="make", **settings):
    """A run of the network that a file makes."""
    file = tmp_path / "net.py"
    file.write_text(text)
    study = {"kind": "phase_diagram", "grids": [GRID], "p": 7, "rank_every": 50}
    study |= {"model": "module", "module": f"{file}:{name}", "test_every": 20} | settings
    (spec,) = expand_study(check_config({"studies": {"own": study}}).studies["own"])
    return spec


def test_it_trains_and_its_trace_names_its_layers(tmp_path):
    spec = spec_of(tmp_path, GOOD)
    (result,) = train([spec])
    path = tmp_path / "run.parquet"
    write_trace(path, spec, result.info, result.columns)
    trace = read_trace(path, spec)
    assert trace.layers == ["embed", "inner", "read"]
    assert trace.parts.matrices == ("embed", "inner", "read")
    assert trace.frame["grad_norm_inner"].notna().all()
    assert trace.frame["effective_rank_read"].notna().sum() == 5
    assert trace.frame["train_loss"].iloc[-1] < trace.frame["train_loss"].iloc[0]


def test_resumed_it_gives_the_same_bytes_though_it_draws_numbers(tmp_path):
    # Dropout draws at every step, batch norm keeps means.
    normed = GOOD.replace(
        "self.drop =", "self.norm = nn.BatchNorm1d(task.width)\n        self.drop ="
    )
    spec = spec_of(
        tmp_path,
        normed.replace("self.drop(self.inner(", "self.drop(self.norm(self.inner(").replace(
            ".relu()", ").relu()"
        ),
    )
    (whole,) = train([spec])
    checkpoint = Checkpoint(tmp_path / "run.npz", "key")
    calls = []

    def stop(n):
        calls.append(n)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(iter_train([spec], checkpoints=[checkpoint], checkpoint_seconds=0, progress=stop))
    ((_, resumed),) = iter_train([spec], checkpoints=[checkpoint])
    assert resumed.info.resumed_at == (100,)
    for column, values in whole.columns.items():
        assert values.tobytes() == resumed.columns[column].tobytes(), column


def test_an_edit_is_another_specification_a_comment_is_not(tmp_path):
    spec = spec_of(tmp_path, GOOD)
    assert spec_of(tmp_path, GOOD + "# said\n") == spec
    assert spec_of(tmp_path, GOOD.replace('"""Embedding', '"""An embedding')) == spec
    edited = spec_of(tmp_path, GOOD.replace("0.1", "0.2"))
    assert edited != spec
    assert edited.key == spec.key
    with pytest.raises(UserError, match="edited since"):
        make_network(spec, make_dataset(spec))


BAD_FILES = {
    "no_function": ("x = 1\n", r"net\.py has no function make; it has none"),
    "syntax": ("def make(:\n", r"net\.py is not Python"),
    "neighbour": ("import helper\ndef make(task): pass\n", r"imports helper, which lies beside"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_a_problem_of_the_configuration(tmp_path, kind):
    (tmp_path / "helper.py").write_text("")
    text, message = BAD_FILES[kind]
    with pytest.raises(UserError, match=message):
        spec_of(tmp_path, text)


def test_a_missing_file_and_a_missing_name_are_told(tmp_path):
    with pytest.raises(UserError, match=r"own\.module: .*net\.py.* is not allowed; allowed: path"):
        spec_of(tmp_path, GOOD, name="")
    with pytest.raises(UserError, match=r"gone\.py: No such file"):
        spec_of(tmp_path, GOOD, module="gone.py:make")
    with pytest.raises(UserError, match=r"module: is needed for model: module"):
        spec_of(tmp_path, GOOD, module=None)
    with pytest.raises(UserError, match=r"module: is used by model: module alone"):
        spec_of(tmp_path, GOOD, model="mlp")


BAD_NETWORKS = {
    "raises": ("return Net(task)", "raise KeyError('w')", r"raised KeyError \(line \d+\): 'w'"),
    "no_module": ("return Net(task)", "return 3", r"returned int; a torch\.nn\.Module is needed"),
    "forward": ("self.embed(x)", "self.embed(x + 99)", r"raised IndexError for inputs .*line"),
    "shape": (", task.n_outputs)", ", 3)", r"returned \(2, 3\) for inputs .*\(2, 7\) is needed"),
    "none": ("return self.read", "return None and self.read", r"returned NoneType for inputs"),
    "empty": ("return Net(task)", "return nn.Flatten()", r"without parameters; nothing to train"),
    "infinite": ("return self.read(", "return 1e39 * self.read(", r"infinite values or NaN"),
    "unused": (
        "self.drop =",
        "self.left = nn.Linear(2, 2); self.drop =",
        r"left\.weight, left\.bias",
    ),
    "frozen": (
        "return Net(task)",
        "return Net(task).requires_grad_(False)",
        r"no parameter of it",
    ),
}


@pytest.mark.parametrize("kind", BAD_NETWORKS)
def test_a_network_that_cannot_be_trained_is_one_clear_error(tmp_path, kind):
    old, new, message = BAD_NETWORKS[kind]
    spec = spec_of(tmp_path, GOOD.replace(old, new))
    with pytest.raises(UserError, match=r"net\.py:make.*" + message):
        train([spec])


def test_the_random_state_is_left_alone(tmp_path):
    spec = spec_of(tmp_path, GOOD)
    torch.manual_seed(1)
    wanted = torch.rand(1)
    torch.manual_seed(1)
    make_network(spec, make_dataset(spec))
    assert torch.rand(1) == wanted
