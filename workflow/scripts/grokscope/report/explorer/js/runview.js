// Runs: curves, scores, onsets and alarms of one or several runs over shared axes.

import { choice, el, fill, say } from "explorer/dom.js";
import { downloadCsv, downloadSvg } from "explorer/export.js";
import { plain, steps as stepText } from "explorer/format.js";
import { layerName, panelTitle, panelsOf, WHOLE } from "explorer/panels.js";
import { COLOURS, DASHES, Plot, extent, within } from "explorer/plots.js";
import { address, go, keep, state } from "explorer/state.js";
import { simple } from "explorer/table.js";

const SHARES = ["metric", "softmax_collapse", "score"];
const MARK_DASH = { train_onset_step: "dotted", test_onset_step: "solid", test_lost_step: "dashdot", grad_peak_step: "dashed", metric_transition_step: "dotdash" };

export function showRuns(root, study, header) {
  const now = state();
  const runs = (now.run ?? "").split(";").map((name) => study.place.get(name)).filter((run) => run !== undefined);
  if (!runs.length) {
    fill(root, el("h2", {}, "Runs"), el("p", {}, "Choose runs in the ", el("a", { href: address({ view: "overview" }) }, "overview"), "."));
    return;
  }
  const aligned = now.align === "onset";
  const zero = (run) => (aligned ? study.value("test_onset_step", run) : 0);
  const shown = runs.filter((run) => zero(run) !== null);
  const left = runs.filter((run) => zero(run) === null);
  const single = shown.length === 1;
  const layers = [...new Set([...panelsOf(study.curves.columns).values()].flat().map((of) => of.layer).filter(Boolean))];
  const layer = now.layer ?? (single ? "all" : WHOLE);
  const wide = now.scale !== "linear";
  const logarithmicX = now.x === "log" && !aligned;

  // Of the runs together.
  const ends = shown.map((run) => [-zero(run), study.last[run] - zero(run)]);
  const whole = shown.length ? [Math.min(...ends.map((of) => of[0])), Math.max(...ends.map((of) => of[1]))] : [0, 1];
  if (logarithmicX) whole[0] = 1;
  let range = startRange(now, whole, shown, zero);

  const plots = [];
  const clamp = ([from, to]) => {
    const least = Math.min(10, whole[1] - whole[0]);
    return to - from < least ? range : [Math.max(from, whole[0]), Math.min(to, whole[1])];
  };
  let frame = null;
  const setRange = (next) => {
    range = clamp(next);
    // One drawing per frame, of the plots that can be seen.
    frame ??= requestAnimationFrame(() => {
      frame = null;
      for (const entry of plots) if (entry.seen) entry.plot.setRange(range);
      fields();
    });
  };
  const settle = () => {
    for (const entry of plots) if (entry.seen) entry.table?.();
    keep({ from: Math.round(range[0]), to: Math.round(range[1]) });
    say(`steps ${stepText(Math.round(range[0]))} to ${stepText(Math.round(range[1]))}`);
  };
  let timer = null;
  const move = (next) => {
    setRange(next);
    clearTimeout(timer);
    timer = setTimeout(settle, 200);
  };
  const zoom = (factor) => {
    const middle = (range[0] + range[1]) / 2;
    move([middle - (factor * (range[1] - range[0])) / 2, middle + (factor * (range[1] - range[0])) / 2]);
  };
  const shift = (share) => {
    const by = share * (range[1] - range[0]);
    const inside = Math.min(Math.max(by, whole[0] - range[0]), whole[1] - range[1]);
    move([range[0] + inside, range[1] + inside]);
  };

  const from = el("input", { type: "number", id: "from", step: "any", change: () => move([Number(from.value), range[1]]) });
  const to = el("input", { type: "number", id: "to", step: "any", change: () => move([range[0], Number(to.value)]) });
  const fields = () => {
    from.value = Math.round(range[0]);
    to.value = Math.round(range[1]);
  };
  fields();
  const button = (text, about, click) => el("button", { type: "button", "aria-label": about, title: about, click }, text);

  const signals = study.signals.filter((of) => of.layer === WHOLE || layer === "all" || of.layer === layer);
  const detectors = [...new Set(study.signals.map((of) => of.detector))];
  const detector = now.detector ?? detectors[0];
  const holder = el("div", { class: "plots" });
  const series = (run, of, place) => ({
    run,
    colour: COLOURS[(single ? place : shown.indexOf(run)) % COLOURS.length],
    dash: single ? (place >= COLOURS.length ? "dashed" : "solid") : DASHES[place % DASHES.length],
    label: [single ? "" : short[shown.indexOf(run)], of.part].filter(Boolean).join(", "),
  });
  const moved = (points, run) => (zero(run) ? { ...points, x: points.x.map((x) => x - zero(run)) } : points);
  const inLayer = (of) => !of.layer || layer === "all" || of.layer === layer;

  const short = differing(shown.map((run) => study.labels[run]));
  const groups = [];
  for (const [panel, columns] of panelsOf(study.curves.columns)) {
    // Where a quantity has no such layer, its last one stands for it.
    const fitting = columns.filter(inLayer);
    const chosen = fitting.length ? fitting : columns.slice(-1);
    const lines = chosen.flatMap((of, place) =>
      shown.filter((run) => study.curves.has(of.column, run)).map((run) => ({ ...series(run, of, place), ...moved(study.curves.points(of.column, run), run) }))
    );
    if (lines.length) groups.push({ panel, title: panelTitle(panel), lines });
  }
  const scored = signals.filter((of) => of.detector === detector);
  const scores = scored.flatMap((of, place) => {
    const found = study.scoresOf(of, false);
    const part = layerName(of.layer);
    return shown.filter((run) => found.runs.includes(run)).map((run) => ({ ...series(run, { part }, place), ...moved(found.points(run), run) }));
  });
  if (scores.length) {
    const stated = scored[0].stated;
    const more = stated === null ? [] : [{ x: Float64Array.from(whole), y: Float64Array.of(stated, stated), colour: COLOURS[6], dash: "dashed", label: `stated threshold ${plain(stated)}`, width: 1 }];
    groups.push({ panel: "score", title: `Score of ${scored[0].title}`, lines: [...scores, ...more], about: `${scored[0].about}; the largest of each ${study.evaluation.resolution} steps.` });
  }
  const { marks, bands, rows } = events(study, header, shown, zero, detector, single);

  groups.forEach((group, place) => {
    // A share is read on a linear axis.
    const logarithmic = wide && !SHARES.includes(group.panel) && group.lines.some((of) => of.logarithmic) && group.lines.every((of) => of.y.every((y) => !(y <= 0)));
    const last = place === groups.length - 1;
    const plot = new Plot({
      label: null,
      xLabel: last ? (aligned ? "steps after generalisation (negative: before)" : "step") : null,
      height: last ? 190 : 170,
      logarithmic, logarithmicX, range,
      onRange: move,
    });
    Object.assign(plot, { series: group.lines, marks, bands });
    const element = el("div", { class: "plot", role: "img", "aria-label": `${group.title} of ${shown.map((run) => study.labels[run]).join("; ")}; its numbers are in the table below it` });
    const body = el("div");
    const details = el("details", { toggle: () => table() }, el("summary", {}, `Table of ${group.title.toLowerCase()}`), body);
    const table = () => {
      if (!details.open) return;
      fill(body, simple(`${group.title}, steps ${stepText(Math.round(range[0]))} to ${stepText(Math.round(range[1]))}`, ["curve", "smallest", "largest", "last"], within(group.lines, range)));
    };
    const entry = { plot, element, title: group.title, seen: false, shown: null, table };
    plots.push(entry);
    holder.append(
      el(
        "section",
        { class: "panel", "data-panel": group.panel, "aria-label": group.title },
        el("h3", {}, group.title),
        group.about ? el("p", { class: "note" }, group.about) : null,
        legend(group.lines),
        element,
        details
      )
    );
  });
  const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const entry = plots.find((of) => of.element === target);
      entry.seen = isIntersecting;
      if (!isIntersecting) continue;
      if (entry.shown) entry.plot.setRange(range);
      else {
        entry.plot.range = range;
        entry.shown = entry.plot.show(entry.element).then(() => entry.element.setAttribute("data-ready", "true"));
      }
    }
  }, { rootMargin: "100px" });

  fill(
    root,
    el("h2", {}, single ? study.labels[shown[0]] : `${shown.length} runs over one another`),
    single ? null : el("p", { class: "note" }, common(shown.map((run) => study.labels[run]))),
    single ? facts(study, shown[0]) : null,
    left.length ? el("p", { class: "note" }, `Without an onset of generalisation, so not shown: ${left.map((run) => study.labels[run]).join("; ")}.`) : null,
    el(
      "div",
      { class: "controls sticky", role: "toolbar", "aria-label": "Axes" },
      choice("Axis of steps", [["step", "steps"], ["onset", "steps before onset"]], now.align ?? "step", (align) => go({ align: align === "step" ? null : align, from: null, to: null }), "align"),
      choice("Steps", [["linear", "linear"], ["log", "log"]], logarithmicX ? "log" : "linear", (x) => go({ x: x === "linear" ? null : x, from: null, to: null }), "x"),
      choice("Values", [["log", "log where wide"], ["linear", "linear"]], wide ? "log" : "linear", (scale) => go({ scale: scale === "log" ? null : scale }), "scale"),
      choice("Layer", [["all", "all"], ...layers.map((of) => [of, layerName(of)])], layer, (of) => go({ layer: of }), "layer"),
      choice("Score of", detectors.map((of) => [of, study.signals.find((one) => one.detector === of).title]), detector, (of) => go({ detector: of }), "detector"),
      el(
        "span",
        { class: "group" },
        button("−", "zoom out", () => zoom(2)),
        button("+", "zoom in", () => zoom(0.5)),
        button("◀", "earlier steps", () => shift(-0.25)),
        button("▶", "later steps", () => shift(0.25)),
        button("all", "all steps", () => move(whole))
      ),
      el("label", { class: "field" }, el("span", {}, "from"), from),
      el("label", { class: "field" }, el("span", {}, "to"), to),
      el("button", { type: "button", id: "csv", click: () => downloadCsv(`${study.name}-curves`, ["panel", "curve", "step", "value"], shownPoints(groups, range)) }, "CSV"),
      el("button", { type: "button", id: "svg", click: async () => {
        await Promise.all(plots.map((entry) => (entry.shown ??= entry.plot.show(entry.element))));
        for (const entry of plots) entry.plot.setRange(range);
        downloadSvg(`${study.name}-runs`, plots.map(({ plot, title }) => ({ title, drawing: plot.drawing() })));
      } }, "SVG")
    ),
    marksLegend(header, marks, bands),
    holder,
    el("section", { "aria-label": "Events and alarms" }, el("h3", {}, "Events and alarms"),
      rows.length
        ? simple("Onsets, peaks and alarms at stated thresholds", ["step", "what", "score", "before onset", "run"], rows.map((of) => [
            el("button", { type: "button", class: "link", click: () => move([of.x - 60, of.x + 60]) }, stepText(of.step)),
            of.what, of.score === null ? "" : plain(of.score), of.ahead === null ? "" : stepText(of.ahead), study.labels[of.run],
          ]))
        : el("p", {}, "None."))
  );
  for (const { element } of plots) watch.observe(element);
  return () => watch.disconnect();
}

