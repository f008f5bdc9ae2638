"""Keys of the store: the engine that trains a run decides which code counts."""

import subprocess
import sys
from dataclasses import replace

import pytest
from networks import spec_of

from grokscope.data.trace_writer import write_trace
from grokscope.train.engines import engine_of
from grokscope.train.loop import train
from grokscope.train.store import TraceStore, dependencies

# Trains a run and prints the library's modules that this has loaded.
LOADED = """
import sys
from grokscope.runs.spec import RunSpec
from grokscope.train.loop import train

train([RunSpec.from_json(sys.argv[1])])
print(*(name for name in sys.modules if name.partition(".")[0] == "grokscope"))
"""


@pytest.mark.parametrize("model", ["mlp", "transformer"])
def test_all_code_that_trains_is_in_the_key_and_no_other_engines(model):
    spec = spec_of(model=model, depth=2, steps=2)
    run = subprocess.run(
        [sys.executable, "-c", LOADED, spec.to_json()], capture_output=True, text=True, check=True
    )
    code = set(dependencies(engine_of(spec, "cpu"))["code"])
    # What is hashed by its file, and what decides no number.
    apart = {"grokscope.train.loop", "grokscope.core.errors", "grokscope.core.files"}
    loaded = set(run.stdout.split()) - apart
    assert loaded <= code
    for_networks = {"grokscope.train.networks.factory", "grokscope.train.networks.own"}
    for_networks |= {"grokscope.train.optimizers", "grokscope.train.losses"}
    by_hand = {"grokscope.train.engines.cpu", "grokscope.train.engines.kernels"}
    wanted, others = (by_hand, for_networks) if model == "mlp" else (for_networks, by_hand)
    assert wanted <= code
    assert not (others | {"grokscope.train.engines.cuda"}) & code


def test_traces_of_other_networks_are_kept_and_found(tmp_path):
    store = TraceStore(tmp_path / "store")
    spec = spec_of(steps=20)
    (result,) = train([spec])
    path = tmp_path / "run.parquet"
    write_trace(path, spec, result.info, result.columns)
    entry = store.keep(spec, "cpu", path)
    target = tmp_path / "target.parquet"
    assert store.fetch(spec, "cpu", target) == (entry, [])
    assert target.read_bytes() == path.read_bytes()
    for other in (
        {"heads": 4},
        {"layer_norm": "pre"},
        {"init_scale": 2.0},
        {"optimizer": "adam"},
        {"schedule": "linear"},
        {"batch_size": 5},
        {"loss": "squared_error"},
        {"dtype": "float64"},
    ):
        assert store.fetch(replace(spec, **other), "cpu", target) == (None, []), other
