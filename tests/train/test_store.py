"""The trace store: what it returns, what it refuses, and its command."""

import os
import time

import pytest

from grokscope import cli
from grokscope.data.trace_reader import TraceError, read_trace
from grokscope.train.store import TraceStore, content_hash, dependencies, training_key
from synthetic import make_spec, make_trace, write


@pytest.fixture
def spec():
    return make_spec(steps=50)


@pytest.fixture
def trace(spec, tmp_path):
    return write(make_trace(spec), tmp_path)


@pytest.fixture
def store(tmp_path):
    return TraceStore(tmp_path / "store")


@pytest.fixture
def entry(store, spec, trace):
    return store.keep(spec, "cpu", trace)


def test_what_was_kept_comes_back_byte_for_byte(store, spec, trace, entry, tmp_path):
    target = tmp_path / "deep/in/target.parquet"
    found, errors = store.fetch(spec, "cpu", target)
    assert found == entry
    assert errors == []
    assert target.read_bytes() == trace.read_bytes()


def test_a_copy_is_new_and_apart_from_the_store(store, spec, entry, tmp_path):
    os.utime(entry.path, (0, 0))
    target = tmp_path / "target.parquet"
    store.fetch(spec, "cpu", target)
    assert target.stat().st_mtime > time.time() - 60
    target.write_bytes(b"")
    entry.check()


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"weight_decay": "0.1"}, {"learning_rate": 2e-3}, {"steps": 51}]
)
def test_another_specification_is_a_miss(store, entry, other, tmp_path):
    target = tmp_path / "target.parquet"
    assert store.fetch(make_spec(**{"steps": 50} | other), "cpu", target) == (None, [])
    assert not target.exists()


def test_another_device_code_or_library_is_a_miss(store, spec, entry, tmp_path, monkeypatch):
    target = tmp_path / "target.parquet"
    for name in ("code", "torch", "numba", "llvmlite", "numpy", "blas"):
        with monkeypatch.context() as patch:
            patch.setattr(
                "grokscope.train.store.dependencies",
                lambda name=name: dependencies() | {name: "another"},
            )
            assert store.fetch(spec, "cpu", target)[0] is None
    with monkeypatch.context() as patch:
        patch.setattr("grokscope.train.store.processor_kind", lambda device: "another")
        assert store.fetch(spec, "cpu", target)[0] is None
        # Also where the processor has one name.
        assert len({training_key(spec, kind) for kind in ("cpu", "cuda", "cuda-tf32")}) == 3
    assert store.fetch(spec, "cpu", target)[0] == entry


def test_the_training_code_and_nothing_else_counts():
    code = dependencies()["code"]
    assert {
        "grokscope.train.engines.kernels",
        "grokscope.train.models",
        "grokscope.runs.tasks",
        "grokscope.runs.spec",
    } <= set(code)
    assert not {"grokscope.measure.alarms", "grokscope.train.store", "train_runs"} & set(code)


def truncate(path, spec):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path, spec):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path, spec):
    path.write_bytes(b"")


def text(path, spec):
    path.write_text("import os; os.system('touch hacked')")


def renamed(path, spec):
    """Another run's trace under this run's key, with a correct content hash."""
    other = write(make_trace(make_spec(steps=50, seed=9)), path.parent / "other")
    key = path.name.split("-")[0]
    path.unlink()
    other.rename(path.with_name(f"{key}-{content_hash(other)}.parquet"))


@pytest.mark.parametrize("damage", [truncate, flip, empty, text, renamed])
def test_a_bad_entry_is_named_and_never_used(store, spec, entry, damage, tmp_path):
    damage(entry.path, spec)
    (path,) = [found.path for found in store.entries()]
    target = tmp_path / "target.parquet"
    found, errors = store.fetch(spec, "cpu", target)
    assert found is None
    assert len(errors) == 1
    assert str(path) in str(errors[0])
    assert not target.exists()
    assert path.exists()


@pytest.mark.parametrize("damage", [truncate, flip, renamed])
def test_a_bad_entry_does_not_hide_a_good_one(store, spec, entry, damage, trace, tmp_path):
    damage(entry.path, spec)
    good = store.keep(spec, "cpu", trace)
    assert store.fetch(spec, "cpu", tmp_path / "target.parquet")[0] == good


def test_what_is_no_file_is_no_entry(store, spec, entry, tmp_path):
    entry.path.unlink()
    os.mkfifo(entry.path)
    entry.path.with_name("notes.txt").write_text("mine")
    assert store.entries() == []
    assert store.fetch(spec, "cpu", tmp_path / "target.parquet") == (None, [])


def test_only_a_trace_of_the_specification_is_kept(store, trace):
    with pytest.raises(TraceError, match="another specification"):
        store.keep(make_spec(steps=50, seed=9), "cpu", trace)
    assert store.entries() == []


def test_an_interrupted_writer_leaves_no_entry(store, spec, entry, trace):
    half = entry.path.with_name(f".{entry.path.name}.1.tmp")
    entry.path.rename(half)
    assert store.entries() == []
    store.keep(spec, "cpu", trace)
    assert len(store.entries()) == 1


def command(capsys, *arguments):
    status = cli.main(["store", *arguments])
    return status, capsys.readouterr().out


def test_the_command_lists(store, entry, spec, capsys):
    status, out = command(capsys, "--path", str(store.root), "list")
    assert status == 0
    assert str(spec.key) in out
    assert "1 traces" in out


def test_the_command_verifies_and_deletes_what_is_bad(store, entry, spec, capsys):
    where = ("--path", str(store.root), "verify")
    assert command(capsys, *where) == (0, "1 traces, 0 bad\n")
    flip(entry.path, spec)
    status, out = command(capsys, *where)
    assert status == 1
    assert str(entry.path) in out
    assert command(capsys, *where, "--delete")[0] == 0
    assert store.entries() == []


def test_the_command_prunes_what_was_not_used(store, entry, spec, capsys, tmp_path):
    where = ("--path", str(store.root), "prune", "--days", "30")
    assert "deleted 0 traces" in command(capsys, *where)[1]
    month = time.time() - 31 * 86_400
    os.utime(entry.path, (month, month))
    store.fetch(spec, "cpu", tmp_path / "target.parquet")
    assert "deleted 0 traces" in command(capsys, *where)[1]
    os.utime(entry.path, (month, month))
    assert "deleted 1 traces" in command(capsys, *where)[1]
    assert store.entries() == []


def test_kept_traces_are_readable(entry, spec):
    assert read_trace(entry.path, spec).spec == spec
