"""The explorer in a browser: every view, what a reader does in it, and the tables' numbers."""

from __future__ import annotations

import csv
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest
from explorer_page import MODULES, PHONE, Looked, packed

from grokscope.core.formatting import number, probability
from grokscope.evaluate.nulls import MODELS
from grokscope.report.explorer.page import render_explorer
from synthetic_results import Results

MODULAR = "task=modular_addition,depth=2,train_fraction=0.6,weight_decay=0.1,width=64"


def text_of(value: float | None) -> str:
    return "–" if pd.isna(value) else number(float(value))


def shown_scores(page) -> dict[str, str]:
    """First line of each score's cell; the second is its interval."""
    return {
        cell.get_attribute("data-score"): cell.evaluate("of => of.firstChild.textContent")
        for cell in page.locator("[data-score]").all()
    }


def signals_of(rows: pd.DataFrame) -> list[tuple[str, str, str]]:
    found = rows.loc[rows["threshold"].notna(), ["detector", "layer", "threshold_source"]]
    return [tuple(of) for of in found.drop_duplicates().itertuples(index=False)]


def test_at_the_settings_of_the_tables_every_number_is_theirs(
    desktop: Looked, small_results: Results
) -> None:
    tables = small_results.tables
    rows = tables["evaluation"]
    rows = rows[(rows["study"] == "gai") & rows["task"].isna() & rows["depth"].isna()]
    chance = tables["chance"].astype(object).where(tables["chance"].notna(), None)
    seen, beside = 0, 0
    desktop.open(study="gai")
    for detector, layer, source in signals_of(rows):
        mine = rows[
            (rows["detector"] == detector)
            & (rows["layer"] == layer)
            & (rows["threshold_source"] == source)
            & rows["threshold"].notna()
        ]
        # One window of each rule; of most signals one rule, as the code is the same.
        if layer != "combined" or detector not in ("gai", "cusum"):
            mine = mine[mine["rule"] == "every"]
        for row in mine.drop_duplicates("rule").to_dict("records"):
            windowed = pd.notna(row["lead_min"])
            window = {"low": row["lead_min"], "high": row["lead_max"]} if windowed else {}
            page = desktop.go(
                view="alarms", study="gai", detector=detector, layer=layer, rule=row["rule"],
                read="steps" if source == "published" else "blocks",
                threshold=repr(float(row["threshold"])), **window,
            )  # fmt: skip
            page.locator("#source").filter(has_text="settings of the tables").wait_for()
            expected = {
                name: text_of(row[name])
                for name in ("precision", "recall", "false_alarms_per_10000", "time_in_warning")
            }
            assert shown_scores(page) == expected, row
            counts = page.locator(".numbers caption").text_content()
            assert counts.startswith(
                f"{row['n_runs']} held-out runs, {row['n_events']} events, {row['n_alarms']} "
                f"alarms at risk; {row['n_hits']} hits"
            )
            seen += 1
            same = ["study", "detector", "layer", "threshold_source", "rule"]
            found = chance[
                (chance[same] == pd.Series({name: row[name] for name in same})).all(axis=1)
            ]
            found = found[found["depth"].isna() & found["score"].isin(["precision", "recall"])]
            if windowed:
                found = found[
                    (found["lead_min"] == row["lead_min"]) & (found["lead_max"] == row["lead_max"])
                ]
            for level in found.to_dict("records"):
                cell = page.locator(f'[data-chance="{level["null_model"]} {level["score"]}"]')
                text = cell.evaluate("of => of.firstChild.textContent")
                assert text == text_of(level["null_mean"]), level
                if level["p"] is not None:
                    assert f"p {probability(level['p'])}" in cell.text_content()
                beside += 1
    assert seen > 15
    assert beside > 60


def test_threshold_and_window_are_dragged_and_scores_chance_and_lists_follow(
    desktop: Looked, small_results: Results
) -> None:
    page = desktop.open(view="alarms", study="gai")
    page.locator("#source").filter(has_text="settings of the tables").wait_for()
    slider = page.locator("#threshold")
    box = slider.bounding_box()
    before = page.locator(".slider output").first.text_content()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 3, box["y"] + box["height"] / 2, steps=8)
    page.mouse.up()
    page.locator("#source").filter(has_text="Not settings of the tables").wait_for()
    assert page.locator(".slider output").first.text_content() != before
    alarms = int(re.search(r"(\d+) alarms at risk", page.locator(".numbers").text_content())[1])
    at_stated = small_results.tables["evaluation"]
    at_stated = at_stated[(at_stated["detector"] == "gai") & (at_stated["study"] == "gai")]
    assert alarms > at_stated["n_alarms"].iloc[0]
    assert page.locator("[data-chance]").count() == 2 * len(MODELS)
    assert "threshold=" in page.url
    # By the keyboard.
    slider.focus()
    slider.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext")
    page.locator("#high").focus()
    for _ in range(5):
        page.locator("#high").press("ArrowRight")
    assert "high=65" in page.url
    # On the plot.
    plot = page.locator(".plot[data-ready]")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 80)
    page.mouse.down()
    before = page.url
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 80, steps=5)
    page.mouse.up()
    assert page.url != before
    # The settings of the tables, and from a hit to its run.
    page.get_by_role("group", name="Settings of the tables").get_by_role("button").first.click()
    page.locator("#source").filter(has_text="These are settings").wait_for()
    link = page.locator("#lists details[open] a").first
    name = link.text_content()
    link.click()
    page.get_by_role("heading", name=name).wait_for()
    assert "at=" in page.url


