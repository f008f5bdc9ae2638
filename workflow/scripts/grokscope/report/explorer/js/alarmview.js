// Alarms: threshold and window of a detector, its scores beside chance, and what each alarm was.

import { AlarmModel } from "explorer/alarmmodel.js";
import { choice, el, fill, say } from "explorer/dom.js";
import { downloadCsv, downloadSvg } from "explorer/export.js";
import { number, plain, probability, steps as stepText, words } from "explorer/format.js";
import { FALSE, HIT, OPEN, verdicts } from "explorer/judge.js";
import { claimBox } from "explorer/overview.js";
import { layerName, WHOLE } from "explorer/panels.js";
import { COLOURS, Plot, library } from "explorer/plots.js";
import { address, go, keep, state } from "explorer/state.js";
import { simple, sortable } from "explorer/table.js";

const RULES = { every: "every alarm", first: "first alarm of a run", run: "any alarm before the event" };
const MODELS = {
  random: ["random", "as many alarms at random steps at risk"],
  shifted: ["shifted", "each run's own alarms, all moved by one random offset"],
  swapped: ["swapped", "the alarms of another seed of the cell"],
  constant_time: ["constant time", "one alarm at the cell's usual time, from the development seeds"],
};

const models = new Map();

function modelOf(study, signal, byStep) {
  const key = `${study.name} ${signal.detector} ${signal.layer} ${byStep}`;
  if (!models.has(key)) models.set(key, new AlarmModel(study, signal, byStep));
  return models.get(key);
}

