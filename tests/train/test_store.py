"""The trace store: what it returns, what it refuses, and its command."""

import os
import time
from dataclasses import replace

import pytest

from grokscope import cli
from grokscope.core.files import replacing
from grokscope.data.trace_reader import TraceError, read_trace
from grokscope.train.store import (
    TraceStore,
    UnreadableError,
    content_hash,
    dependencies,
    training_key,
)
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
    for name in ("code", "numba", "llvmlite", "numpy", "blas"):
        with monkeypatch.context() as patch:
            patch.setattr(
                "grokscope.train.store.dependencies",
                lambda engine, name=name: dependencies(engine) | {name: "another"},
            )
            assert store.fetch(spec, "cpu", target)[0] is None
    with monkeypatch.context() as patch:
        patch.setattr("grokscope.train.store.processor_kind", lambda device: "another")
        assert store.fetch(spec, "cpu", target)[0] is None
        # Also where the processor has one name.
        assert len({training_key(spec, kind) for kind in ("cpu", "cuda", "cuda-tf32")}) == 3
    assert store.fetch(spec, "cpu", target)[0] == entry


def test_the_training_code_and_nothing_else_counts():
    code = dependencies("cpu")["code"]
    assert {
        "grokscope.train.engines.kernels",
        "grokscope.train.models",
        "grokscope.runs.tasks",
        "grokscope.runs.spec",
    } <= set(code)
    assert not {"grokscope.measure.alarms", "grokscope.train.store", "train_runs"} & set(code)
    assert not {"grokscope.core.files", "grokscope.core.errors"} & set(code)


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
    status, out = command(capsys, *where)
    assert (status, out.startswith("1 traces, 0 bad")) == (0, True)
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


@pytest.fixture
def refuse(monkeypatch):
    """Refuse to this process what another user's modes would (tests may run as root)."""

    def refuse(name, what):
        allowed = getattr(os, name) if name != "open" else open

        def asked(path, *others, **options):
            if str(path) == str(what):
                raise PermissionError(13, "Permission denied", str(path))
            return allowed(path, *others, **options)

        monkeypatch.setattr("builtins.open" if name == "open" else f"os.{name}", asked)

    return refuse


def test_what_may_not_be_read_is_not_bad(store, entry, refuse, capsys):
    """Neither is it deleted: to its owner it is good."""
    refuse("open", entry.path)
    status, out = command(capsys, "--path", str(store.root), "verify", "--delete")
    assert status == 1
    assert f"unreadable: {entry.path}: Permission denied" in out
    assert "1 traces, 0 bad (0 deleted), 0 of other versions, 1 unreadable (both kept)" in out
    assert entry.path.exists()


@pytest.mark.parametrize("call", ["listdir", "stat"])
def test_a_folder_that_may_not_be_entered_is_told_and_the_run_trained(
    store, entry, spec, refuse, call, capsys, tmp_path
):
    refuse(call, entry.path.parent if call == "listdir" else entry.path)
    found, (error,) = store.fetch(spec, "cpu", tmp_path / "target.parquet")
    assert found is None
    assert isinstance(error, UnreadableError)
    assert str(error) == f"{entry.path.parent}: Permission denied"
    status, out = command(capsys, "--path", str(store.root), "verify", "--delete")
    assert status == 1
    assert f"unreadable: {entry.path.parent}: Permission denied" in out
    assert "unreadable" in command(capsys, "--path", str(store.root), "list")[1]


def test_a_store_that_may_not_be_read_is_no_empty_store(store, entry, refuse, capsys):
    refuse("listdir", store.root)
    with pytest.raises(SystemExit):
        command(capsys, "--path", str(store.root), "verify")
    assert f"error: {store.root}: Permission denied" in capsys.readouterr().err


