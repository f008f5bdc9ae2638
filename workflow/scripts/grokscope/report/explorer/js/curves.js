// Curves of the runs of a study, see curves.py: two values per bucket of steps, in their order.

import { fromDeltas, offsets } from "explorer/payload.js";

export class Curves {
  constructor(payload, packed, lastSteps) {
    this.payload = payload;
    this.packed = packed;
    this.last = lastSteps;
    this.starts = payload.array(packed.place);
    // Buckets of all grids lie one after the other, run by run.
    this.gridOffsets = offsets(packed.grids.flat());
    this.firstGrid = offsets(packed.grids.map((of) => of.length));
    this.columnOffsets = {};
    this.known = new Map();
  }

  get columns() {
    return Object.keys(this.packed.columns);
  }

  has(column, run) {
    return this.packed.columns[column]?.runs.includes(run) ?? false;
  }

  /** Where a curve's levels begin among those of its column: four bytes per bucket. */
  offset(column, place) {
    const of = this.packed.columns[column];
    this.columnOffsets[column] ??= offsets(
      of.runs.map((run, i) => 4 * this.packed.grids[run][of.grid[i]])
    );
    return this.columnOffsets[column].slice(place, place + 2);
  }

  /** Points {x, y} of a column of a run, null if the run has none. */
  points(column, run) {
    const name = `${column} ${run}`;
    if (!this.known.has(name)) this.known.set(name, this.decode(column, run));
    return this.known.get(name);
  }

  decode(column, run) {
    const of = this.packed.columns[column];
    const place = of ? of.runs.indexOf(run) : -1;
    if (place < 0) return null;
    const grid = this.firstGrid[run] + of.grid[place];
    const [from, to] = this.gridOffsets.slice(grid, grid + 2);
    const steps = new Float64Array(to - from);
    for (let i = from, sum = 0; i < to; i++) steps[i - from] = sum += this.starts[i];
    const [begin, end] = this.offset(column, place);
    const levels = fromDeltas(this.payload.array(`${of.place}/levels`).subarray(begin, end));
    const low = this.payload.array(`${of.place}/low`)[place];
    const high = this.payload.array(`${of.place}/high`)[place];
    const share = (level) => level / this.packed.levels;
    const value = of.logarithmic[place]
      ? (level) => low * (high / low) ** share(level)
      : (level) => low + (high - low) * share(level);
    const x = [];
    const y = [];
    for (let i = 0; i < steps.length; i++) {
      const next = i + 1 < steps.length ? steps[i + 1] : this.last[run] + 1;
      const [first, second] = [levels[2 * i], levels[2 * i + 1]];
      if (first === second) {
        x.push(steps[i]);
        y.push(value(first));
      } else {
        // In a bucket it is not known where its extremes are, but which comes first.
        x.push(steps[i] + (next - steps[i]) / 4, steps[i] + (3 * (next - steps[i])) / 4);
        y.push(value(first), value(second));
      }
    }
    return { x: Float64Array.from(x), y: Float64Array.from(y), logarithmic: !!of.logarithmic[place] };
  }
}