export function showAlarms(root, study, header) {
  const now = state();
  const signal = study.signal(now.detector ?? study.signals[0].detector, now.layer ?? WHOLE) ?? study.signals[0];
  const byStep = signal.steps !== undefined && now.read !== "blocks";
  const model = modelOf(study, signal, byStep);
  if (!model.scored.length || !model.thresholds.length) {
    fill(root, el("h2", {}, "Alarms"), el("p", {}, "No run of the study has this score."));
    return null;
  }
  const { evaluation } = study;
  const scope = evaluation.scopes.find((of) => scopeKey(of) === now.scope) ?? evaluation.scopes[0];
  const rule = Object.hasOwn(RULES, now.rule ?? "") ? now.rule : "every";
  const given = [now.low, now.high].map(Number);
  const asked = now.low !== undefined && now.high !== undefined && given.every(Number.isFinite) && given[0] >= 0 && given[0] <= given[1];
  const usual = model.settings.find((of) => of.rule === rule && of.scope === scope) ?? model.settings[0];
  const setting = { scope, rule, window: asked ? given : [...evaluation.published], level: 0 };
  setting.level = startLevel(model, now.threshold, setting, usual);

  const farthest = Math.max(...evaluation.windows.map((of) => of[1]), setting.window[1]);
  const threshold = slider("threshold", `Threshold (score above it alarms; ${model.thresholds.length} on offer)`, 0, model.thresholds.length - 1, 1, setting.level, (level) => change({ level }));
  const low = slider("low", "Window: shortest lead of a hit (steps)", 0, farthest, 1, setting.window[0], (value) => change({ window: [value, Math.max(value, setting.window[1])] }));
  const high = slider("high", "Window: longest lead of a hit (steps)", 0, farthest, 1, setting.window[1], (value) => change({ window: [Math.min(value, setting.window[0]), value] }));

  const numbers = el("div", { id: "numbers" });
  const lists = el("div", { id: "lists" });
  const source = el("p", { class: "note", id: "source" });
  const tables = el("div", { class: "actions", role: "group", "aria-label": "Settings of the tables" });
  const plotHolder = el("div", { class: "plot", role: "img", "aria-label": "Precision, recall and time in warning at every threshold on offer; the table below has the numbers" });
  const curveBody = el("div");
  const curveTable = el("details", { toggle: () => drawCurveTable() }, el("summary", {}, "Table of all thresholds"), curveBody);
  let curve = null;
  let plot = null;
  let later = null;

  const change = (next) => {
    Object.assign(setting, next);
    refresh();
    keep({ threshold: plain(model.thresholds[setting.level]), t: setting.level, low: setting.window[0], high: setting.window[1] });
  };

  /** All that follows at once; lists, curves and exact chance a moment later. */
  const refresh = () => {
    const of = model.score(setting);
    const row = model.tableRow(setting);
    const chance = (row && model.tableChance(row)) ?? model.chance(setting, 19);
    threshold.set(setting.level, plain(model.thresholds[setting.level]));
    low.set(setting.window[0], `${stepText(setting.window[0])} steps`);
    high.set(setting.window[1], `${stepText(setting.window[1])} steps`);
    drawNumbers(of, row, chance);
    plot?.level(setting.level);
    clearTimeout(later);
    later = setTimeout(settle, 150);
  };
  const settle = () => {
    const of = model.score(setting);
    const row = model.tableRow(setting);
    const fromTable = row && model.tableChance(row);
    drawNumbers(of, row, fromTable ?? model.chance(setting, Infinity));
    fill(
      source,
      fromTable
        ? `These are settings of the tables: threshold ${row.source === "published" ? "as stated" : "chosen on the development seeds"}, chance from ${evaluation ? study.packed.cohort.surrogates : ""} surrogates, intervals (${Math.round(100 * evaluation.confidence)}%) over seeds.`
        : row
          ? "These are settings of the tables, which set them against no null model; chance is drawn here."
          : `Not settings of the tables: chance from ${study.packed.cohort.draws} surrogates drawn here; no intervals.`
    );
    drawLists();
    drawSettings();
    drawCurves();
    say(`precision ${number(of.precision)}, recall ${number(of.recall)}, ${of.hits} hits of ${of.judged} judged alarms`);
  };

  const drawNumbers = (of, row, chance) => {
    const intervals = row ? model.intervals(row) : null;
    const range = (name) => (intervals && !Number.isNaN(intervals[name][0]) ? el("span", { class: "range" }, `${number(intervals[name][0])} to ${number(intervals[name][1])}`) : null);
    const level = (name, key) => {
      const found = chance[key][name];
      const spread = Number.isNaN(found.mean) ? null : el("span", { class: "range" }, `${number(found.low)} to ${number(found.high)}`);
      const p = found.p === undefined || Number.isNaN(found.p) ? null : el("span", { class: "range" }, `p ${probability(found.p)}`);
      return el("td", { class: "num", "data-chance": `${key} ${name}` }, number(found.mean), spread, p);
    };
    const line = (name, text, shown, about, hasChance) =>
      el(
        "tr",
        {},
        el("th", { scope: "row", title: about }, text),
        el("td", { class: "num main", "data-score": name }, shown, hasChance ? range(name) : null),
        ...Object.keys(MODELS).map((key) => (hasChance ? level(name, key) : el("td", { class: "num" }, "")))
      );
    fill(
      numbers,
      el(
        "div",
        { class: "scroll" },
        el(
          "table",
          { class: "numbers" },
          el("caption", {}, `${of.runs} held-out runs, ${of.events} events, ${of.alarms} alarms at risk; ${of.hits} hits and ${of.judged - of.hits} false of ${of.judged} judged`),
          el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "score"), el("th", { scope: "col", class: "num" }, signal.title), ...Object.values(MODELS).map(([text, about]) => el("th", { scope: "col", class: "num", title: about }, text)))),
          el(
            "tbody",
            {},
            line("precision", "precision", number(of.precision), "hits / judged alarms", true),
            line("recall", "recall", number(of.recall), "hits / events", true),
            line("false_alarms_per_10000", "false alarms per 10,000 steps", number(of.falseAlarms), "of the steps at risk", false),
            line("time_in_warning", "time in warning", number(of.warned), "share of the steps at risk that lie in the window after an alarm", false)
          )
        )
      )
    );
  };

  const open = (run, at) => address({ view: "runs", study: study.name, run: study.runs[run], at, detector: signal.detector }, {});
  const drawLists = () => {
    const { fired } = model.alarms(setting.level);
    const found = { [HIT]: [], missed: [], [FALSE]: [], [OPEN]: [] };
    for (const i of model.members(scope)) {
      const run = model.cohort.runs[i];
      const of = verdicts(fired[i], i, model.cohort, rule, setting.window);
      of.forEach((verdict, k) => {
        if (verdict) found[verdict].push({ run, step: fired[i][k], onset: model.cohort.event[i] ? model.cohort.onset[i] : null });
      });
      if (model.cohort.event[i] && !of.includes(HIT)) found.missed.push({ run, step: null, onset: model.cohort.onset[i] });
    }
    const titles = { [HIT]: "Hits", missed: "Missed events", [FALSE]: "False alarms", [OPEN]: "Open alarms (the run ends before it can be told)" };
    fill(
      lists,
      ...Object.entries(found).map(([verdict, rows]) => {
        const columns = [
          { name: "run", text: "run", value: (row) => study.labels[row.run], show: (row) => el("a", { href: open(row.run, row.step ?? row.onset) }, study.labels[row.run]) },
          { name: "step", text: "alarm (step)", numeric: true, value: (row) => row.step },
          { name: "onset", text: "event (step)", numeric: true, value: (row) => row.onset },
          { name: "lead", text: "lead (steps)", numeric: true, value: (row) => (row.step === null || row.onset === null ? null : row.onset - row.step) },
        ];
        const table = sortable({ caption: titles[verdict], columns, rows, sort: "", limit: 50 });
        return el("details", { open: rows.length > 0 && rows.length <= 12, "data-list": verdict }, el("summary", {}, `${titles[verdict]}: ${rows.length}`), rows.length ? table : null);
      })
    );
    drawLists.found = found;
  };

  const drawSettings = () => {
    const mine = model.settings.filter((of) => scopeKey(of.scope) === scopeKey(scope) && of.rule === rule);
    const row = model.tableRow(setting);
    fill(
      tables,
      el("span", { class: "soft" }, "Settings of the tables:"),
      ...mine.map((of) =>
        el(
          "button",
          { type: "button", "aria-pressed": String(row?.row === of.row), click: () => change({ level: of.level, window: of.window ?? setting.window }) },
          `${plain(of.threshold)}${of.window ? `, ${of.window[0]}–${of.window[1]} steps` : ""}`
        )
      ),
      mine.length ? null : el("span", { class: "soft" }, "none of this signal")
    );
  };

  const drawCurves = async () => {
    const key = `${setting.window} ${rule} ${scopeKey(scope)}`;
    if (curve?.key === key) return;
    curve = { key, rows: Array.from(model.thresholds, (value, level) => ({ level, value, ...model.score({ ...setting, level }) })) };
    drawCurveTable();
    const x = Float64Array.from(curve.rows, (of) => of.level);
    const series = ["precision", "recall", "warned"].map((name, i) => ({ x, y: Float64Array.from(curve.rows, (of) => of[name]), colour: COLOURS[i], dash: ["solid", "dashed", "dotted"][i], width: 2, label: name }));
    if (plot) {
      plot.update(series);
      return;
    }
    const made = new Plot({ label: null, xLabel: "threshold", height: 230, range: [-0.5, model.thresholds.length - 0.5], yRange: [-0.03, 1.03], onRange: () => {} });
    made.series = series;
    made.extend = (Bokeh) => {
      made.line = new Bokeh.Span({ location: setting.level, dimension: "height", line_color: COLOURS[3], line_width: 3, editable: true });
      made.figure.add_layout(made.line);
      // Thresholds are equally far apart on the axis, whatever their values.
      const most = model.thresholds.length - 1;
      const ticks = [...new Set(Array.from({ length: 9 }, (_, i) => Math.round((i * most) / 8)))];
      made.figure.xaxes[0].ticker = new Bokeh.FixedTicker({ ticks });
      for (const grid of made.figure.xgrids) grid.ticker = made.figure.xaxes[0].ticker;
      made.figure.xaxes[0].major_label_overrides = new Map(
        ticks.map((level) => [level, String(Number(model.thresholds[level].toPrecision(3)))])
      );
    };
    plot = made;
    plot.level = (level) => made.line && (made.line.location = level);
    await made.show(plotHolder);
    plotHolder.setAttribute("data-ready", "true");
    dragging(plotHolder, made, model, (level) => level !== setting.level && change({ level }));
  };
  const drawCurveTable = () => {
    if (!curveTable.open || !curve) return;
    fill(curveBody, simple("All thresholds on offer", ["threshold", "precision", "recall", "false alarms per 10,000 steps", "time in warning", "alarms"], curve.rows.map((of) => [plain(of.value), number(of.precision), number(of.recall), number(of.falseAlarms), number(of.warned), String(of.alarms)])));
  };

  const detectors = study.signals.map((of) => [`${of.detector} ${of.layer}`, `${of.title}${of.layer === WHOLE ? "" : `, ${layerName(of.layer)}`}${of.uses_test_data ? " (uses test data)" : ""}`]);
  const readings = signal.steps ? [["steps", "to the step (as stated thresholds)"], ["blocks", `in blocks of ${evaluation.resolution} steps (as chosen thresholds)`]] : [["blocks", `in blocks of ${evaluation.resolution} steps`]];
  const claim = study.claims.find((of) => of.claim === now.claim);
  fill(
    root,
    claim ? claimBox(claim, header, study) : null,
    el("h2", {}, "Alarms"),
    el(
      "div",
      { class: "controls" },
      choice("Detector", detectors, `${signal.detector} ${signal.layer}`, (value) => {
        const [detector, layer] = value.split(" ");
        go({ detector, layer: layer === WHOLE ? null : layer, threshold: null, t: null, read: null });
      }, "detector"),
      choice("Alarms are known", readings, byStep ? "steps" : "blocks", (read) => go({ read: read === "blocks" && signal.steps ? read : null, threshold: null, t: null }), "read"),
      choice("Counted is", Object.entries(RULES), rule, (value) => go({ rule: value, t: null }), "rule"),
      choice("Runs", evaluation.scopes.map((of) => [scopeKey(of), scopeText(of)]), scopeKey(scope), (value) => go({ scope: value }), "scope"),
      el("button", { type: "button", id: "csv", click: () => downloadCsv(`${study.name}-alarms`, ["verdict", "run", "alarm", "event"], Object.entries(drawLists.found).flatMap(([verdict, rows]) => rows.map((row) => [verdict, study.labels[row.run], row.step, row.onset]))) }, "CSV of the alarms"),
      el("button", { type: "button", id: "csv-curve", click: () => downloadCsv(`${study.name}-thresholds`, ["threshold", "precision", "recall", "false_alarms_per_10000", "time_in_warning"], curve.rows.map((of) => [of.value, of.precision, of.recall, of.falseAlarms, of.warned])) }, "CSV of the thresholds"),
      el("button", { type: "button", id: "svg", click: async () => {
        await library();
        downloadSvg(`${study.name}-alarms`, [{ title: `${study.name}, ${signal.title}: precision (solid), recall (dashed), time in warning (dotted) by threshold`, drawing: plot.drawing() }]);
      } }, "SVG")
    ),
    el("p", { class: "note" }, `${signal.about}.`),
    el("div", { class: "settings" }, threshold.element, rule === "run" ? null : low.element, rule === "run" ? null : high.element),
    tables,
    numbers,
    source,
    el("section", { "aria-label": "All thresholds" }, el("h3", {}, "At every threshold"),
      el("ul", { class: "legend" }, ...[["precision", "solid"], ["recall", "dashed"], ["time in warning", "dotted"]].map(([text, dash], i) => {
        const sample = el("span", { class: `line ${dash}`, "aria-hidden": true });
        sample.style.borderColor = COLOURS[i];
        return el("li", {}, sample, text);
      }), el("li", {}, "drag the upright line, or use the slider")),
      plotHolder, curveTable),
    el("section", { "aria-label": "What the alarms were" }, el("h3", {}, "Hits, misses, false alarms"), lists)
  );
  refresh();
  return () => clearTimeout(later);
}

