"""Stamps: what changes them and what does not."""

import json
import os
import shutil

import pytest

from grokscope.core import provenance
from grokscope.core.provenance import (
    _data_digest,
    _digest,
    _kept,
    _module_file,
    code_hashes,
    write_stamps,
)
from grokscope.train.store import dependencies
from project import ROOT


@pytest.fixture
def scripts(tmp_path):
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    return tmp_path / "workflow/scripts"


def forget():
    """What a process that begins does not know."""
    for known in (_digest, _data_digest, _module_file, _kept):
        known.cache_clear()


def stamp(scripts, script="measure_panel"):
    forget()
    write_stamps(scripts.parent / "code", scripts)
    return scripts.parent / "code" / f"{script}.json"


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_stamp_names_what_a_script_imports(scripts):
    training = code_hashes("train_runs", scripts)
    assert {
        "train_runs",
        "grokscope.train.loop",
        "grokscope.train.models",
        "grokscope.runs.tasks",
    } <= set(training)
    # Editing a detector, a table or a figure never retrains.
    packages = {name.split(".")[1] for name in training if name.startswith("grokscope.")}
    assert packages == {"core", "runs", "data", "train", "workflow"}
    assert not {"grokscope.data.tables", "grokscope.runs.config", "grokscope.runs.plan"} & set(
        training
    )
    assert "grokscope.train.loop" not in code_hashes("measure_panel", scripts)
    assert "tables.yaml" in code_hashes("measure_panel", scripts)


@pytest.fixture
def cache_folder(tmp_path, monkeypatch):
    """The user's, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    forget()
    yield tmp_path / "cache"
    forget()


def test_what_was_parsed_once_is_not_parsed_again(scripts, cache_folder, monkeypatch):
    wanted = stamp(scripts).read_bytes()
    parse = provenance.ast.parse
    parsed = []
    monkeypatch.setattr(
        provenance.ast, "parse", lambda text, name: parsed.append(name) or parse(text, name)
    )
    assert stamp(scripts).read_bytes() == wanted
    assert parsed == []
    edit(scripts / "grokscope/measure/transitions.py", "n == 0", "n == 1")
    assert stamp(scripts).read_bytes() != wanted
    assert len(parsed) == 1


@pytest.mark.parametrize("damage", ["cut off", "a list", "entries of another form", "no folder"])
def test_a_damaged_cache_costs_time_alone(scripts, cache_folder, damage):
    wanted = stamp(scripts).read_bytes()
    path = cache_folder / "grokscope/syntax.json"
    text = path.read_text()
    if damage == "no folder":
        shutil.rmtree(cache_folder)
        cache_folder.write_text("")
    else:
        entries = {key: ["x", "y"] for key in json.loads(text)}
        damaged = {"cut off": text[:-9], "a list": "[1]"}
        path.write_text(damaged.get(damage, json.dumps(entries)))
    assert stamp(scripts).read_bytes() == wanted


def test_comments_docstrings_and_touches_leave_the_file_alone(scripts):
    path = stamp(scripts)
    os.utime(path, (1, 1))
    alarms = scripts / "grokscope/measure/alarms.py"
    alarms.touch()
    alarms.write_text(alarms.read_text() + "\n# A comment.\n")
    edit(alarms, '"""', '"""Another docstring. ')
    edit(scripts.parent / "schemas/tables.yaml", "One row per alarm", "A row per alarm")
    stamp(scripts)
    assert path.stat().st_mtime == 1


def test_an_edit_reaches_dependents_alone(scripts):
    before = {name: stamp(scripts, name).read_text() for name in ("measure_panel", "train_runs")}
    alarms = scripts / "grokscope/measure/alarms.py"
    alarms.write_text(alarms.read_text() + "\nEXTRA = 1\n")
    assert stamp(scripts).read_text() != before["measure_panel"]
    assert stamp(scripts, "train_runs").read_text() == before["train_runs"]
    assert stamp(scripts, "plot_lags").read_text() == stamp(scripts, "plot_lags").read_text()


def test_an_edit_of_an_indirect_import_counts(scripts):
    before = stamp(scripts).read_text()
    edit(scripts / "grokscope/runs/spec.py", 'text + ".0"', 'text + ".00"')
    assert stamp(scripts).read_text() != before


def test_a_schema_change_counts(scripts):
    before = stamp(scripts).read_text()
    edit(scripts.parent / "schemas/tables.yaml", "score: {type: number", "score: {type: integer")
    assert stamp(scripts).read_text() != before


def test_a_release_reruns_nothing(scripts):
    """Neither an analysis nor a training: the number of the version is no code."""
    names = ("measure_panel", "train_runs")
    before = {name: stamp(scripts, name).read_text() for name in names}
    edit(scripts / "grokscope/__init__.py", '__version__ = "', '__version__ = "99.')
    assert {name: stamp(scripts, name).read_text() for name in names} == before
    assert "grokscope" in dependencies("cpu")["code"]
    edit(scripts / "grokscope/__init__.py", '__version__ = "', 'VERSION = "')
    assert stamp(scripts, "train_runs").read_text() != before["train_runs"]


@pytest.mark.parametrize(
    "line",
    [
        "from .helper import f",
        "from . import helper",
        "from .. import train as all_of_it",
        "from ..train.helper import f",
        "from ..train import helper as h",
    ],
)
def test_a_relative_import_counts(scripts, line):
    """Ruff forbids them here; a package of the user's may have them."""
    (scripts / "grokscope/train/helper.py").write_text("f = 1\n")
    edit(scripts / "grokscope/train/dataset.py", "import numpy as np", f"import numpy\n{line}")
    _digest.cache_clear()
    found = code_hashes("train_runs", scripts)
    assert "grokscope.train" in found
    assert ("grokscope.train.helper" in found) == ("helper" in line)


