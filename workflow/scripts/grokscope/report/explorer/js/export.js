// What is shown, as files: CSV and SVG.

import { el } from "explorer/dom.js";

/** A file for the reader. */
export function download(name, text, type) {
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Rows as CSV; what a spreadsheet would take for a formula stays text. */
export function csv(header, rows) {
  const cell = (value) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "";
    let text = String(value);
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [header, ...rows].map((row) => row.map(cell).join(",") + "\n").join("");
}

export function downloadCsv(name, header, rows) {
  download(`${name}.csv`, csv(header, rows), "text/csv");
}

const SVG = "http://www.w3.org/2000/svg";

/** An SVG element with attributes and children (elements or text). */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Drawings one below the other, each with a title, as one SVG file. */
export function downloadSvg(name, drawings) {
  const head = 22;
  let y = 0;
  let width = 0;
  const parts = [];
  for (const { title, drawing } of drawings) {
    const [w, h] = ["width", "height"].map((of) => Number.parseFloat(drawing.getAttribute(of)));
    const text = { x: 4, y: y + 16, "font-family": "sans-serif", "font-size": 13, fill: "#555" };
    drawing.setAttribute("x", 0);
    drawing.setAttribute("y", y + head);
    parts.push(svg("text", text, title), drawing);
    y += h + head;
    width = Math.max(width, w);
  }
  const whole = svg("svg", { width, height: y, viewBox: `0 0 ${width} ${y}` }, ...parts);
  download(`${name}.svg`, new XMLSerializer().serializeToString(whole), "image/svg+xml");
}
