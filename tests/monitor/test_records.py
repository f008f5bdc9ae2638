"""Records of the monitor: resumed, killed, out of space, and what is refused."""

import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
from functools import partial

import pandas as pd
import pytest
import torch
from torch import nn
from watching import batches, loss_of, model_of, rows_of, train

from grokscope import GradientMonitor, default_analysis
from grokscope.core.errors import UserError
from grokscope.data.tables import write_table
from grokscope.measure.alarms import alarm_steps
from grokscope.measure.detectors.live import LiveDetectors, Rows
from grokscope.measure.detectors.registry import DETECTORS
from grokscope.monitor.records import partial_path, read_partial, read_rows, recover
from project import ROOT

ANALYSIS = default_analysis(
    alarms={"sigma_window": 20, "smoothing_window": 3, "threshold": 1.5, "refractory": 5},
    detectors={"window": 20},
)
ADAMW = partial(torch.optim.AdamW, lr=1e-2)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.parquet"


def nonsense_after(n):
    yield from batches(n)
    raise ValueError(f"{n} batches, then nonsense")


def watched(model, optimizer, monitor, data):
    with monitor:
        loop(model, optimizer, monitor, data)


def loop(model, optimizer, monitor, data):
    for inputs, targets in data:
        loss = loss_of(model(inputs), targets)
        loss.backward()
        monitor.log(train_loss=loss)
        optimizer.step()
        optimizer.zero_grad()


# ---------------------------------------------------------------------------- alarms


LEVELS = {"gai": None, "cusum": 3.0, "grad_norm_peak": 0.3, "weight_norm_turn": 1e-3}


def offline_alarms(rows, groups, levels, analysis):
    """Alarms of the finished file, by its columns and the functions of the offline analysis."""
    found = LiveDetectors(levels, analysis).feed(Rows(rows, groups))
    return [(alarm.step, alarm.detector, alarm.layer) for alarm in found]


def test_alarms_while_training_are_those_of_the_finished_file(path, caplog):
    model = model_of()
    optimizer = ADAMW(model.parameters())
    seen = []
    options = {"detectors": LEVELS, "analysis": ANALYSIS, "layers": None, "flush_seconds": 0.01}
    with caplog.at_level(logging.WARNING, "grokscope.monitor"):
        monitor = train(model, optimizer, path, 300, on_alarm=seen.append, **options)
    rows, metadata = rows_of(path)
    found = [(alarm.step, alarm.detector, alarm.layer) for alarm in seen]
    expected = offline_alarms(rows, metadata["groups"], LEVELS, ANALYSIS)
    assert sorted(found) == sorted(expected) and {name for _, name, _ in found} == set(LEVELS)
    assert {layer for _, name, layer in found if name == "gai"} == {"combined", "0", "2"}
    assert monitor.alarms == seen and len(caplog.records) == len(seen)
    assert caplog.messages[0].endswith("; uncalibrated")
    # And by step, from the function of the table `alarms`.
    scores = DETECTORS["gai"].signal(Rows(rows, metadata["groups"]), ANALYSIS)["combined"]
    steps = alarm_steps(scores, 1.5, 5)
    combined = [a.step for a in seen if (a.detector, a.layer) == ("gai", "combined")]
    assert combined == steps.tolist()
    assert [row["step"] for row in metadata["alarms"]] == [alarm.step for alarm in seen]


def test_alarms_come_while_the_training_runs(path):
    model = model_of()
    optimizer = ADAMW(model.parameters())
    steps = []
    with GradientMonitor(
        model,
        optimizer,
        path,
        detectors={"train_loss": -1.0},
        flush_seconds=0.0,
        on_alarm=lambda alarm: steps.append((alarm.step, monitor.step)),
    ) as monitor:
        loop(model, optimizer, monitor, batches(60))
        assert steps, "no alarm before the end"
    # At step 0 already: its block is step 0 alone.
    assert steps[0][0] == 0 and 1 <= steps[0][1] < 60