function startRange(now, whole, shown, zero) {
  if (now.at !== undefined && shown.length) {
    const at = Number(now.at) - zero(shown[0]);
    return [Math.max(at - 300, whole[0]), Math.min(at + 300, whole[1])];
  }
  const given = [now.from, now.to].map(Number);
  const valid = now.from !== undefined && now.to !== undefined && given.every(Number.isFinite) && given[0] < given[1];
  return valid ? [Math.max(given[0], whole[0]), Math.min(given[1], whole[1])] : whole;
}

/** Marks and bands of the plots, and rows of the table of events. */
function events(study, header, shown, zero, detector, single) {
  const marks = [];
  const bands = [];
  const rows = [];
  for (const run of shown) {
    const colour = (own) => (single ? own : COLOURS[shown.indexOf(run) % COLOURS.length]);
    const onset = study.value("test_onset_step", run);
    const row = (step, what, score = null) =>
      rows.push({ run, step, x: step - zero(run), what, score, ahead: onset === null ? null : onset - step });
    for (const [name, what] of Object.entries(header.marks)) {
      const step = study.value(name, run);
      if (step === null) continue;
      row(step, what);
      const main = name === "train_onset_step" || name === "test_onset_step";
      if (main || single) marks.push({ x: step - zero(run), colour: colour(main ? COLOURS[2] : COLOURS[6]), dash: MARK_DASH[name] ?? "dashed", name });
    }
    for (const of of study.alarmsOf(run)) {
      row(of.step, `alarm of ${study.signal(of.detector, of.layer)?.title ?? of.detector}, ${layerName(of.layer)}${of.cause === "none" ? "" : `; ${of.cause.replaceAll("_", " ")}`}`, of.score);
      if (of.detector === detector && of.layer === WHOLE) marks.push({ x: of.step - zero(run), colour: colour(COLOURS[1]), dash: "solid", name: "alarm" });
    }
    if (single && onset !== null) {
      const [low, high] = study.evaluation.published;
      bands.push({ from: onset - high - zero(run), to: onset - low - zero(run), colour: COLOURS[5] });
    }
  }
  rows.sort((a, b) => a.x - b.x);
  return { marks, bands, rows };
}