@pytest.mark.parametrize("line", ["from ...... import core", "from .nothing import f"])
def test_a_relative_import_of_nothing_is_none_of_ours(scripts, line):
    edit(scripts / "grokscope/train/dataset.py", "import numpy as np", f"import numpy\n{line}")
    _digest.cache_clear()
    assert "grokscope.train.dataset" in code_hashes("train_runs", scripts)


# One of every kind of syntax that Python 3.11 knows, f-strings in all their forms.
SYNTAX = r'''
"""A docstring."""
from __future__ import annotations
import a, b.c as d
from . import e
from ..f import g as h, i
x: int = 0x1F; y: str
@decorated(1, *a, k=2, **b)
class C(Base, metaclass=M):
    """Another."""
    z = yield_ = 1_000.5e3j
    def f(self, a, /, b=1, *args: int, c, d=None, **kw) -> None:
        "And another."
        global p, q
        nonlocal_ = lambda *, u=1, **v: (u, v)
        del a[1:2, ::3, ...], b.c
        return
async def g():
    async with a as b, c: await d
    async for i in e: yield i
    yield
    return [x async for x in y if z if w], {**a, "b": 1, 2: None}, {1, *s}, (i for i in j)
def k():
    nonlocal_ = yield from l
    try: raise E from None
    except (A, B) as e: pass
    except: raise
    else: assert t, "message"
    finally: x = 1
    try: pass
    except* A: pass
while not a and b or c:
    if a < b <= c != d is not e not in f: break
    elif (n := 10) > 5: continue
    else: pass
else: a @= b; a //= ~c; a **= -d; a >>= +e
for i, *j in k: pass
else: pass
with (a as b, c as (d, e)): pass
match p:
    case 0 | -1.5 | 1+2j: pass
    case "s" | b"b" | None | True: pass
    case [a, *_] if a: pass
    case {"k": v, **rest}: pass
    case C(1, x=2) as y: pass
    case _: pass
s = "a" 'b' u"c" """d\ne""", b"\x00" b"x", r"\d", "\N{BULLET}\u20ac\ud800é"
f"{a}", f"{a!r}", f"{a:>{w}.{p}f}", f"{a=}", f"{a = !s:^5}", f"{{}}", f"", f"x{a}y{b!a:}z"
"u" f"{a}" "v" f"w{b}" f"" "x"; f"{a:%H:%M}" rf"\d{a}"; f"{ {1: 2}[1] }"; f"{a:{b}{c}}"
f"""{
    a}
{a:
}"""
v = (a if b else c)[d](*e, f=g)(**h); w = 1e400, 1e-400, -0.0, 10**20, ..., True, 0o17, 0b11
t[*a, 1]; t[a, b:c]; x = *a, b
'''
SYNTAX_HASH = "57586a601d15daebb7cd55f6fd3300e7dadde1d3174ccaffc2a14b2ac86a36ca"


def test_the_hash_of_code_is_the_same_in_all_versions_of_python(tmp_path):
    """A new Python must not train again; run with 3.11, 3.12 and 3.13."""
    (tmp_path / "code.py").write_text(SYNTAX, encoding="utf-8")
    assert code_hashes("code", tmp_path) == {"code": SYNTAX_HASH}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = None", "x = 'None'"),
        ("x = 1", "x = True"),
        ("x = 1", "x = 1.0"),
        ("x = b'a'", "x = 'a'"),
        ("x = ...", "x = 'Ellipsis'"),
        ("x = 0.0", "x = -0.0"),
        ("return_ = [a, None]", "return_ = [None, a]"),
        ("f(a, b)", "f([a, b])"),
        ("f(a, b=c)", "f(a, **c)"),
        ("def f(*, a=None, b): pass", "def f(*, a, b=None): pass"),
        ("def f(*, a, b=1): pass", "def f(*, a=1, b): pass"),
        ("def f(a, /): pass", "def f(a): pass"),
        ("f'{a}'", "f'{a!s}'"),
        ("f'{a:>5}'", "f'{a}>5'"),
        ("f'{a}b'", "f'{a}' and 'b'"),
        ("x[1:]", "x[:1]"),
        ("x[None:]", "x[:]"),
        ("x = 'a'", "x = a"),
        ("def f(): return f''", "def f(): return"),
        ("from a import b", "from .a import b"),
        ("if a: b\nelse: c", "if a: b; c"),
        ("{**a, b: c}", "{b: c, **a}"),
        ("x = a, b", "x = [a, b]"),
        ("import a.b", "from a import b"),
    ],
)
def test_other_code_has_another_hash(tmp_path, one, other):
    (tmp_path / "one.py").write_text(one)
    (tmp_path / "other.py").write_text(other)
    assert code_hashes("one", tmp_path)["one"] != code_hashes("other", tmp_path)["other"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "# Comment.\nx  =  (1)\n"),
        ("x = 'a\\n'", 'x = """a\r\n"""\r\n'),
        ("x = 1", "\N{BYTE ORDER MARK}x = 1"),
        ("x = 'é'", "# coding: utf-8\nx = u'\\xe9'"),
        ("f'a{b}'", "f'a' f'{b}'"),
        ("f'{b}'", "f'{b:}'"),
        ("def f(): return", "def f():\n  'Docstring.'\n  return"),
    ],
)
def test_the_same_code_has_the_same_hash(tmp_path, one, other):
    (tmp_path / "one.py").write_bytes(one.encode())
    (tmp_path / "other.py").write_bytes(other.encode())
    assert code_hashes("one", tmp_path)["one"] == code_hashes("other", tmp_path)["other"]
