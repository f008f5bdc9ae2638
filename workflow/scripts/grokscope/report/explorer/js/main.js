// The page: reads the results, shows the view that the address names.

import { showAlarms } from "explorer/alarmview.js";
import { choice, el, fill, say } from "explorer/dom.js";
import { showOverview } from "explorer/overview.js";
import { Payload } from "explorer/payload.js";
import { showRuns } from "explorer/runview.js";
import { address, go, onState, state } from "explorer/state.js";
import { Study } from "explorer/study.js";

const VIEWS = { overview: ["Overview", showOverview], runs: ["Runs", showRuns], alarms: ["Alarms", showAlarms] };

const payload = await Payload.read(document.getElementById("results"));
const { header } = payload;
const studies = new Map();
const root = document.getElementById("view");
let leave = null;

function study(name) {
  if (!studies.has(name)) {
    studies.set(name, new Study(payload, header.studies.find((of) => of.name === name)));
  }
  return studies.get(name);
}

function show() {
  leave?.();
  const now = state();
  const names = header.studies.map((of) => of.name);
  if (!names.length) return fill(root, el("p", {}, "The results have no runs."));
  const name = names.includes(now.study) ? now.study : names[0];
  const view = Object.hasOwn(VIEWS, now.view ?? "") ? now.view : "overview";
  const titles = header.studies.map((of) => [of.name, of.title]);
  fill(
    document.getElementById("where"),
    choice("Study", titles, name, (value) => go(Object.fromEntries([...Object.keys(state()).map((key) => [key, null]), ["view", view === "runs" ? null : view], ["study", value]])), "study"),
    el(
      "nav",
      { "aria-label": "Views" },
      ...Object.entries(VIEWS).map(([key, [text]]) =>
        el("a", { href: address({ view: key, study: name, sort: null }), "aria-current": key === view ? "page" : null }, text)
      )
    )
  );
  document.title = `${VIEWS[view][0]}: ${name} – Grokscope explorer`;
  leave = VIEWS[view][1](root, study(name), header) ?? null;
  document.documentElement.dataset.view = view;
}

onState(show);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
try {
  show();
} catch (error) {
  say(`This view cannot be shown: ${error.message}`);
  throw error;
}
document.documentElement.dataset.ready = "true";
