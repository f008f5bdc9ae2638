// A study of the results: its runs, their columns, curves and scores.

import { Curves } from "explorer/curves.js";
import { Cohort } from "explorer/judge.js";
import { Scores } from "explorer/scores.js";

export class Study {
  constructor(payload, packed) {
    Object.assign(this, packed);
    this.payload = payload;
    this.packed = packed;
    this.column = new Map(packed.columns.map((column) => [column.name, column]));
    this.cohort = new Cohort(packed.cohort);
    this.last = this.values("steps");
    this.curves = new Curves(payload, packed.curves, this.last);
    this.place = new Map(packed.runs.map((name, i) => [name, i]));
    this.scores = new Map();
  }

  /** Values of a column, one per run. */
  values(name) {
    return this.column.get(name)?.values ?? this.runs.map(() => null);
  }

  value(name, run) {
    return this.values(name)[run];
  }

  /** Name of the cell of a run: all that is varied but the seed. */
  cellOf(run) {
    return this.varied.map((name) => `${name}=${this.value(name, run)}`).join(",");
  }

  /** Scores of a signal of this study, in blocks or by the step. */
  scoresOf(signal, byStep) {
    const name = `${signal.detector} ${signal.layer} ${byStep}`;
    if (!this.scores.has(name)) {
      const packed = byStep ? signal.steps : signal.blocks;
      const resolution = byStep ? 1 : this.evaluation.resolution;
      this.scores.set(name, new Scores(this.payload, packed, resolution));
    }
    return this.scores.get(name);
  }

  /** Alarms of a run at stated thresholds: {detector, layer, step, score, peak, cause}. */
  alarmsOf(run) {
    this.alarmRows ??= grouped(this.alarms.run);
    const names = ["detector", "layer", "step", "score", "peak", "cause"];
    return (this.alarmRows.get(run) ?? []).map((row) =>
      Object.fromEntries(names.map((name) => [name, this.alarms[name][row]]))
    );
  }

  signal(detector, layer) {
    return this.signals.find((of) => of.detector === detector && of.layer === layer);
  }
}

function grouped(runs) {
  const found = new Map();
  runs.forEach((run, row) => {
    if (!found.has(run)) found.set(run, []);
    found.get(run).push(row);
  });
  return found;
}