def test_a_trace_of_another_version_is_kept(store, spec, entry, capsys):
    """Whoever shares the store may work with that version."""
    trace = make_trace(spec)
    info = replace(trace.info, schema_version=trace.info.schema_version - 1)
    path = write(replace(trace, info=info), entry.path.parent / "other")
    path.rename(entry.path.with_name(f"{'0' * 64}-{content_hash(path)}.parquet"))
    status, out = command(capsys, "--path", str(store.root), "verify", "--delete")
    assert status == 0
    assert "2 traces, 0 bad (0 deleted), 1 of other versions" in out
    assert len(store.entries()) == 2


def test_a_bad_entry_that_cannot_be_deleted_is_told(store, entry, spec, monkeypatch, capsys):
    flip(entry.path, spec)

    def unlink(path, missing_ok=False):
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr("pathlib.Path.unlink", unlink)
    where = ("--path", str(store.root))
    status, out = command(capsys, *where, "verify", "--delete")
    assert status == 1
    assert f"not deleted: {entry.path}: Operation not permitted" in out
    os.utime(entry.path, (0, 0))
    status, out = command(capsys, *where, "prune", "--days", "1")
    assert status == 1
    assert f"not deleted: {entry.path}: Operation not permitted" in out


@pytest.mark.parametrize("days", ["-1", "nan", "inf", "x"])
def test_a_senseless_number_of_days_deletes_nothing(store, entry, days, capsys):
    with pytest.raises(SystemExit):
        command(capsys, "--path", str(store.root), "prune", f"--days={days}")
    assert "argument --days" in capsys.readouterr().err
    with pytest.raises(ValueError, match="not a number from 0 on"):
        store.prune(-1)
    assert store.entries() == [entry]


def test_what_dead_writers_left_goes_after_a_day(store, entry):
    old, new = (entry.path.with_name(f".{name}.0123456789abcdef.tmp") for name in "ab")
    for path in (old, new):
        path.write_text("half")
    os.utime(old, (time.time() - 2 * 86_400,) * 2)
    assert store.prune(90) == ([], [])
    assert sorted(path.name for path in entry.path.parent.iterdir()) == sorted(
        [new.name, entry.path.name]
    )


def test_prune_takes_the_clock_of_the_files(store, entry, monkeypatch):
    """This machine's is a year ahead, or behind."""
    for wrong in (366, -366):
        now = time.time() + wrong * 86_400
        monkeypatch.setattr("time.time", lambda now=now: now)
        assert store.prune(30) == ([], [])
    # From a machine whose clock was ahead: used now.
    os.utime(entry.path, (2**32, 2**32))
    assert store.prune(0) == ([], [])


def test_a_link_to_nowhere_is_no_entry(store, spec, entry, tmp_path):
    entry.path.unlink()
    entry.path.symlink_to("nowhere")
    assert store.entries() == []
    assert store.fetch(spec, "cpu", tmp_path / "target.parquet") == (None, [])


def test_a_linked_entry_and_a_linked_store_are_read(store, spec, entry, trace, tmp_path):
    entry.path.rename(tmp_path / "elsewhere")
    entry.path.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(store.root, target_is_directory=True)
    linked = TraceStore(tmp_path / "link")
    found, errors = linked.fetch(spec, "cpu", tmp_path / "target.parquet")
    assert found is not None and errors == []
    os.utime(tmp_path / "elsewhere", (0, 0))
    assert linked.prune(1) == ([found], [])
    # The link, not what others may use.
    assert (tmp_path / "elsewhere").exists() and not entry.path.is_symlink()


def test_all_names_fit_where_few_characters_do(entry):
    """On eCryptfs 143 bytes."""
    assert len(entry.path.name) <= 143
    for name in (entry.path.name, "\N{EURO SIGN}" * 40):
        with replacing(entry.path.with_name(name)) as temporary:
            assert len(temporary.name.encode()) <= 143
            temporary.touch()


def test_two_machines_with_one_process_number_write_apart(entry, monkeypatch):
    monkeypatch.setattr("os.getpid", lambda: 1)
    with replacing(entry.path) as one, replacing(entry.path) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
