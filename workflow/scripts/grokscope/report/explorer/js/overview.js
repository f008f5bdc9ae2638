// Overview: the map of a study, linked with the table of its runs.

import { choice, el, fill, say } from "explorer/dom.js";
import { downloadCsv, downloadSvg } from "explorer/export.js";
import { plain, words } from "explorer/format.js";
import { drawMap, measures } from "explorer/map.js";
import { address, go, keep, state } from "explorer/state.js";
import { sortable } from "explorer/table.js";

const MANY = 12;

/** Columns of the table of runs that are shown unless the reader chooses others. */
function usual(study) {
  const wanted = [
    ...study.varied, "seed", "phase", "train_onset_step", "test_onset_step", "final_test_metric", "steps",
  ];
  const verdicts = study.columns.map((column) => column.name).filter((name) => name.endsWith("_verdict"));
  return [...new Set([...wanted, ...verdicts])].filter((name) => study.column.has(name));
}

/** How many runs are not here, since their logs begin too late to tell an onset. */
const leftOut = (study) => (study.left_out ? `; ${study.left_out} more, of logs that begin after an onset, are in the tables alone` : "");

/** Columns by whose values the table filters: what varies, and what has few values. */
function filters(study) {
  return study.columns.filter(({ name, values }) => {
    const distinct = new Set(values);
    return distinct.size > 1 && distinct.size <= MANY && (study.varied.includes(name) || typeof values.find((of) => of !== null) === "string");
  });
}

/** The runs that the state leaves: of the cell, the claim, the filters and the text. */
export function shownRuns(study, now) {
  const claim = study.claims.find((of) => of.claim === now.claim);
  const chosen = filters(study)
    .filter(({ name }) => now[`f.${name}`] !== undefined)
    .map(({ name }) => [name, now[`f.${name}`]]);
  const text = (now.text ?? "").toLowerCase();
  return [...study.runs.keys()].filter(
    (run) =>
      (now.cell === undefined || study.cellOf(run) === now.cell) &&
      (!claim || claim.runs.includes(run)) &&
      chosen.every(([name, value]) => String(study.value(name, run)) === value) &&
      study.labels[run].toLowerCase().includes(text)
  );
}