function legend(lines) {
  if (lines.length < 2) return null;
  return el("ul", { class: "legend" }, ...lines.map((of) => {
    const sample = el("span", { class: `line ${of.dash ?? "solid"}`, "aria-hidden": true });
    sample.style.borderColor = of.colour;
    return el("li", {}, sample, of.label);
  }));
}

function marksLegend(header, marks, bands) {
  const names = [...new Set(marks.map((of) => of.name))];
  if (!names.length) return null;
  return el("ul", { class: "legend" }, ...names.map((name) => {
    const of = marks.find((mark) => mark.name === name);
    const sample = el("span", { class: `line upright ${of.dash}`, "aria-hidden": true });
    sample.style.borderColor = of.colour;
    return el("li", {}, sample, header.marks[name] ?? "alarm at the stated threshold");
  }), bands.length ? el("li", {}, el("span", { class: "band", "aria-hidden": true }), "published window of hits") : "");
}

/** Names without the parts that all of them have. */
function differing(labels) {
  const parts = labels.map((label) => label.split(", "));
  const shared = (part) => parts.every((of) => of.includes(part));
  return parts.map((of) => of.filter((part) => !shared(part)).join(", "));
}

/** The parts that all of some names have. */
function common(labels) {
  const parts = labels.map((label) => label.split(", "));
  return (parts[0] ?? []).filter((part) => parts.every((of) => of.includes(part))).join(", ");
}

function facts(study, run) {
  const names = ["phase", "train_onset_step", "test_onset_step", "final_train_metric", "final_test_metric", "stopped", "steps", "processor"];
  return el("dl", { class: "facts" }, ...names.filter((name) => study.column.has(name)).flatMap((name) => [
    el("div", {}, el("dt", { title: study.column.get(name).about }, name.replaceAll("_", " ")), el("dd", {}, plain(study.value(name, run)))),
  ]));
}

function shownPoints(groups, [from, to]) {
  const rows = [];
  for (const { title, lines } of groups) {
    for (const { label, x, y } of lines) {
      for (let i = 0; i < x.length; i++) if (x[i] >= from && x[i] <= to && Number.isFinite(y[i])) rows.push([title, label, x[i], Number(y[i].toPrecision(6))]);
    }
  }
  return rows;
}
