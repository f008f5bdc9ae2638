// Null models: alarms that know less, by the rules of grokscope.evaluate.nulls and evaluate.chance.
//
// Whose record each run is given, and the constant times, were drawn when the page was made; offsets
// and random steps come from a generator with a fixed seed. So the same settings give the same
// levels, and all settings have the same randomness.

import { HIT, FALSE, verdicts } from "explorer/judge.js";

/** Uniform numbers in [0, 1), the same for the same seed (mulberry32). */
export function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Whether surrogate alarms of an event run have a hit; `steps` are at risk, ascending or not. */
function hits(steps, i, cohort, rule, [low, high]) {
  if (!steps.length) return false;
  if (rule === "run") return true;
  const onset = cohort.onset[i];
  const inside = (step) => onset - step >= low && onset - step <= high;
  return rule === "first" ? inside(Math.min(...steps)) : steps.some(inside);
}

/**
 * Hits of surrogates over some runs, one number per draw.
 *
 * all: alarms of each run; fired: those at risk. grid: {resolution, first} with the first block that
 * has a score. members: Set of indices of the cohort that count.
 */
export const MODELS = {
  random({ fired, cohort, grid, members, rule, window, draws }) {
    const next = uniform(1);
    const panels = new Map();
    cohort.panel.forEach((panel, i) => {
      if (!panels.has(panel)) panels.set(panel, { runs: [], ends: [], total: 0, asked: 0 });
      const of = panels.get(panel);
      const blocks = Math.ceil(cohort.riskEnd[i] / grid.resolution) - grid.first[i];
      of.runs.push(i);
      of.ends.push((of.total += Math.max(blocks, 0)));
      of.asked += fired[i].length;
    });
    return Array.from({ length: draws }, () => {
      const made = cohort.runs.map(() => []);
      for (const { runs, ends, total, asked } of panels.values()) {
        for (let k = 0; k < asked; k++) {
          const ticket = Math.floor(next() * total);
          let [low, high] = [0, ends.length - 1];
          while (low < high) {
            const middle = (low + high) >> 1;
            if (ends[middle] > ticket) high = middle;
            else low = middle + 1;
          }
          const i = runs[low];
          const block = grid.first[i] + ticket - (low ? ends[low - 1] : 0);
          if (cohort.event[i]) made[i].push(block * grid.resolution);
        }
      }
      return count(made, cohort, members, rule, window);
    });
  },

  shifted({ fired, cohort, grid, members, rule, window, draws }) {
    const next = uniform(2);
    return Array.from({ length: draws }, () => {
      const made = fired.map((steps, i) => {
        const length = Math.max(
          Math.ceil(cohort.riskEnd[i] / grid.resolution) - grid.first[i], 1
        );
        const offset = Math.floor(next() * length);
        if (!cohort.event[i]) return [];
        return steps.map((step) => {
          const place = Math.floor(step / grid.resolution) - grid.first[i] + offset;
          return (grid.first[i] + (place % length)) * grid.resolution;
        });
      });
      return count(made, cohort, members, rule, window);
    });
  },

  swapped({ all, cohort, givers, members, rule, window, draws }) {
    const n = cohort.runs.length;
    return Array.from({ length: draws }, (_, draw) => {
      const made = cohort.runs.map((_run, i) =>
        cohort.event[i]
          ? all[givers[draw * n + i]].filter((step) => step < cohort.riskEnd[i])
          : []
      );
      return count(made, cohort, members, rule, window);
    });
  },
};

function count(made, cohort, members, rule, window) {
  let total = 0;
  for (const i of members) {
    if (cohort.event[i] && hits(made[i], i, cohort, rule, window)) total++;
  }
  return total;
}

/** Hits and judged alarms of a constant time of each cell over some runs, one pair per draw. */
export function constantTime({ cohort, times, members, rule, window, primary, draws }) {
  const n = cohort.runs.length;
  const [low, high] = rule === "run" ? primary : window;
  return Array.from({ length: draws }, (_, draw) => {
    let [hit, judged, known] = [0, 0, false];
    for (const i of members) {
      const time = times[draw * n + i];
      if (Number.isNaN(time)) continue;
      known = true;
      const step = Math.floor(Math.max(time - (low + high) / 2, 0));
      if (step >= cohort.riskEnd[i]) continue;
      const [verdict] = verdicts([step], i, cohort, rule, window);
      hit += verdict === HIT ? 1 : 0;
      judged += verdict === HIT || verdict === FALSE ? 1 : 0;
    }
    return { hits: known ? hit : NaN, judged: Math.max(judged, 1) };
  });
}

/** Mean and 95% range of numbers, as numpy.quantile has them; those that are NaN do not count. */
export function spread(values) {
  const known = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  if (!known.length) return { mean: NaN, low: NaN, high: NaN };
  const quantile = (share) => {
    const place = share * (known.length - 1);
    const below = Math.floor(place);
    const above = Math.min(below + 1, known.length - 1);
    return known[below] + (known[above] - known[below]) * (place - below);
  };
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  return { mean, low: quantile(0.025), high: quantile(0.975) };
}

/**
 * What null models reach at some settings: by model, precision and recall as {mean, low, high}.
 *
 * observed: counts of the detector over the members.
 */
export function chanceLevels(setting, observed) {
  const share = (top, bottom) => (bottom > 0 ? top / bottom : NaN);
  const found = {};
  for (const [name, model] of Object.entries(MODELS)) {
    const of = model(setting);
    found[name] = {
      precision: spread(of.map((hit) => share(hit, observed.judged))),
      recall: spread(of.map((hit) => share(hit, observed.events))),
    };
  }
  const of = constantTime(setting);
  found.constant_time = {
    precision: spread(of.map(({ hits: hit, judged }) => share(hit, judged))),
    recall: spread(of.map(({ hits: hit }) => share(hit, observed.events))),
  };
  return found;
}
