"""README: what it shows is run as it stands there."""

import json
import re

import pandas as pd
import pytest

from project import ROOT, TINY, run_tool

README = (ROOT / "README.md").read_text()


def block(heading: str, language: str, number: int = 0) -> str:
    """A block of code of a chapter."""
    chapter = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", chapter, re.S | re.M)
    return [text for name, text in blocks if name == language][number]


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_python():
    exec(compile(block("From Python", "python"), "README.md", "exec"), {})  # noqa: S102


@pytest.mark.slow
def test_reading_traces(finished, monkeypatch, capsys):
    monkeypatch.chdir(finished)
    names = {}
    exec(compile(block("From Python", "python", 1), "README.md", "exec"), names)  # noqa: S102
    assert len(names["frame"]) == 2 * 41 and len(names["late"]) == 21
    assert "grad_norm" in capsys.readouterr().out


@pytest.mark.slow
def test_your_own_sweep(checkout):
    sweep = block("Your own sweep", "yaml")
    assert len(sweep.splitlines()) <= 15
    (checkout / "my_sweep.yaml").write_text(sweep)
    command = [*block("Your own sweep", "").split(), "--config", f"store={checkout / 'store'}"]
    assert command[:4] == ["snakemake", "--cores", "8", "all"]
    result = run_tool(command, checkout)
    assert result.returncode == 0, result.stdout + result.stderr
    assert json.loads((checkout / "results/validation.json").read_text())["status"] == "ok"
    assert (checkout / "results/my_sweep.png").stat().st_size > 10_000
    report = (checkout / "results/report.md").read_text()
    assert "not testable" not in report and "my\\_sweep: phase diagram" in report
    phases = pd.read_parquet(checkout / "results/tables/phases.parquet")
    assert len(phases) == 16
    assert list(phases.columns[:8]) == [
        *("study", "task", "depth", "train_fraction", "weight_decay", "width"),
        *("learning_rate", "seed"),
    ]
    assert sorted(phases["learning_rate"].unique()) == [0.003, 0.01]


@pytest.mark.slow
def test_your_own_task_and_detector(checkout):
    package = checkout / "workflow/scripts/grokscope"
    for place, number in (("runs/tasks.py", 0), ("measure/detectors/signals.py", 1)):
        with (package / place).open("a") as module:
            module.write("\n\n" + block("Your own task or detector", "python", number))
    text = TINY.read_text()
    # Two studies of a kind, with the task, and betas as a choice of the multiverse.
    own = text[text.index("  gai:") : text.index("  phase_diagram:")]
    own = own.replace("cubic_regression", "modular_affine_product").replace("  gai:", "  own:")
    own = own.replace("    claims: GAI\n", "").replace("samples: 40", "p: 7")
    own = own.replace("steps: 80\n", "steps: 80\n        betas: [[0.9, 0.98], [0.9, 0.999]]\n")
    config = checkout / "config/own.yaml"
    config.write_text(text.replace("  phase_diagram:\n", f"{own}  phase_diagram:\n", 1))
    result = run_tool(["snakemake", "all", "--cores", "2", "--configfile", str(config)], checkout)
    assert result.returncode == 0, result.stdout + result.stderr
    assert json.loads((checkout / "results/validation.json").read_text())["status"] == "ok"
    assert (checkout / "results/figures/own/alarm_leads.png").exists()
    evaluation = pd.read_parquet(checkout / "results/tables/evaluation.parquet")
    assert {"gai", "own"} <= set(
        evaluation.loc[evaluation["detector"] == "loud_gradient", "study"]
    )
    assert "modular_affine_product" in set(evaluation["task"].dropna())
    multiverse = pd.read_parquet(checkout / "results/tables/multiverse.parquet")
    mine = multiverse[multiverse["study"] == "own"]
    assert set(mine["beta2"].dropna()) == {0.98, 0.999}
    assert mine["claim"].isna().all() and mine["supports"].isna().all()
    runs = pd.read_parquet(checkout / "results/tables/runs.parquet")
    assert set(runs.loc[runs["study"] == "own", "betas"]) == {"0.9,0.98", "0.9,0.999"}
    assert runs.loc[runs["study"] == "gai", "betas"].isna().all()
