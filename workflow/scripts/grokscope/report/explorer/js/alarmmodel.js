// The alarms of a detector at any threshold and window, and what the tables say at theirs.

import { chanceLevels } from "explorer/chance.js";
import { alarmIndices, atRisk, scoreAlarms } from "explorer/judge.js";

const SCORES = ["precision", "recall"];

export class AlarmModel {
  /** byStep: whether alarms are known to the step, as at stated thresholds, or in blocks. */
  constructor(study, signal, byStep) {
    Object.assign(this, { study, signal, byStep });
    this.scores = study.scoresOf(signal, byStep);
    this.thresholds = this.scores.thresholds;
    this.cohort = study.cohort;
    this.known = new Map();
    const place = new Map(this.scores.runs.map((run, i) => [run, i]));
    // Runs of the cohort that have the signal, by index of the cohort.
    this.scored = [...this.cohort.runs.keys()].filter((i) => place.has(this.cohort.runs[i]));
    const first = (i) => {
      const run = this.cohort.runs[i];
      if (!place.has(run)) return this.cohort.last[i] + 1;
      if (!byStep) return this.scores.firstKnown(run);
      return signal.warm_up[place.get(run)] ?? this.cohort.last[i] + 1;
    };
    this.grid = { resolution: byStep ? 1 : study.evaluation.resolution, first: this.cohort.runs.map((_, i) => first(i)) };
    this.settings = this.tableSettings();
  }

  /** Indices of the cohort of a scope {task, depth}; null pools. */
  members({ task, depth }) {
    return this.scored.filter((i) => {
      const run = this.cohort.runs[i];
      return (task === null || this.study.value("task", run) === task) && (depth === null || this.study.value("depth", run) === depth);
    });
  }

  /** Alarms at a threshold on offer: of all runs of the cohort, and those at risk. */
  alarms(level) {
    if (!this.known.has(level)) {
      const { resolution, refractory } = this.study.evaluation;
      const unit = this.byStep ? 1 : resolution;
      const silence = this.byStep ? refractory : Math.floor(refractory / resolution);
      const all = this.cohort.runs.map((run) => {
        const codes = this.scores.codes(run);
        return codes ? alarmIndices(codes, level, silence, this.signal.latched).map((i) => i * unit) : [];
      });
      this.known.set(level, { all, fired: atRisk(all, this.cohort) });
    }
    return this.known.get(level);
  }

  /** Counts and scores at some settings {level, rule, window, scope}. */
  score({ level, rule, window, scope }) {
    return scoreAlarms(this.alarms(level).fired, this.cohort, rule, window, this.members(scope));
  }

  /** What null models reach there, from surrogates. */
  chance({ level, rule, window, scope }, draws) {
    const { all, fired } = this.alarms(level);
    const { place, draws: most } = this.study.packed.cohort;
    this.givers ??= this.study.payload.array(`${place}/givers`);
    this.times ??= this.study.payload.array(`${place}/times`);
    const observed = this.score({ level, rule, window, scope });
    const setting = {
      all, fired, cohort: this.cohort, grid: this.grid, givers: this.givers, times: this.times,
      members: this.members(scope), rule, window, primary: this.study.evaluation.primary, draws: Math.min(draws, most),
    };
    return chanceLevels(setting, observed);
  }

  /** Rows of the table `evaluation` of this signal, of the source that is read in this way. */
  tableSettings() {
    const { columns, place } = this.study.settings;
    const source = this.byStep ? "published" : "development";
    const thresholds = this.study.payload.array(`${place}/threshold`);
    const found = [];
    columns.detector.forEach((detector, row) => {
      if (detector !== this.signal.detector || columns.layer[row] !== this.signal.layer) return;
      if (columns.threshold_source[row] !== source || Number.isNaN(thresholds[row])) return;
      found.push({
        row, source, threshold: thresholds[row], level: this.scores.index(thresholds[row]), rule: columns.rule[row],
        window: columns.lead_min[row] === null ? null : [columns.lead_min[row], columns.lead_max[row]],
        scope: { task: columns.task[row], depth: columns.depth[row] },
      });
    });
    return found;
  }

  /** The row of the tables at some settings, null if they have none. */
  tableRow({ level, rule, window, scope }) {
    return (
      this.settings.find(
        (of) =>
          of.level === level && of.rule === rule && of.scope.task === scope.task && of.scope.depth === scope.depth &&
          (rule === "run" || (of.window[0] === window[0] && of.window[1] === window[1]))
      ) ?? null
    );
  }

  /** Intervals of the tables in a row: {precision: [low, high], recall: …}. */
  intervals({ row }) {
    const of = (name) => this.study.payload.array(`${this.study.settings.place}/${name}`)[row];
    return Object.fromEntries(SCORES.map((score) => [score, [of(`${score}_low`), of(`${score}_high`)]]));
  }

  /** Chance levels of the tables in a row, null if it is not set against null models. */
  tableChance({ row }) {
    const { chance, models, place } = this.study.settings;
    const at = chance.indexOf(row);
    if (at < 0) return null;
    const values = this.study.payload.array(`${place}/chance`);
    const found = {};
    models.forEach((model, m) => {
      found[model] = {};
      SCORES.forEach((score, s) => {
        const start = ((at * SCORES.length + s) * models.length + m) * 4;
        const [mean, low, high, p] = values.subarray(start, start + 4);
        found[model][score] = { mean, low, high, p };
      });
    });
    return found;
  }
}
