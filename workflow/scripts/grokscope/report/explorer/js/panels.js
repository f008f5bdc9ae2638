// Panels of the view of runs: which curves stand together, from the names of the columns.

import { words } from "explorer/format.js";

const FAMILIES = [
  "grad_norm", "weight_norm", "effective_rank", "stable_rank", "numerical_rank",
];
const TITLES = {
  loss: "Loss", metric: "Metric (accuracy, or R²)", grad_norm: "Gradient norm", weight_norm: "Weight norm",
  effective_rank: "Effective rank", stable_rank: "Stable rank", numerical_rank: "Numerical rank",
  softmax_collapse: "Softmax collapse (share of samples)",
};
export const WHOLE = "combined";

/** A layer in words: our own trainings number theirs, others name them. */
export const layerName = (layer) => (/^\d+$/.test(layer) ? `layer ${layer}` : layer);

/** Panel and part of a column: train_loss is of loss, grad_norm_2 is layer 2 of grad_norm. */
export function placed(column) {
  for (const part of ["train", "test"]) {
    if (column.startsWith(`${part}_`)) return { panel: column.slice(part.length + 1), part };
  }
  for (const family of FAMILIES) {
    if (column === family) return { panel: family, part: WHOLE, layer: WHOLE };
    if (column.startsWith(`${family}_`)) {
      const layer = column.slice(family.length + 1);
      return { panel: family, part: layerName(layer), layer };
    }
  }
  return { panel: column, part: "" };
}

export function panelTitle(panel) {
  return TITLES[panel] ?? words(panel)[0].toUpperCase() + words(panel).slice(1);
}

/** Panels of some columns, in order: {panel: [{column, part, layer}]}. */
export function panelsOf(columns) {
  const order = ["loss", "metric", ...FAMILIES];
  const found = new Map();
  const sorted = [...columns].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  for (const column of sorted) {
    const { panel, ...of } = placed(column);
    if (!found.has(panel)) found.set(panel, []);
    found.get(panel).push({ column, ...of });
  }
  // Train before test.
  for (const of of found.values()) of.sort((a, b) => (b.part === "train") - (a.part === "train"));
  const place = (panel) => (order.includes(panel) ? order.indexOf(panel) : order.length);
  return new Map([...found].sort(([a], [b]) => place(a) - place(b)));
}
