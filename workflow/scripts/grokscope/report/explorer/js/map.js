// The map of a study: a cell per combination of what its grid varies, coloured by what one asks.

import { el } from "explorer/dom.js";
import { ABSENT, fixed, plain, words } from "explorer/format.js";
import { svg } from "explorer/export.js";

// Phases as in the figures; each cell also says its phase in words.
const PHASES = {
  confusion: "#bdbdc4", memorisation: "#7fb0e0", grokking: "#f2b134",
  comprehension: "#5bb98c", collapsed: "#b57ba6", diverged: "#e08073",
};
const SHORT = {
  confusion: "conf", memorisation: "mem", grokking: "grok", comprehension: "comp", collapsed: "coll",
  diverged: "div",
};

/** What cells can be coloured by: {key, text, of(study, runs) -> {value, text, about}, scale}. */
export function measures(study, phases) {
  const share = (phase) => ({
    key: `share:${phase}`,
    text: `share of seeds in ${phase}`,
    range: [0, 1],
    of: (runs) => {
      const count = runs.filter((run) => study.value("phase", run) === phase).length;
      return { value: count / runs.length, text: fixed(count / runs.length, 2), about: `${count} of ${runs.length} seeds` };
    },
  });
  const found = study.column.has("vote")
    ? [
        {
          key: "phase",
          text: "phase (most seeds)",
          of: (runs) => {
            const vote = study.value("vote", runs[0]);
            const agreement = study.value("agreement", runs[0]);
            const about = `${vote}, ${Math.round(agreement * runs.length)} of ${runs.length} seeds`;
            return { phase: vote, text: SHORT[vote] ?? vote, about, strength: agreement };
          },
        },
        ...phases.filter((phase) => study.values("phase").includes(phase)).map(share),
      ]
    : [];
  const numeric = study.columns.filter(
    ({ name, values }) =>
      !study.varied.includes(name) && values.some((value) => typeof value === "number")
  );
  const first = ["test_onset_step", "train_onset_step", "gap"];
  const place = ({ name }) => (first.includes(name) ? first.indexOf(name) : first.length);
  numeric.sort((a, b) => place(a) - place(b));
  return [
    ...found,
    ...numeric.map(({ name, values, about }) => ({
      key: name,
      text: `${words(name)} (median)`,
      about,
      of: (runs) => {
        const known = runs.map((run) => values[run]).filter((value) => typeof value === "number");
        known.sort((a, b) => a - b);
        const middle = known.length >> 1;
        const value = !known.length
          ? NaN
          : known.length % 2 ? known[middle] : (known[middle - 1] + known[middle]) / 2;
        const lacking = runs.length - known.length;
        const note = lacking ? `, ${lacking} of ${runs.length} without` : "";
        return { value, text: plain(value), about: `median ${plain(value)}${note}` };
      },
    })),
  ];
}

/** Cells of a study: facets (by all but two of what varies), rows and columns. */
export function layout(study) {
  const [across = null, down = null, ...others] = study.varied;
  const distinct = (name) =>
    name === null
      ? [null]
      : [...new Set(study.values(name))].sort((a, b) =>
          typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b))
        );
  const facets = new Map();
  study.runs.forEach((_, run) => {
    const facet = others.map((name) => facetText(study, name, study.value(name, run))).join(", ");
    if (!facets.has(facet)) facets.set(facet, new Map());
    const cell = study.cellOf(run);
    const cells = facets.get(facet);
    if (!cells.has(cell)) cells.set(cell, []);
    cells.get(cell).push(run);
  });
  // Decay grows upwards, as on the figures' axes.
  return { across, down, columns: distinct(across), rows: distinct(down).reverse(), facets };
}

function facetText(study, name, value) {
  return name === "task" ? words(value) : `${study.words[name]} ${plain(value)}`;
}

/** Blue to yellow by way of grey-green: even steps of lightness for any kind of colour vision. */
function shade(share) {
  const stops = [[28, 52, 97], [57, 101, 138], [112, 146, 140], [188, 184, 108], [252, 224, 92]];
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const below = Math.min(Math.floor(place), stops.length - 2);
  const mixed = stops[below].map((from, i) => Math.round(from + (stops[below + 1][i] - from) * (place - below)));
  return { fill: `rgb(${mixed.join(",")})`, ink: share > 0.55 ? "#111" : "#fff" };
}

function colour(found, [low, high]) {
  if (found.phase !== undefined) {
    return { fill: PHASES[found.phase] ?? "#cccccc", ink: "#111" };
  }
  if (Number.isNaN(found.value)) return { fill: "transparent", ink: "inherit" };
  return shade(high > low ? (found.value - low) / (high - low) : 0.5);
}

