"""Text of configurations: what YAML would swallow in silence is refused with its key."""

import pytest
import yaml

from grokscope.runs.config import check_config
from grokscope.runs.problems import ConfigError
from grokscope.runs.reading import read_argument, read_config, read_text
from project import TINY

# Text, and what the message says of it.
TRAPS = {
    "a: 1\na: 2": r"a: is given twice \(lines 1 and 2\), and YAML would keep the last; keep one",
    "s: {gai: {p: 5, p: 7}}": r"s\.gai\.p: is given twice \(lines 1 and 1\)",
    "g: [{a: 1}, {'b': 1, \"b\": 2}]": r"g\[1\]\.b: is given twice",
    "a: &x {p: 1, p: 2}\nb: *x": r"a\.p: is given twice",
    "seeds: [1, 010]": r"seeds\[1\]: 010 \(line 1\) is 8 in YAML.*; write 10 or 8",
    "steps: 0_20": r"steps: 0_20 \(line 1\) is 16 in YAML",
    "p: 1:30": r"p: 1:30 \(line 1\) is a number to base 60 in YAML",
    "rate: 1:30.5": r"rate: 1:30\.5 \(line 1\) is a number to base 60",
    "no: {}": r"no: no \(line 1\) is not text in YAML; put the key in quotes",
    "s: {on: 1}": r"s\.on: on \(line 1\) is not text in YAML; put the key in quotes",
    "2001-01-01: {}": r"2001-01-01: 2001-01-01 \(line 1\) is not text",
    "7: {}": r"7: 7 \(line 1\) is not text in YAML",
    "~: {}": r"~: ~ \(line 1\) is not text",
    '{"a": 1, "a": 2}': r"a: is given twice; keep one",
    '{"s": {\t"a": 1, "a": 2}}': r"a: is given twice; keep one",
}


@pytest.mark.parametrize("text", TRAPS)
def test_what_reads_as_something_else_is_refused(text, tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"1 problem .*\n  .*odd\.yaml: {TRAPS[text]}"):
        read_config(path)


# Text, and its value: what is legal and means what it seems to.
PLAIN = {
    "a: &x {p: 1, q: 2}\nb: {<<: *x, p: 3}": {"a": {"p": 1, "q": 2}, "b": {"p": 3, "q": 2}},
    "a: &x {p: 1}\nb: &y {q: 2}\nc: {<<: [*x, *y]}": {"a": {"p": 1}, "b": {"q": 2}}
    | {"c": {"p": 1, "q": 2}},
    "a: &x {p: 1}\nb: {<<: *x, <<: {q: 2}}": {"a": {"p": 1}, "b": {"p": 1, "q": 2}},
    "a: [0, 007, -0, 0x10, 1_000]": {"a": [0, 7, 0, 16, 1000]},
    "a: '010'": {"a": "010"},
    "a: '1:30'": {"a": "1:30"},
    "'no': yes": {"no": True},
    "a: 1.0e-3": {"a": 0.001},
    '{\n\t"a": 1}': {"a": 1},
    "\ufeffa: 1": {"a": 1},
    "a: 1\r\nb: 2\r\n": {"a": 1, "b": 2},
}


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_legal_keeps_its_value(text, tmp_path):
    path = tmp_path / "plain.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    assert read_config(path) == PLAIN[text]


def test_all_traps_are_told_at_once():
    with pytest.raises(ConfigError, match="3 problems") as error:
        read_text("a: 010\nb: {no: 1}\na: 1", "x.yaml:")
    assert str(error.value).count("\n  x.yaml: ") == 3


def test_traps_of_an_argument_have_its_key():
    with pytest.raises(ConfigError, match=r"\n  studies\.gai\.p: is given twice"):
        read_argument("studies={gai: {p: 5, p: 7}}")
    with pytest.raises(ConfigError, match=r"\n  runs_per_job: 010 \(line 1\) is 8 in YAML"):
        read_argument("runs_per_job=010")


def test_a_value_with_aliases_of_aliases_is_read_once():
    text = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 30))
    assert read_text(text, "x.yaml:")["a1"] == [[1]]


def test_variables_in_the_store_are_set_ones(monkeypatch):
    config = yaml.safe_load(TINY.read_text())
    monkeypatch.setenv("SCRATCH", "/scratch/me")
    for text in ("$SCRATCH/x", "${SCRATCH}/x"):
        checked = check_config(config | {"store": text})
        assert checked.store == "/scratch/me/x"
        # What the report shows and the next configuration file has.
        assert checked.values["store"] == text
