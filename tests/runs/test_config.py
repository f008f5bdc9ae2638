"""The configuration: what is accepted, and the message of each mistake."""

import copy
from dataclasses import fields

import pytest
import yaml

from grokscope.claims.published import read_published
from grokscope.core.schemas import read_schema
from grokscope.runs.config import check_config, default_analysis
from grokscope.runs.kinds import KINDS
from grokscope.runs.problems import ConfigError
from grokscope.runs.settings import Analysis, StudySettings
from project import CONFIGS, ROOT

DEFAULT = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def changed(path: str, value):
    """The default configuration with one key set, e.g. studies.gai.grids.0.seeds."""
    config = copy.deepcopy(DEFAULT)
    *parents, last = path.split(".")
    place = config
    for part in parents:
        place = place[int(part) if part.isdigit() else part]
    place[int(last) if last.isdigit() else last] = value
    return config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configs_are_accepted(path):
    config = check_config(yaml.safe_load(path.read_text()))
    # Windows after an onset must lie within the steps for which a settled run continues.
    for study in config.studies.values():
        assert all(grid.steps > 0 for grid in study.grids)
        if study.kind == "early_warning" and study.early_stop is not None:
            assert study.early_stop.hold_steps >= config.analysis.rank.after


GRID = "studies.gai.grids.0"
GOOD = DEFAULT["studies"]["gai"]["grids"][0]
SWEEP = {"kind": "phase_diagram", "grids": [GOOD]}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("studies.gai.optimiser", "sgd", r"studies\.gai: unknown key 'optimiser'.*allowed: kind"),
        ("studies.gai.test_evry", 5, r"unknown key 'test_evry' \(did you mean 'test_every'\?\)"),
        (
            "studies.other",
            {"grids": [GOOD]},
            r"studies\.other: missing kind \(every study has a name",
        ),
        (
            "studies.gai.kind",
            "gai",
            r"gai\.kind: \"gai\" is not allowed; allowed: one of lead_lag",
        ),
        ("studies.gai.claims", "PD", r"claims: PD is not allowed for kind early_warning.*GAI or"),
        ("studies.My Sweep", {}, 'studies: "My Sweep" is not a valid study name; allowed'),
        ("studies.train_runs", SWEEP, r"studies\.train_runs: is the name of a rule or file"),
        (GRID + ".learning_rate", 0.1, r"grids\[0\]\.learning_rate: 0.1 is not allowed.*array"),
        (GRID + ".p", [97, 1], r"grids\[0\]\.p\[1\]: 1 is not allowed; allowed: integer >= 2"),
        ("analysis.alarms.centred", True, r"analysis\.alarms: centred was removed.*multiverse"),
        ("analysis.evaluation.resamples", 9, r"evaluation: resamples was removed: intervals"),
        ("analysis.alarms.treshold", 3, "analysis.alarms: unknown key 'treshold'"),
        (GRID + ".seeds", [1, 2, 1], r"grids\[0\]\.seeds: \[1, 2, 1\] has 1 more than once"),
        (GRID + ".seeds", [], r"grids\[0\]\.seeds: is empty; give at least one"),
        ("studies.gai.grids", [], r"studies\.gai\.grids: is empty; give at least one"),
        ("studies", {}, "studies: is empty"),
        (GRID + ".seeds", [-1], r"seeds\[0\]: -1 is not allowed; allowed: integer >= 0"),
        (GRID + ".seeds", [1.5], r"seeds\[0\]: 1.5 is not allowed; allowed: integer"),
        (GRID + ".depths", [9], r"depths\[0\]: 9 is not allowed; allowed: integer >= 1 and <= 8"),
        (GRID + ".tasks", ["sums"], r"tasks\[0\]: \"sums\" is not allowed; allowed: one of modu"),
        (GRID + ".train_fractions", [1.0], r"train_fractions\[0\]: 1.0 is not allowed.*< 1"),
        (
            GRID + ".train_fractions",
            [0.0001],
            r"train_fractions: 0.0001 leaves no training sample of the 9409 of modular_addition",
        ),
        (GRID + ".steps", 0, r"steps: 0 is not allowed; allowed: integer >= 1"),
        (GRID + ".steps", "many", r"steps: \"many\" is not allowed; allowed: integer"),
        ("studies.gai.learning_rate", "1e-3", r"\"1e-3\".*YAML reads 1e-3 as text; write 0.001"),
        ("studies.gai.learning_rate", float("nan"), "learning_rate: nan is not allowed.*finite"),
        ("studies.gai.p", 1, r"studies\.gai\.p: 1 is not allowed; allowed: integer >= 2"),
        ("studies.gai.betas", [0.9], r"betas: \[0.9\] is not allowed"),
        ("studies.gai.early_stop", 5, r"early_stop: 5 is not allowed; allowed: null or object"),
        (
            "studies.gai.early_stop",
            {"metrics": ["test"], "threshold": 2, "hold_steps": 1},
            r"early_stop\.threshold: 2 is not allowed; allowed: number > 0 and <= 1",
        ),
        ("studies.gai.early_stop", {"metrics": ["test"]}, "missing threshold, hold_steps"),
        ("analysis.onset.lost_below", 0.96, r"lost_below: 0.96.*at most event_threshold 0.95"),
        ("analysis.onset.event_threshold", 0.9, r"event_threshold: 0.9.*one of test_thresholds"),
        ("analysis.transitions.savgol_window", 50, "savgol_window: 50 is not allowed.*odd"),
        ("analysis.evaluation.lead_window", [400, 200], "lead_window.*first below the second"),
        ("analysis.evaluation.horizons", [10, 1000], r"horizons: 10 .*above minimum_lead 10"),
        ("analysis.evaluation.primary_horizon", 7, r"primary_horizon: 7 .*one of horizons \["),
        (GRID + ".weight_decays", [1e-300], r"weight_decays: 1e-300 .*at most 24 digits"),
        (
            "store",
            "~nobody-here/x",
            r"store: \"~nobody-here/x\" .*a home folder that there is",
        ),
        ("store", "None", 'store: "None" is not allowed; allowed: a folder, or null'),
        ("store", "off", 'store: "off" is not allowed; allowed: a folder, or null'),
        ("store", "~", 'store: "~" is not allowed; allowed: a folder, or null'),
        ("store", " ", 'store: " " is not allowed; allowed: a folder, or null'),
        ("store", "$NO_SUCH/x", r'store: "\$NO_SUCH/x" .*environment variables that are set'),
        ("store", "$(pwd)/x", r'store: "\$\(pwd\)/x" .*environment variables that are set'),
        ("store", False, "store: false is not allowed; allowed: string or null"),
        ("analysis", None, r"analysis: null .*allowed: object \(nothing follows the key\)"),
        (GRID + ".steps", "1e3", r"steps: \"1e3\".*YAML reads 1e3 as text; write 1000\)"),
        (GRID + ".seeds", ["08"], r"seeds\[0\]: \"08\".*YAML reads 08 as text; write 8\)"),
        ("studies.gai.claims", False, "claims: false is not allowed; allowed: string or null"),
        ("store", "a\x00b", r"store: \"a\\u0000b\" is not allowed; allowed: printable"),
    ],
)
def test_a_mistake_is_named(path, value, message):
    with pytest.raises(ConfigError, match=message):
        check_config(changed(path, value))