def calibration(path, **changes):
    row = {"study": "gai", "detector": "gai", "layer": "combined"}
    row |= {"threshold_source": "published", "threshold": 1.5, "uses_test_data": False}
    row |= {"lead_min": 10, "lead_max": 400, "n_runs": 12, "seeds": 6, "n_events": 8}
    row |= {"n_judged": 40, "n_hits": 6, "precision": 0.15, "precision_low": 0.05}
    row |= {"precision_high": 0.3, "false_alarms_per_10000": 2.5, "chance_precision": 0.12}
    row |= {"null_model": "swapped", "p": 0.3}
    row["settings"] = ANALYSIS.to_json(("alarms", "detectors", "onset"))
    other = {"detector": "cusum", "threshold_source": "development", "threshold": 3.0}
    rows = [row | changes, row | other | {"n_judged": 0, "n_hits": 0, "precision": None} | changes]
    write_table(pd.DataFrame(rows), path, "calibration")
    return path


def test_calibrated_alarms_say_what_they_were_worth(path, tmp_path):
    table = calibration(tmp_path / "calibration.parquet")
    model = model_of()
    options = {"calibration": table, "layers": None}
    monitor = train(model, ADAMW(model.parameters()), path, 300, **options)
    combined = [a for a in monitor.alarms if (a.detector, a.layer) == ("gai", "combined")]
    assert {alarm.detector for alarm in monitor.alarms} == {"gai", "cusum"}
    # Its settings and levels are those of the calibration.
    assert {alarm.threshold for alarm in combined} == {1.5}
    assert str(combined[0].chance) == (
        "right 6 of 40 times (15.0%) in 12 runs of gai, 10 to 400 steps ahead; by chance 12.0% "
        "(swapped), p = 0.3; 2.5 false alarms per 10,000 steps"
    )
    cusum = next(alarm for alarm in monitor.alarms if alarm.detector == "cusum")
    assert str(cusum.chance).startswith("no such alarm could be judged in 12 runs of gai")
    # The layers of another network are not its layers.
    assert all(alarm.chance is None for alarm in monitor.alarms if alarm.layer != "combined")


def test_a_level_that_was_not_evaluated_is_uncalibrated(path, tmp_path):
    table = calibration(tmp_path / "calibration.parquet")
    model = model_of()
    levels = {"gai": 1.2, "cusum": 3.0}
    options = {"detectors": levels, "calibration": table}
    monitor = train(model, ADAMW(model.parameters()), path, 200, **options)
    for alarm in monitor.alarms:
        assert (alarm.chance is None) == (alarm.detector == "gai")


def test_calibrations_that_do_not_fit_are_refused(tmp_path, path):
    model = model_of()
    make = partial(GradientMonitor, model, ADAMW(model.parameters()), path)
    table = calibration(tmp_path / "calibration.parquet")
    with pytest.raises(UserError, match="raised with other settings than those of"):
        make(calibration=table, analysis=default_analysis())
    with pytest.raises(UserError, match=r"no calibration of 'pd'; there are \['gai'\]"):
        make(calibration=table, study="pd")
    with pytest.raises(UserError, match=r"missing\.parquet: not a readable table"):
        make(calibration=tmp_path / "missing.parquet")
    with pytest.raises(UserError, match="test_accuracy needs test data"):
        make(detectors=["test_accuracy"])
    with pytest.raises(UserError, match="'gai' is one name; give a list"):
        make(detectors="gai")


# ----------------------------------------------------------------------- checkpoints


