// Numbers as the report prints them: grokscope.core.formatting.

export const ABSENT = "–";

/** A number with so many decimals, halves to even as in Python. */
export function fixed(value, decimals) {
  const scale = 10 ** decimals;
  const scaled = Math.abs(value) * scale;
  const floor = Math.floor(scaled);
  // Only a half that is exact in binary is one.
  const tie = scaled - floor === 0.5 && (floor + 0.5) / scale === Math.abs(value);
  if (!tie) return value.toFixed(decimals);
  const even = floor % 2 ? floor + 1 : floor;
  return (Math.sign(value) * (even / scale)).toFixed(decimals);
}

/** A share, correlation or metric: three decimals. */
export function number(value) {
  return value === null || Number.isNaN(value) ? ABSENT : fixed(value, 3);
}

/** A number of steps: "1,234". */
export function steps(value) {
  if (value === null || Number.isNaN(value)) return ABSENT;
  return value.toLocaleString("en-US", { maximumFractionDigits: 1 });
}

export function probability(value) {
  if (value === null || Number.isNaN(value)) return ABSENT;
  return value >= 0.0005 ? number(value) : "< 0.001";
}

/** Any value of a table: whole numbers with separators, others to six digits. */
export function plain(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return ABSENT;
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return Math.abs(value) < 1e4 ? String(value) : steps(value);
  return String(Number(value.toPrecision(6)));
}

/** A name as words. */
export function words(name) {
  return name.replaceAll("_", " ");
}