export function showOverview(root, study, header) {
  const now = state();
  const claim = study.claims.find((of) => of.claim === now.claim);
  const all = measures(study, header.phases);
  const measure = all.find((of) => of.key === now.color) ?? all[0];
  const map = drawMap(study, measure, now.cell, (cell) => go({ cell }));
  const picked = new Set();
  const list = el("div");
  const several = el("div", { class: "actions" });

  const columns = (now.columns?.split(",") ?? usual(study)).filter((name) => study.column.has(name));
  const draw = () => {
    const runs = shownRuns(study, state());
    const open = (run) => address({ view: "runs", study: study.name, run: study.runs[run] }, { claim: now.claim });
    const shown = [
      {
        name: "pick", text: "overlay", about: "Choose runs to show over one another",
        value: (run) => (picked.has(run) ? 0 : 1),
        show: (run) =>
          el("input", {
            type: "checkbox",
            checked: picked.has(run),
            "aria-label": `show ${study.labels[run]} over others`,
            change: (event) => {
              if (event.target.checked) picked.add(run);
              else picked.delete(run);
              actions(runs);
            },
          }),
      },
      {
        name: "run", text: "run", about: "Open the run's curves",
        value: (run) => study.labels[run],
        show: (run) => el("a", { href: open(run) }, study.labels[run]),
      },
      ...columns
        .filter((name) => !study.varied.includes(name) && name !== "seed")
        .map((name) => ({
          name,
          text: words(name),
          about: study.column.get(name).about,
          value: (run) => study.value(name, run),
          numeric: typeof study.values(name).find((of) => of !== null) === "number",
        })),
    ];
    fill(
      list,
      sortable({
        caption: `${runs.length} of ${study.runs.length} runs of ${study.name}${leftOut(study)}`,
        columns: shown,
        rows: runs,
        sort: now.sort ?? "",
        onSort: (sort) => keep({ sort }),
      })
    );
    actions(runs);
    say(`${runs.length} of ${study.runs.length} runs`);
  };
  const actions = (runs) => {
    const chosen = picked.size ? [...picked] : runs;
    const some = chosen.slice(0, 8);
    const what = picked.size ? "chosen" : "listed";
    fill(
      several,
      el(
        "a",
        { class: "button", href: address({ view: "runs", study: study.name, run: some.map((run) => study.runs[run]).join(";") }, { claim: now.claim }) },
        `Show ${some.length < chosen.length ? `the first ${some.length} of ${chosen.length}` : chosen.length} ${what} ${chosen.length === 1 ? "run" : "runs"} over one another`
      ),
      el(
        "button",
        {
          type: "button",
          click: () =>
            downloadCsv(
              `${study.name}-runs`,
              study.columns.map((of) => of.name),
              runs.map((run) => study.columns.map((of) => of.values[run]))
            ),
        },
        "CSV of the listed runs"
      )
    );
  };

  const chosen = filters(study).map(({ name, values }) => {
    const distinct = [...new Set(values)].sort((a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b))));
    const options = [["", "any"], ...distinct.map((value) => [String(value), plain(value)])];
    return choice(study.words[name] ?? words(name), options, now[`f.${name}`] ?? "", (value) => {
      keep({ [`f.${name}`]: value });
      draw();
    }, `filter-${name}`);
  });
  const search = el("input", {
    type: "search", id: "filter-text", value: now.text ?? "",
    input: (event) => {
      keep({ text: event.target.value });
      draw();
    },
  });
  const more = study.columns
    .filter(({ name }) => !study.varied.includes(name) && name !== "seed")
    .map(({ name, about }) =>
      el(
        "label",
        { class: "check", title: about },
        el("input", {
          type: "checkbox",
          checked: columns.includes(name),
          change: (event) => {
            if (event.target.checked) columns.push(name);
            else columns.splice(columns.indexOf(name), 1);
            keep({ columns: columns.join(",") });
            draw();
          },
        }),
        words(name)
      )
    );
  fill(
    root,
    claim ? claimBox(claim, header, study) : null,
    el(
      "section",
      { "aria-labelledby": "map-title" },
      el("h2", { id: "map-title" }, "Map of cells"),
      el(
        "div",
        { class: "controls" },
        choice("Coloured by", all.map((of) => [of.key, of.text]), measure.key, (color) => go({ color }), "color"),
        el("button", { type: "button", click: () => downloadCsv(`${study.name}-map`, map.header, map.rows) }, "CSV of the map"),
        el("button", { type: "button", click: () => downloadSvg(`${study.name}-map`, map.drawings()) }, "SVG of the map")
      ),
      measure.about ? el("p", { class: "note" }, measure.about) : null,
      map.legend,
      map.element,
      now.cell !== undefined
        ? el("p", {}, `Listed below: ${now.cell.replaceAll(",", ", ")}. `, el("a", { href: address({ cell: null }) }, "All cells"))
        : el("p", { class: "note" }, "A click on a cell lists its runs below.")
    ),
    el(
      "section",
      { "aria-labelledby": "runs-title" },
      el("h2", { id: "runs-title" }, "Runs"),
      el("div", { class: "controls" }, ...chosen, el("label", { class: "field" }, el("span", {}, "Name has"), search)),
      el("details", { class: "columns" }, el("summary", {}, "Columns"), el("div", { class: "checks" }, ...more)),
      several,
      list
    )
  );
  draw();
}

/** A claim and its verdict above the runs that it rests on. */
export function claimBox(claim, header, study) {
  const [style, sign] = header.badges[claim.verdict] ?? ["", ""];
  return el(
    "section",
    { class: "claim", "aria-label": `Claim ${claim.claim}` },
    el(
      "p",
      {},
      el("b", {}, claim.claim, " "),
      el("span", { class: `badge ${style}` }, el("span", { "aria-hidden": true }, `${sign} `), claim.verdict),
      ` ${claim.statement} `,
      el("span", { class: "soft" }, `Published: ${claim.published}. Measured: ${claim.quantity}.`)
    ),
    el("p", { class: "note" }, claim.reason),
    el(
      "p",
      {},
      `The claim is about ${claim.runs.length} of ${study.runs.length} runs. `,
      claim.of_alarms
        ? el("a", { href: alarmsOf(study, claim) }, "Alarms that its number counts (held-out seeds)")
        : null,
      claim.of_alarms ? " · " : null,
      el("a", { href: address({ claim: null }) }, "All runs of the study")
    )
  );
}

function alarmsOf(study, claim) {
  const [low, high] = study.evaluation.published;
  return address({ view: "alarms", study: study.name, claim: claim.claim, rule: "every", low, high }, {});
}
