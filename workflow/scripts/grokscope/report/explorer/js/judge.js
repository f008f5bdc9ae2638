// Alarms against onsets: the rules of grokscope.evaluate.matching and measure.alarms, once more.

/**
 * Indices at which scores alarm: measure.alarms.alarm_steps.
 *
 * codes: thresholds that each score is above, plus 1. level: index of the threshold.
 */
export function alarmIndices(codes, level, refractory, latched) {
  const above = level + 2;
  const found = [];
  let i = 0;
  while (i < codes.length) {
    if (codes[i] < above) {
      i++;
      continue;
    }
    found.push(i);
    let silent = i + refractory;
    if (latched) {
      let other = i + 1;
      while (other < codes.length && codes[other] >= above) other++;
      if (other === codes.length) break;
      silent = Math.max(silent, other);
    }
    i = silent + 1;
  }
  return found;
}

/** The runs that alarms are judged by: Cohort of evaluate.matching. */
export class Cohort {
  constructor(packed) {
    this.runs = packed.runs;
    this.onset = packed.onset.map((step) => step ?? NaN);
    this.event = packed.event.map(Boolean);
    this.last = packed.last;
    this.panel = packed.panel;
    this.riskEnd = this.last.map((last, i) => (this.event[i] ? this.onset[i] : last + 1));
    // No event can follow a fast generalisation.
    this.fast = this.onset.map((step, i) => Number.isFinite(step) && !this.event[i]);
  }
}

/** Alarms of each run of a cohort that come while it is at risk. */
export function atRisk(alarms, cohort) {
  return alarms.map((steps, i) => steps.filter((step) => step >= 0 && step < cohort.riskEnd[i]));
}

export const HIT = "hit";
export const FALSE = "false alarm";
export const OPEN = "open";

/**
 * What becomes of the alarms at risk of one run, one verdict per alarm: AtRisk.judge.
 *
 * Alarms that a rule does not count have null.
 */
export function verdicts(steps, i, cohort, rule, [low, high]) {
  const known = cohort.event[i] || cohort.fast[i];
  const sure = (step) => known || step + high <= cohort.last[i];
  const inside = (step) =>
    cohort.event[i] && cohort.onset[i] - step >= low && cohort.onset[i] - step <= high;
  if (rule === "run") {
    return steps.map((_, k) => (k ? null : cohort.event[i] ? HIT : FALSE));
  }
  if (rule === "first") {
    return steps.map((step, k) => (k ? null : inside(step) ? HIT : sure(step) ? FALSE : OPEN));
  }
  const hit = steps.findIndex(inside);
  return steps.map((step, k) => (k === hit ? HIT : sure(step) ? FALSE : OPEN));
}

/** Steps at risk in warning of one run: AtRisk.warning_steps. */
export function warningSteps(steps, i, cohort, rule, [low, high]) {
  const end = cohort.riskEnd[i];
  if (!steps.length) return 0;
  if (rule === "run") return Math.max(end - steps[0], 0);
  if (rule === "first") return Math.max(Math.min(steps[0] + high + 1, end) - (steps[0] + low), 0);
  let total = 0;
  steps.forEach((step, k) => {
    const start = step + low;
    const next = k + 1 < steps.length ? steps[k + 1] + low : Infinity;
    total += Math.max(Math.min(step + high + 1, end, next) - start, 0);
  });
  return total;
}

/** Counts and scores of alarms at risk over some runs (indices of the cohort). */
export function scoreAlarms(alarms, cohort, rule, window, members) {
  const counts = { runs: members.length, events: 0, alarms: 0, judged: 0, hits: 0 };
  let steps = 0;
  let warned = 0;
  for (const i of members) {
    const found = verdicts(alarms[i], i, cohort, rule, window);
    counts.events += cohort.event[i] ? 1 : 0;
    counts.alarms += found.length;
    counts.hits += found.filter((of) => of === HIT).length;
    counts.judged += found.filter((of) => of === HIT || of === FALSE).length;
    steps += cohort.riskEnd[i];
    warned += warningSteps(alarms[i], i, cohort, rule, window);
  }
  const share = (top, bottom) => (bottom > 0 ? top / bottom : NaN);
  return {
    ...counts,
    precision: share(counts.hits, counts.judged),
    recall: share(counts.hits, counts.events),
    falseAlarms: steps ? (1e4 * (counts.judged - counts.hits)) / steps : NaN,
    warned: steps ? warned / steps : NaN,
  };
}