def test_the_map_leads_to_runs_and_runs_to_curves(desktop: Looked) -> None:
    page = desktop.open(view="overview", study="phase_diagram")
    cells = page.locator("[data-cell]")
    assert cells.count() == 4
    cells.first.click()
    page.get_by_text("1 of 4 runs of phase_diagram").wait_for()
    assert "cell=" in page.url
    page.locator("#color").select_option("test_onset_step")
    page.locator(".swatch").first.wait_for()
    page.locator("td a").first.click()
    page.locator('[data-panel="loss"] .plot[data-ready]').wait_for()
    panels = [of.get_attribute("data-panel") for of in page.locator("[data-panel]").all()]
    assert {"loss", "metric", "grad_norm", "weight_norm", "score"} <= set(panels)


def test_runs_sort_filter_and_lie_over_one_another(desktop: Looked) -> None:
    page = desktop.open(view="overview", study="gai")
    page.get_by_text("12 of 12 runs of gai").wait_for()
    page.locator("#filter-depth").select_option("3")
    page.get_by_text("6 of 12 runs of gai").wait_for()
    head = page.get_by_role("button", name="test onset step")
    head.click()
    assert "sort=test_onset_step" in page.url
    head = page.locator("th[aria-sort=ascending]")
    place = page.locator("thead th").evaluate_all("of => of.findIndex(x => x.ariaSort)")
    texts = page.locator(f"tbody tr td:nth-child({place + 1})").all_text_contents()
    known = [int(text) for text in texts[-6:] if text != "–"]
    assert known == sorted(known) and known
    page.locator("td input[type=checkbox]").nth(0).check()
    page.locator("td input[type=checkbox]").nth(1).check()
    page.get_by_role("link", name="Show 2 chosen runs").click()
    page.get_by_role("heading", name="2 runs over one another").wait_for()
    page.locator("#align").select_option("onset")
    page.locator('[data-panel="loss"] .plot[data-ready]').wait_for()
    assert "align=onset" in page.url
    page.locator("#scale").select_option("linear")
    page.locator("#layer").select_option("all")
    page.locator('[data-panel="grad_norm"] .legend li').nth(5).wait_for()


def test_zoom_by_buttons_keys_and_wheel_moves_all_axes_and_the_address(desktop: Looked) -> None:
    page = desktop.open(view="runs", study="gai", run=f"{MODULAR},seed=1")
    page.locator('[data-panel="metric"] .plot[data-ready]').wait_for()
    page.get_by_role("button", name="zoom in").click()
    page.wait_for_url(re.compile("from=100&to=300"))
    page.get_by_role("button", name="later steps").press("Enter")
    page.wait_for_url(re.compile("from=150&to=350"))
    page.locator("#to").fill("250")
    page.locator("#to").press("Enter")
    page.wait_for_url(re.compile("from=150&to=250"))
    plot = page.locator('[data-panel="loss"] .plot').bounding_box()
    page.mouse.move(plot["x"] + 500, plot["y"] + 60)
    page.mouse.down()
    page.mouse.move(plot["x"] + 700, plot["y"] + 60, steps=6)
    page.mouse.up()
    page.wait_for_url(re.compile(r"from=(1[0-4]\d)&"))
    # The other axes follow, and the table behind the plot.
    page.locator('[data-panel="metric"] summary').click()
    caption = page.locator('[data-panel="metric"] caption').text_content()
    start = re.search(r"from=(\d+)", page.url)[1]
    assert f"steps {start} to" in caption
    assert page.locator('[data-panel="metric"] tbody tr').count() == 2


def test_what_is_shown_is_saved(desktop: Looked, tmp_path: Path) -> None:
    page = desktop.open(view="runs", study="gai", run=f"{MODULAR},seed=1")
    page.locator('[data-panel="loss"] .plot[data-ready]').wait_for()
    with page.expect_download() as waiting:
        page.locator("#csv").click()
    waiting.value.save_as(tmp_path / "curves.csv")
    rows = list(csv.reader((tmp_path / "curves.csv").read_text().splitlines()))
    assert rows[0] == ["panel", "curve", "step", "value"]
    assert {row[1] for row in rows if row[0] == "Loss"} == {"train", "test"}
    with page.expect_download() as waiting:
        page.locator("#svg").click()
    waiting.value.save_as(tmp_path / "runs.svg")
    drawing = ET.parse(tmp_path / "runs.svg").getroot()  # noqa: S314  # Our own file.
    assert len(drawing.findall("{http://www.w3.org/2000/svg}svg")) >= 5
    page = desktop.open(view="overview", study="phase_diagram")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="SVG of the map").click()
    waiting.value.save_as(tmp_path / "map.svg")
    assert "svg" in ET.parse(tmp_path / "map.svg").getroot().tag  # noqa: S314