/** The level of the state: by its place, else by its value, else the table's. */
function startLevel(model, threshold, setting, usual) {
  if (threshold !== undefined) {
    const value = Number(threshold);
    const distance = Array.from(model.thresholds, (of) => Math.abs(of - value));
    return distance.indexOf(Math.min(...distance));
  }
  const same = model.settings.find((of) => of.rule === setting.rule && scopeKey(of.scope) === scopeKey(setting.scope) && of.window && of.window[0] === setting.window[0] && of.window[1] === setting.window[1]);
  return (same ?? usual)?.level ?? Math.floor(model.thresholds.length / 2);
}

function scopeKey({ task, depth }) {
  return `${task ?? "all"}/${depth ?? "all"}`;
}

function scopeText({ task, depth }) {
  if (depth === null) return "all held-out runs";
  return `${task === null ? "all tasks" : words(task)}, depth ${depth}`;
}

function slider(id, text, min, max, step, value, change) {
  const output = el("output", { for: id });
  const input = el("input", { type: "range", id, min, max, step, value, input: (event) => change(Number(event.target.value)) });
  const element = el("div", { class: "slider" }, el("label", { for: id }, text), input, output);
  return {
    element,
    set(next, shown) {
      if (Number(input.value) !== next) input.value = next;
      output.value = shown;
      input.setAttribute("aria-valuetext", shown);
    },
  };
}

/** The threshold follows the pointer on the plot. */
function dragging(element, plot, model, change) {
  const level = (event) => {
    const frame = plot.view.frame;
    const box = plot.view.el.getBoundingClientRect();
    const x = frame.x_scale.invert(event.clientX - box.left);
    return Math.min(Math.max(Math.round(x), 0), model.thresholds.length - 1);
  };
  let held = false;
  element.addEventListener("pointerdown", (event) => {
    held = true;
    element.setPointerCapture(event.pointerId);
    change(level(event));
  });
  element.addEventListener("pointermove", (event) => held && change(level(event)));
  for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, () => (held = false));
}