def test_a_fraction_without_test_sample():
    config = changed("studies.gai.samples", 2)
    config["studies"]["gai"]["grids"] = [
        dict(DEFAULT["studies"]["gai"]["grids"][-1], train_fractions=[0.4, 0.5])
    ]
    with pytest.raises(ConfigError, match="0.4 leaves no training sample of the 2 of cubic"):
        check_config(config)


def test_division_needs_a_prime():
    config = changed("studies.gai.p", 15)
    config["studies"]["gai"]["grids"][0]["tasks"] = ["modular_division"]
    with pytest.raises(ConfigError, match=r"studies\.gai\.p: 15 .*divisible by 3"):
        check_config(config)


def test_a_run_in_two_grids():
    config = copy.deepcopy(DEFAULT)
    config["studies"]["gai"]["grids"].append(config["studies"]["gai"]["grids"][0])
    with pytest.raises(ConfigError, match="is in two grids; list it once"):
        check_config(config)


def test_all_mistakes_are_told_at_once():
    config = changed("studies.gai.p", 1)
    config["analysis"]["alarms"]["threshold"] = -1
    config["extra"] = 1
    with pytest.raises(ConfigError, match="3 problems") as error:
        check_config(config)
    assert "Traceback" not in str(error.value)


def test_defaults_are_filled_in_and_nothing_else_changes():
    sweep = {"kind": "early_warning", "grids": DEFAULT["studies"]["gai"]["grids"]}
    config = {"studies": {"my_sweep": sweep}}
    before = copy.deepcopy(config)
    completed = check_config(config)
    assert config == before
    assert completed.analysis.alarms.threshold == 3.5
    study = completed.studies["my_sweep"]
    assert (study.betas, study.early_stop, study.claims) == ((0.9, 0.999), None, None)
    again = check_config(completed.values)
    assert again == completed
    assert check_config(again.values).values == completed.values


