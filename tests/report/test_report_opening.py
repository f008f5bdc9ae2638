"""The report of a study at a scale of one's own opens with what was measured."""

import re
from pathlib import Path

from grokscope.runs.config import check_config
from synthetic_results import make_results, own_figures, own_values


def test_claims_that_cannot_be_tested_come_after_what_was_measured(tmp_path: Path) -> None:
    values = own_values()
    # Judged by claims on p = 97, and none of the runs is.
    values["studies"] = {"narrow": values["studies"]["narrow"] | {"p": 31, "samples": 100}}
    results = make_results(tmp_path, check_config(values), figures=own_figures(tmp_path)[:0])
    assert set(results.tables["claims"]["verdict"]) == {"not testable at this scale"}
    opening = ["What was measured", "Claims", "narrow: early warning"]
    assert re.findall(r"<h2>(.*?)</h2>", results.html)[:3] == opening
    assert re.findall(r"^## (.*)$", results.markdown, re.M)[:3] == opening
    (links,) = re.findall(r"<nav.*?</nav>", results.html)
    assert links.index("#measured") < links.index("#claims")
    assert results.problems_of_tables() == {}
    assert results.problems_of_files() == {}