def test_a_resumed_run_is_as_if_never_stopped(tmp_path):
    """Checkpoint, further steps that are lost, a new process: one file, all columns the same."""
    data = batches(120)
    options = {"detectors": LEVELS, "analysis": ANALYSIS}
    whole = tmp_path / "whole.parquet"
    model = model_of()
    optimizer = ADAMW(model.parameters())
    with GradientMonitor(model, optimizer, whole, **options) as monitor:
        loop(model, optimizer, monitor, data)
    expected, told = rows_of(whole)

    path, kept = tmp_path / "run.parquet", tmp_path / "checkpoint.pt"
    model = model_of()
    optimizer = ADAMW(model.parameters())
    with GradientMonitor(model, optimizer, path, **options) as monitor:
        loop(model, optimizer, monitor, data[:70])
        monitor.log(test_accuracy=0.5)
        states = {"model": model, "optimizer": optimizer, "monitor": monitor}
        torch.save({name: part.state_dict() for name, part in states.items()}, kept)
        loop(model, optimizer, monitor, data[70:90])
        # As when the process dies: the rows so far are there, the file is not.
        monitor.close(complete=False)
    assert not path.exists() and len(read_partial(partial_path(path))) >= 70

    model = model_of(seed=5)
    optimizer = ADAMW(model.parameters())
    with GradientMonitor(model, optimizer, path, **options) as monitor:
        saved = torch.load(kept, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        monitor.load_state_dict(saved["monitor"])
        assert monitor.step == 70
        loop(model, optimizer, monitor, data[70:])
    found, metadata = rows_of(path)
    assert found["test_metric"].dropna().to_dict() == {70: 0.5}
    pd.testing.assert_frame_equal(
        found.drop(columns="test_metric"), expected.drop(columns="test_metric")
    )
    assert metadata["resumed_at"] == [70] and metadata["complete"] is True
    assert metadata["alarms"] == told["alarms"] and len(told["alarms"]) > 3


def test_a_state_that_does_not_fit_is_refused(tmp_path):
    model = model_of()
    optimizer = ADAMW(model.parameters())
    with GradientMonitor(model, optimizer, tmp_path / "one.parquet") as monitor:
        loop(model, optimizer, monitor, batches(5))
        state = monitor.state_dict()
        with pytest.raises(UserError, match="call it before the first update"):
            monitor.load_state_dict(state)
    make = partial(GradientMonitor, model, optimizer)
    with pytest.raises(UserError, match=r"with the groups \['0', '2'\]; here are"):
        make(tmp_path / "two.parquet", groups=lambda name, p: "all").load_state_dict(state)
    with pytest.raises(UserError, match="state of the detector settings"):
        make(tmp_path / "two.parquet", analysis=ANALYSIS).load_state_dict(state)
    with pytest.raises(UserError, match="state of the detectors"):
        make(tmp_path / "two.parquet", detectors={"cusum": 5.0}).load_state_dict(state)
    monitor = make(tmp_path / "two.parquet")
    monitor.load_state_dict(state)
    with pytest.raises(UserError, match=r"two\.parquet: no such run, nor"):
        watched(model, optimizer, monitor, batches(1))


def test_rows_of_another_run_are_not_overwritten(path):
    model = model_of()
    train(model, ADAMW(model.parameters()), path, 3)
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"run\.parquet: has rows of an earlier run"):
        train(model, ADAMW(model.parameters()), path, 3)
    assert path.read_bytes() == before


# ------------------------------------------------------------------ ends of all kinds


def start(path, body):
    """A process that trains under the monitor and says when it has flushed."""
    code = f"""
    import sys, time, torch
    from grokscope import GradientMonitor
    from watching import batches, loss_of, model_of
    model = model_of()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    monitor = GradientMonitor(model, optimizer, {str(path)!r}, flush_seconds=0.05)
    monitor.attach()
    for step, (inputs, targets) in enumerate(batches(100) * 1000):
        loss = loss_of(model(inputs), targets)
        loss.backward()
        monitor.log(train_loss=loss)
        optimizer.step()
        optimizer.zero_grad()
        {body}
    """
    places = [ROOT / "workflow/scripts", ROOT / "tests/monitor", ROOT / "tests"]
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, places))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_process_leaves_its_rows(path):
    process = start(path, "print(step, flush=True)")
    for line in process.stdout:
        if int(line) > 200 and partial_path(path).stat().st_size > 20_000:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not path.exists()
    rows = read_partial(partial_path(path)).to_pandas()
    assert len(rows) > 100 and rows["step"].tolist() == list(range(len(rows)))
    assert (
        rows.drop(columns=["train_metric", "test_loss", "test_metric"])[1:].notna().all(axis=None)
    )
    assert recover(path) == len(rows)
    again, metadata = rows_of(path)
    pd.testing.assert_frame_equal(again, rows)
    assert metadata["complete"] is False and metadata["stopped_reason"] == "process died"
    with pytest.raises(UserError, match="is there already"):
        recover(path)


