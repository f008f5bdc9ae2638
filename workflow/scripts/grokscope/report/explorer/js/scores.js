// Scores of a detector and layer as counts of thresholds, see levels.py.

import { offsets } from "explorer/payload.js";

/** Scores of the runs in blocks of steps, or by the step. */
export class Scores {
  constructor(payload, packed, resolution) {
    this.resolution = resolution;
    this.runs = packed.runs;
    this.thresholds = payload.array(`${packed.place}/thresholds`);
    this.offsets = offsets(packed.lengths);
    this.differences = payload.array(`${packed.place}/codes`);
    this.byStep = !!packed.by_step;
    this.known = new Map();
  }

  /** Codes of a run: thresholds that each score is above, plus 1; 0 where it is unknown. */
  codes(run) {
    if (!this.known.has(run)) {
      const place = this.runs.indexOf(run);
      if (place < 0) return null;
      const part = this.differences.subarray(this.offsets[place], this.offsets[place + 1]);
      // Scores by the step are packed as they are, those of blocks as differences.
      let codes = part;
      if (!this.byStep) {
        codes = new Uint8Array(part.length);
        for (let i = 0, sum = 0; i < part.length; i++) codes[i] = sum = (sum + part[i]) & 255;
      }
      this.known.set(run, codes);
    }
    return this.known.get(run);
  }

  /** Whether there are alarms at a threshold: index of those on offer. */
  index(threshold) {
    return this.thresholds.indexOf(threshold);
  }

  /** Points {x, y} of a run: of each score the smallest threshold that it is not above.
   *
   * A score holds until the next one is known; points between equal ones are left out.
   */
  points(run) {
    const codes = this.codes(run);
    if (!codes) return null;
    const x = [];
    const y = [];
    const top = this.thresholds.length - 1;
    codes.forEach((code, i) => {
      if (i && code === codes[i - 1] && i < codes.length - 1) return;
      if (i && codes[i - 1] && code) {
        x.push(i * this.resolution);
        y.push(y[y.length - 1]);
      }
      x.push(i * this.resolution);
      y.push(code ? this.thresholds[Math.min(code - 1, top)] : NaN);
    });
    return { x: Float64Array.from(x), y: Float64Array.from(y), logarithmic: false };
  }

  /** First block with a score; their number without any. */
  firstKnown(run) {
    const codes = this.codes(run);
    const first = codes.findIndex((code) => code > 0);
    return first < 0 ? codes.length : first;
  }
}