/** The map: {element, rows (for CSV), drawing() (SVG)}. pick is told of the cell of a click. */
export function drawMap(study, measure, picked, pick) {
  const { across, down, columns, rows, facets } = layout(study);
  const found = new Map();
  for (const cells of facets.values()) {
    for (const [cell, runs] of cells) found.set(cell, { ...measure.of(runs), runs });
  }
  const values = [...found.values()].map((of) => of.value).filter(Number.isFinite);
  const range = measure.range ?? [Math.min(...values), Math.max(...values)];
  const at = (cells, column, row) => {
    for (const [cell, runs] of cells) {
      const same = (name, value) => name === null || study.value(name, runs[0]) === value;
      if (same(across, column) && same(down, row)) return cell;
    }
    return null;
  };
  const label = (name, value) => (name === null ? "all runs" : plain(value));
  const grids = [];
  for (const [facet, cells] of facets) {
    // What no run of the facet has would be empty rows and columns.
    const mine = {
      columns: columns.filter((column) => rows.some((row) => at(cells, column, row) !== null)),
      rows: rows.filter((row) => columns.some((column) => at(cells, column, row) !== null)),
    };
    const body = mine.rows.map((row) =>
      mine.columns.map((column) => {
        const cell = at(cells, column, row);
        return cell === null ? null : { cell, ...found.get(cell) };
      })
    );
    grids.push({ facet, body, ...mine });
  }
  const axis = (name) => (name === null ? "" : study.words[name]);
  const table = ({ facet, body, ...mine }) =>
    el(
      "table",
      { class: "map" },
      el("caption", {}, facet || `${measure.text}`),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("td", { class: "corner" }, down === null ? "" : `${axis(down)} ↓`, el("br"), across === null ? "" : `${axis(across)} →`),
          ...mine.columns.map((column) => el("th", { scope: "col" }, label(across, column)))
        )
      ),
      el(
        "tbody",
        {},
        ...body.map((cells, i) =>
          el(
            "tr",
            {},
            el("th", { scope: "row" }, label(down, mine.rows[i])),
            ...cells.map((of) => {
              if (!of) return el("td", { class: "nothing" });
              const { fill, ink } = colour(of, range);
              const button = el(
                "button",
                {
                  type: "button",
                  "aria-pressed": String(of.cell === picked),
                  "aria-label": `${of.cell.replaceAll(",", ", ") || "all runs"}: ${of.about}`,
                  title: `${of.cell.replaceAll(",", "\n")}\n${of.about}`,
                  "data-cell": of.cell,
                  click: () => pick(of.cell === picked ? null : of.cell),
                },
                of.text
              );
              button.style.background = fill;
              button.style.color = ink;
              if (of.strength !== undefined) {
                button.append(el("span", { class: "sub", "aria-hidden": true }, `${Math.round(of.strength * of.runs.length)}/${of.runs.length}`));
              }
              return el("td", {}, button);
            })
          )
        )
      )
    );
  return {
    element: el("div", { class: "maps" }, ...grids.map(table)),
    legend: measure.key === "phase" || !values.length ? null : legend(range, measure),
    header: [...study.varied, "runs", measure.key, "about"],
    rows: [...found.values()].map((of) => [
      ...study.varied.map((name) => study.value(name, of.runs[0])),
      of.runs.length,
      of.phase ?? of.value,
      of.about,
    ]),
    drawings: () =>
      grids.map(({ facet, body, ...mine }) => ({
        title: `${study.name}: ${measure.text}${facet ? `, ${facet}` : ""}`,
        drawing: drawn(body, mine.rows, mine.columns, range, { across, down, axis, label }),
      })),
  };
}

function legend([low, high], measure) {
  const steps = [0, 0.25, 0.5, 0.75, 1];
  return el(
    "p",
    { class: "legend" },
    el("span", {}, `${measure.text}: `),
    ...steps.map((share) => {
      const { fill, ink } = shade(share);
      const made = el("span", { class: "swatch" }, plain(Number((low + (high - low) * share).toPrecision(3))));
      made.style.background = fill;
      made.style.color = ink;
      return made;
    }),
    el("span", {}, ` ${ABSENT}: not reached or not measured`)
  );
}

/** A map as SVG. */
function drawn(body, rows, columns, range, { across, down, axis, label }) {
  const [w, h, left, top] = [74, 34, 110, 30];
  const text = (x, y, of, more = {}) =>
    svg("text", { x, y, "font-family": "sans-serif", "font-size": 12, "text-anchor": "middle", fill: "#444", ...more }, of);
  const parts = [text(left / 2, 18, axis(down)), text(left + (columns.length * w) / 2, 12, axis(across))];
  columns.forEach((column, i) => parts.push(text(left + (i + 0.5) * w, top - 4, label(across, column))));
  body.forEach((cells, j) => {
    parts.push(text(left - 30, top + (j + 0.6) * h, label(down, rows[j])));
    cells.forEach((of, i) => {
      if (!of) return;
      const { fill, ink } = colour(of, range);
      const [x, y] = [left + i * w, top + j * h];
      parts.push(
        svg("rect", { x, y, width: w - 2, height: h - 2, fill: fill === "transparent" ? "none" : fill, stroke: "#999" }),
        text(x + w / 2, y + h / 2 + 4, of.text, { fill: ink === "inherit" ? "#444" : ink })
      );
    });
  });
  return svg("svg", { width: left + columns.length * w + 10, height: top + rows.length * h + 10 }, ...parts);
}