def test_a_process_that_ends_without_a_word_leaves_all_rows(path):
    _, errors = start(path, "if step == 150: sys.exit(3)").communicate()
    assert not errors
    rows = read_partial(partial_path(path)).to_pandas()
    assert len(rows) == 151 and not path.exists()


def test_an_error_in_the_loop_keeps_the_rows_for_a_resumed_run(path):
    model = model_of()
    optimizer = ADAMW(model.parameters())
    monitor = GradientMonitor(model, optimizer, path)
    with pytest.raises(ValueError, match="5 batches, then nonsense"):
        watched(model, optimizer, monitor, nonsense_after(5))
    assert len(read_partial(partial_path(path))) == 5 and not path.exists()


@pytest.mark.parametrize("cut", [1, 9, 300])
def test_a_batch_that_was_cut_off_is_not_accepted(path, cut):
    model = model_of()
    optimizer = ADAMW(model.parameters())
    with GradientMonitor(model, optimizer, path, flush_seconds=0.0) as monitor:
        loop(model, optimizer, monitor, batches(8))
        monitor.close(complete=False)
    there = partial_path(path)
    there.write_bytes(there.read_bytes()[:-cut])
    rows = read_partial(there).to_pandas()
    assert rows["step"].tolist() == list(range(len(rows))) and 5 <= len(rows) < 8
    assert rows["grad_norm"].notna().all()


def test_a_full_disk_loses_nothing(path, monkeypatch):
    """Writes fail for a while, half a batch written: one warning, all rows in the end."""
    from pathlib import Path

    real, fails = Path.open, [False]

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            self.file.write(bytes(data)[:40])
            raise OSError(28, "No space left on device")

        def __getattr__(self, name):
            return getattr(self.file, name)

    def opened(self, mode="r", *rest, **more):
        file = real(self, mode, *rest, **more)
        return Full(file) if fails[0] and mode == "r+b" else file

    monkeypatch.setattr(Path, "open", opened)
    model = model_of()
    optimizer = ADAMW(model.parameters())
    data = batches(30)
    monitor = GradientMonitor(model, optimizer, path, flush_seconds=0.0)

    def run():
        with monitor:
            loop(model, optimizer, monitor, data[:10])
            fails[0] = True
            loop(model, optimizer, monitor, data[10:20])
            monitor.state_dict()
            fails[0] = False
            loop(model, optimizer, monitor, data[20:])

    with pytest.warns(UserWarning, match=r"cannot be written \(No space left on device\)") as told:
        run()
    assert len(told) == 1
    assert rows_of(path)[0]["step"].tolist() == list(range(31))


def test_columns_that_come_late_are_null_before(path):
    model = model_of()
    optimizer = ADAMW(model.parameters())
    with GradientMonitor(model, optimizer, path, flush_seconds=0.0) as monitor:
        loop(model, optimizer, monitor, batches(4))
        monitor.state_dict()
        monitor.log(sharpness=2.0)
        loop(model, optimizer, monitor, batches(2))
    rows, _ = rows_of(path)
    assert rows["sharpness"].dropna().to_dict() == {4: 2.0} and len(rows) == 7
    assert rows["train_loss"][:6].notna().all()


def test_the_configuration_of_the_run_is_kept(path):
    model = model_of()
    train(model, ADAMW(model.parameters()), path, 2, config={"seed": 3, "weight_decay": 0.1})
    metadata = json.loads(read_rows(path)[0].schema.metadata[b"grokscope.monitor"])
    assert metadata["config"] == {"seed": 3, "weight_decay": 0.1}
    assert set(metadata["library"]) == {"grokscope", "torch", "numpy", "python"}
    assert (metadata["version"], metadata["stopped_reason"]) == (1, "completed")


