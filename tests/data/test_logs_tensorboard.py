"""TensorBoard's event files, as its own writer writes them."""

import numpy as np
import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto

from foreign_logs import curves, one
from grokscope.core.errors import UserError
from grokscope.data.logs import tools

NAMES = {"train_loss": "train/loss", "test_loss": "val/loss"}
NAMES |= {"train_acc": "train/acc", "test_acc": "val/acc"}


def as_scalar(name, value):
    return Summary.Value(tag=name, simple_value=value)


def as_tensor(name, value):
    """As TensorFlow 2 writes them."""
    return Summary.Value(tag=name, tensor=make_tensor_proto(np.float32(value)))


def write(folder, rows, form=as_scalar, start=0, suffix=""):
    """Rows of step and values, an event a value."""
    writer = EventFileWriter(str(folder), filename_suffix=suffix)
    for count, (step, values) in enumerate(rows):
        for name, value in values.items():
            summary = Summary(value=[form(name, value)])
            time = 1e9 + start + count
            writer.add_event(Event(step=int(step), wall_time=time, summary=summary))
    writer.close()


@pytest.mark.parametrize("form", [as_scalar, as_tensor])
def test_scalars_of_both_kinds(tmp_path, form):
    frame = curves()
    rows = [(row["step"], {NAMES[n]: row[n] for n in NAMES}) for row in frame.to_dict("records")]
    write(tmp_path / "runs/seed_3", rows, form)
    trace = one(tmp_path / "runs", tmp_path, run={"path": "seed_{seed}"})
    assert trace.key.seed == 3
    assert trace.spec.format == "tensorboard"
    found = trace.frame.dropna(subset="test_metric")
    assert found["step"].tolist() == frame["step"].tolist()
    np.testing.assert_allclose(found["train_loss"], frame["train_loss"], rtol=1e-6)
    np.testing.assert_allclose(found["test_metric"], frame["test_acc"], rtol=1e-6)


def test_resumed_run_has_all_points_and_the_later_of_two(tmp_path):
    """More points than TensorBoard keeps, and steps that were made twice."""
    first = [(step, {"train/loss": 1.0}) for step in range(12_000)]
    again = [(step, {"train/loss": 2.0}) for step in range(9_000, 15_000)]
    write(tmp_path / "run", first)
    write(tmp_path / "run", again, start=20_000, suffix=".2")
    found = one(tmp_path / "run", tmp_path).frame["train_loss"]
    assert found.tolist() == [1.0] * 9_000 + [2.0] * 6_000


def test_without_the_package_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    write(tmp_path / "run", [(0, {"train/loss": 1.0})])

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(tools.importlib, "import_module", missing)
    with pytest.raises(
        UserError, match=r"needs tensorboard; to have it: pip install 'grokscope\[t"
    ):
        one(tmp_path / "run", tmp_path)


def test_events_without_scalars(tmp_path):
    write(tmp_path / "run", [])
    with pytest.raises(UserError, match="no scalar"):
        one(tmp_path / "run", tmp_path)
