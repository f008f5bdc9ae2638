"""The true worlds on the whole path, from trace files to the validated report."""

from __future__ import annotations

import pytest
from control_worlds import (
    HOLDS,
    UNDECIDED,
    configuration,
    gai_study,
    gai_trace,
    lead_lag_trace,
    phase_trace,
    read_config,
)

from synthetic_results import Results, make_results

TRACES = {"lead_lag": lead_lag_trace, "gai": gai_trace, "phase_diagram": phase_trace}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Three studies with the fewest seeds that can decide, and the published map of one seed."""
    studies = read_config("config")["studies"] | {"gai": gai_study(6)}
    studies["phase_diagram"]["grids"][0]["seeds"] = [42]
    config = configuration("config", studies)
    root = tmp_path_factory.mktemp("worlds")
    return make_results(root, config, lambda spec: TRACES[spec.study](spec), figures=[])


@pytest.mark.slow
def test_verdicts_of_true_worlds(results: Results) -> None:
    claims = results.tables["claims"]
    verdicts = dict(zip(claims["claim"], claims["verdict"], strict=True))
    of_set = {"LL": HOLDS, "GAI": HOLDS, "PD": UNDECIDED}
    assert verdicts == {claim: of_set[claim.rstrip("12345678")] for claim in verdicts}
    assert len(verdicts) == 20


@pytest.mark.slow
def test_evaluation_and_verdicts_say_the_same(results: Results) -> None:
    """The detector that the claims are about finds every event and nothing else."""
    table = results.tables["evaluation"]
    row = table[
        (table["study"] == "gai")
        & (table["detector"] == "gai")
        & (table["layer"] == "combined")
        & (table["threshold_source"] == "published")
        & (table["rule"] == "every")
        & (table["lead_min"] == 200)
        & (table["lead_max"] == 400)
        & table["task"].isna()
        & table["depth"].isna()
    ]
    assert len(row) == 1
    assert (row["n_events"].item(), row["n_hits"].item()) == (30, 30)
    claims = results.tables["claims"].set_index("claim")
    for claim, score in (("GAI2", "precision"), ("GAI3", "recall")):
        assert claims.loc[claim, "measured"] == row[score].item() == 1
        assert claims.loc[claim, "low"] == row[f"{score}_low"].item()


@pytest.mark.slow
def test_results_of_true_worlds_are_valid(results: Results) -> None:
    assert results.problems() == {}