def test_a_claim_leads_to_the_runs_it_rests_on(desktop: Looked, small_results: Results) -> None:
    links = re.findall(r'href="explorer.html#([^"]*claim=GAI2)"', small_results.html)
    assert links
    state = dict(part.split("=") for part in links[0].replace("&amp;", "&").split("&"))
    page = desktop.open(**state)
    page.locator(".claim").filter(has_text="GAI2").wait_for()
    page.get_by_text("12 of 12 runs of gai").wait_for()
    page.get_by_role("link", name="Alarms that its number counts").click()
    page.locator("#source").filter(has_text="settings of the tables").wait_for()


@pytest.mark.parametrize("view", ["overview", "runs", "alarms"])
def test_on_a_phone_nothing_is_cut_off(phone: Looked, view: str) -> None:
    page = phone.open(view=view, study="gai", run=f"{MODULAR},seed=1")
    page.locator("main h2").first.wait_for()
    if view != "overview":
        page.locator(".plot[data-ready]").first.wait_for()
    width = page.evaluate("() => document.documentElement.scrollWidth")
    assert width <= PHONE["width"]
    names = page.evaluate(
        "() => [...document.querySelectorAll('select, input, button, a')].filter((of) =>"
        " !(of.labels?.length || of.textContent.trim() || of.ariaLabel)).length"
    )
    assert names == 0


def test_a_wrong_address_is_no_error(desktop: Looked) -> None:
    page = desktop.open(view="constructor", study="__proto__", cell="no", claim="no")
    page.get_by_text("0 of ").first.wait_for()
    page = desktop.open(view="runs", run="no such run")
    page.get_by_text("Choose runs in the").wait_for()
    page = desktop.open(view="alarms", detector="<b>", threshold="x", low="9", high="1")
    page.locator("#numbers table").wait_for()


def test_hostile_names_stay_text(browser, small_results: Results, tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)></script><b>"
    claims = small_results.tables["claims"]
    runs = small_results.tables["runs"].assign(processor=hostile)
    tables = small_results.tables | {"claims": claims.assign(reason=hostile), "runs": runs}
    spoiled = Results(**{**vars(small_results), "tables": tables})
    folder = MODULES[0].parents[1]
    page = render_explorer(
        folder / "explorer.html.j2", folder / "explorer.css", MODULES, packed(spoiled)
    )
    path = tmp_path / "hostile.html"
    path.write_text(page)
    looked = Looked(browser, path, PHONE, dark=True)
    shown = looked.open(view="overview", study="gai", claim="GAI2")
    assert hostile in shown.locator(".claim").text_content()
    shown = looked.open(view="runs", study="gai", run=f"{MODULAR},seed=1")
    assert hostile in shown.locator(".facts").text_content()
    assert shown.locator("main img, main b, main script").count() == 0
    assert looked.problems == []
    looked.context.close()


def test_no_module_makes_markup_of_text() -> None:
    for path in MODULES:
        found = re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", path.read_text()
        )
        assert not found, f"{path.name}: {found}"


LIVE_CHANCE = """async (name) => {
  const { Payload } = await import("explorer/payload.js");
  const { Study } = await import("explorer/study.js");
  const { AlarmModel } = await import("explorer/alarmmodel.js");
  const payload = await Payload.read(document.getElementById("results"));
  const study = new Study(payload, payload.header.studies.find((of) => of.name === name));
  const found = [];
  for (const signal of study.signals) {
    for (const byStep of signal.steps ? [true, false] : [false]) {
      const model = new AlarmModel(study, signal, byStep);
      for (const of of model.settings.filter((one) => model.tableChance(one))) {
        const window = of.window ?? study.evaluation.primary;
        const drawn = model.chance({ ...of, window }, Infinity);
        const table = model.tableChance(of);
        for (const key of Object.keys(table)) {
          for (const score of ["precision", "recall"]) {
            found.push([key, drawn[key][score].mean, table[key][score].mean]);
          }
        }
      }
    }
  }
  return found;
}"""


def test_chance_drawn_in_the_page_is_that_of_the_tables(desktop: Looked) -> None:
    page = desktop.open(view="overview", study="gai")
    rows = page.evaluate(LIVE_CHANCE, "gai")
    found = pd.DataFrame(rows, columns=["model", "drawn", "table"]).astype({"drawn": float})
    assert (found["drawn"].isna() == found["table"].isna()).all()
    apart = (found["drawn"] - found["table"].astype(float)).abs().groupby(found["model"])
    assert set(apart.groups) == set(MODELS)
    # The same constant times, so the same levels; the others are other draws of the same models.
    assert apart.max()["constant_time"] < 1e-12
    assert (apart.mean() < 0.06).all(), apart.mean()