# --------------------------------------------------------------------------- refusals


def refused(match, model=None, optimizer=None, path="unused.parquet", **options):
    model = model or model_of()
    with pytest.raises(UserError, match=match):
        GradientMonitor(model, optimizer or ADAMW(model.parameters()), path, **options)


def test_wrong_arguments_are_refused():
    model, other = model_of(), model_of()
    refused(
        "2 of its parameters are not among those",
        nn.Sequential(model[0]),
        ADAMW(model.parameters()),
    )
    optimizers = [ADAMW(model.parameters()), ADAMW(model[0].parameters())]
    refused("two of the optimisers hold the same parameter", model, optimizers)
    refused("groups: 0 is not a number of parts", groups=0)
    refused("not a regular expression", groups="(")
    with pytest.raises(UserError, match="groups: the function gave 3 for 0.weight"):
        GradientMonitor(model, ADAMW(model.parameters()), "unused", groups=lambda name, p: 3)
    other.requires_grad_(False)
    refused("number 0 has no parameter that requires gradients", other)


def test_what_was_not_tested_is_refused_by_name():
    class DeepSpeedEngine(nn.Linear):
        pass

    refused("does not support DeepSpeedEngine: keeps gradients", DeepSpeedEngine(2, 2))
    refused("does not support DataParallel", nn.DataParallel(model_of()))
    refused("the device meta", nn.Linear(2, 2, device="meta"))
    refused("parameters of torch.complex64", nn.Linear(2, 2, dtype=torch.complex64))
    embedding = nn.Embedding(4, 2, sparse=True)
    refused(
        "does not support SparseAdam", embedding, torch.optim.SparseAdam(embedding.parameters())
    )
    refused("does not support object as an optimiser", optimizer=object())


def test_sparse_gradients_are_refused(path):
    model = nn.Embedding(4, 2, sparse=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with GradientMonitor(model, optimizer, path):
        model(torch.tensor([1])).sum().backward()
        with pytest.raises(UserError, match="does not support sparse gradients"):
            optimizer.step()


def test_wrong_logs_are_refused(path):
    model = model_of()
    optimizer = ADAMW(model.parameters())
    monitor = GradientMonitor(model, optimizer, path, flush_seconds=0.0)
    for name in ("step", "grad_norm", "weight_norm_0"):
        with pytest.raises(UserError, match=f"'{name}' is what the monitor measures"):
            monitor.log(**{name: 1.0})
    monitor.log(train_accuracy=87.0)
    with pytest.raises(UserError, match="train_metric is 87, above 1; a share of 1"):
        watched(model, optimizer, monitor, batches(3))


def test_parameters_that_join_later_are_refused(path):
    model = model_of()
    model[0].bias.requires_grad_(False)
    optimizer = ADAMW(model.parameters())
    monitor = GradientMonitor(model, optimizer, path, flush_seconds=0.0)
    monitor.attach()
    loop(model, optimizer, monitor, batches(2))
    model[0].bias.requires_grad_(True)
    with pytest.raises(UserError, match=r"0\.bias joined the training after the monitor"):
        loop(model, optimizer, monitor, batches(2))
    monitor.close(complete=False)


def test_groups_by_every_rule(path):
    model = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)) for _ in range(2)))
    names = {
        None: ["0.0", "0.1", "1.0", "1.1"],
        1: ["0", "1"],
        r"weight|bias": ["weight", "bias"],
        r"^(\d)\.0\.": ["0", "other", "1"],
    }
    for rule, expected in names.items():
        monitor = GradientMonitor(model, ADAMW(model.parameters()), path, groups=rule)
        assert monitor.groups.names == expected
    by = GradientMonitor(
        model, ADAMW(model.parameters()), path, groups=lambda name, p: f"{p.ndim}d"
    )
    assert by.groups.members["1d"][0] == "0.0.bias" and by.groups.names == ["2d", "1d"]