def test_the_old_spelling_is_one_error_that_says_the_new_one():
    config = copy.deepcopy(DEFAULT)
    for study in config["studies"].values():
        del study["kind"], study["claims"]
    with pytest.raises(ConfigError, match="3 problems") as error:
        check_config(config)
    assert str(error.value).count("kind: early_warning") == 3
    assert str(error.value).count("claims: GAI") == 3


def test_defaults_of_the_analysis_are_those_of_the_schema():
    sweep = {"kind": "phase_diagram", "grids": [GOOD]}
    assert default_analysis() == check_config({"studies": {"my_sweep": sweep}}).analysis
    assert default_analysis(alarms={"threshold": 4.0}).alarms.threshold == 4.0
    with pytest.raises(ConfigError, match=r"alarms: unknown key 'treshold'"):
        default_analysis(alarms={"treshold": 4.0})


def test_reading_a_section_that_was_not_asked_for_is_an_error():
    whole = default_analysis()
    part = Analysis.from_json(whole.to_json(["alarms"]))
    assert part.alarms == whole.alarms
    with pytest.raises(AttributeError, match="no section 'rank'; a rule must name it"):
        _ = part.rank
    assert Analysis.from_json(whole.to_json()) == whole


def test_settings_have_the_fields_of_the_schema():
    properties = read_schema("config.schema.yaml")["properties"]["analysis"]["properties"]
    whole = default_analysis()
    for section, schema in properties.items():
        assert set(vars(getattr(whole, section))) == set(schema["properties"])
    study = read_schema("config.schema.yaml")["$defs"]["study"]["properties"]
    assert {"name", *study} == {field.name for field in fields(StudySettings)}


def test_claim_sets_are_those_that_were_published():
    sets = read_published(ROOT / "workflow/report/claims.yaml")
    assert {name: published.kind for name, published in sets.items()} == {
        name: kind.name for kind in KINDS.values() for name in kind.claim_sets
    }


@pytest.mark.parametrize("config", [None, [], 7, "studies"])
def test_what_is_no_mapping(config):
    with pytest.raises(ConfigError, match="the configuration: .* is not allowed; allowed: object"):
        check_config(config)


def test_a_negative_zero_is_zero():
    config = check_config(changed(GRID + ".weight_decays", [-0.0]))
    assert repr(config.studies["gai"].grids[0].weight_decays) == "(0.0,)"


def test_whole_numbers_are_integers_in_paths():
    config = changed(GRID + ".depths", [2.0])
    assert repr(check_config(config).studies["gai"].grids[0].depths) == "(2,)"
