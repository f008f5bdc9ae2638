"""A killed training is resumed and ends with the same bytes."""

import hashlib
import io

import numpy as np
import pytest

from grokscope.train.checkpoint import Checkpoint
from grokscope.train.loop import iter_train, train
from synthetic import make_spec


class Killed(Exception):
    pass


def spec_of(seed=3, **others):
    return make_spec(
        **{"p": 13, "width": 12, "steps": 420, "seed": seed, "rank_every": 40} | others
    )


def killer(after):
    """Progress callback that kills the training after a number of steps."""
    steps = [0]

    def progress(n):
        steps[0] += n
        if steps[0] > after:
            raise Killed

    return progress


def kill(specs, checkpoints, after):
    with pytest.raises(Killed):
        list(
            iter_train(
                specs, checkpoints=checkpoints, checkpoint_seconds=0, progress=killer(after)
            )
        )


@pytest.mark.parametrize("task", ["modular_addition", "cubic_regression"])
def test_resumed_twice_it_gives_the_same_bytes(tmp_path, task):
    spec = spec_of(task=task, p=13 if task == "modular_addition" else None)
    checkpoint = Checkpoint(tmp_path / "checkpoints/a/run.npz", "key")
    kill([spec], [checkpoint], 150)
    kill([spec], [checkpoint], 200)
    ((_, result),) = iter_train([spec], checkpoints=[checkpoint])
    (whole,) = train([spec])
    assert result.info.resumed_at == (100, 300)
    assert whole.info.resumed_at == ()
    assert result.info.stopped == whole.info.stopped == "completed"
    for name, values in whole.columns.items():
        assert values.tobytes() == result.columns[name].tobytes(), name
    checkpoint.delete()
    assert not (tmp_path / "checkpoints/a").exists()
    assert (tmp_path / "checkpoints").exists()


def test_an_early_stop_is_seen_across_the_interruption(tmp_path):
    rule = {"metrics": ["train"], "threshold": 0.5, "hold_steps": 150}
    spec = spec_of(early_stop=rule, learning_rate=1e-2)
    checkpoint = Checkpoint(tmp_path / "run.npz", "key")
    kill([spec], [checkpoint], 150)
    ((_, result),) = iter_train([spec], checkpoints=[checkpoint])
    (whole,) = train([spec])
    assert result.info.resumed_at == (100,)
    assert whole.info.stopped == result.info.stopped == "early_stop"
    assert len(whole.columns["step"]) == len(result.columns["step"]) > 101


def test_runs_that_were_killed_at_different_steps_go_on_apart(tmp_path):
    specs = [spec_of(seed) for seed in range(3)]
    checkpoints = [Checkpoint(tmp_path / f"{seed}.npz", "key") for seed in range(3)]
    kill(specs[:1], checkpoints[:1], 250)
    kill(specs[1:2], checkpoints[1:2], 150)
    results = dict(iter_train(specs, checkpoints=checkpoints))
    assert [results[place].info.resumed_at for place in range(3)] == [(200,), (100,), ()]
    for place, whole in enumerate(train(specs)):
        for name, values in whole.columns.items():
            assert values.tobytes() == results[place].columns[name].tobytes(), name


def test_nothing_is_saved_before_its_time(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run.npz", "key")
    with pytest.raises(Killed):
        list(iter_train([spec_of()], checkpoints=[checkpoint], progress=killer(200)))
    assert list(tmp_path.iterdir()) == []


def test_where_none_can_be_saved_the_training_goes_on(tmp_path):
    """It would lose hours to an optimisation."""
    (tmp_path / "checkpoints").write_text("in the way")
    checkpoint = Checkpoint(tmp_path / "checkpoints/run.npz", "key")
    spec = spec_of()
    with pytest.warns(RuntimeWarning, match=r"run\.npz: cannot be written: .*; training goes on"):
        ((_, result),) = iter_train([spec], checkpoints=[checkpoint], checkpoint_seconds=0)
    (whole,) = train([spec])
    for name, values in whole.columns.items():
        assert values.tobytes() == result.columns[name].tobytes(), name


@pytest.fixture
def saved(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run.npz", "key")
    kill([spec_of()], [checkpoint], 250)
    assert checkpoint.load().updates == 200
    return checkpoint


def test_of_another_training_it_is_not_used(saved):
    assert Checkpoint(saved.path, "other code").load() is None


def test_damaged_it_is_not_used(saved):
    good = saved.path.read_bytes()
    for size in (0, 10, len(good) // 2, len(good) - 1):
        saved.path.write_bytes(good[:size])
        assert saved.load() is None, size
    for place in range(0, len(good), max(len(good) // 40, 1)):
        saved.path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert saved.load() is None, place


def test_nothing_in_it_is_executed(saved, tmp_path):
    contents = saved.path.read_bytes()
    with np.load(io.BytesIO(contents[32:])) as file:
        arrays = dict(file)

    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "hacked"), "w"))

    arrays["log"] = np.array([Hostile()], dtype=object)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    saved.path.write_bytes(hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue())
    assert saved.load() is None
    assert not (tmp_path / "hacked").exists()
