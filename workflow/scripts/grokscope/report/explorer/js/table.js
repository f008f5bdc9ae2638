// Tables that sort.

import { el, fill } from "explorer/dom.js";
import { plain } from "explorer/format.js";

const SHOWN = 200;

/** Compares values; unknown ones come last in either direction. */
function compare(a, b, descending) {
  const unknown = (value) => value === null || value === undefined || Number.isNaN(value);
  if (unknown(a) || unknown(b)) return unknown(a) - unknown(b);
  const order =
    typeof a === "number" && typeof b === "number"
      ? a - b
      : String(a).localeCompare(String(b), "en", { numeric: true });
  return descending ? -order : order;
}

/**
 * A table whose columns sort.
 *
 * columns: {name, text, about, value(row), show(row) -> text or element, numeric}.
 * sort: name of a column, with "-" before it to descend; onSort is told of a new one.
 */
export function sortable({ caption, columns, rows, sort, onSort, limit = SHOWN }) {
  const holder = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption });
  let all = false;
  const draw = () => {
    const descending = sort.startsWith("-");
    const by = columns.find((column) => column.name === sort.replace(/^-/, ""));
    const ordered = by
      ? [...rows].sort((a, b) => compare(by.value(a), by.value(b), descending))
      : rows;
    const shown = all ? ordered : ordered.slice(0, limit);
    const head = columns.map((column) => {
      const mine = by === column;
      const next = mine && !descending ? `-${column.name}` : column.name;
      const button = el(
        "button",
        { type: "button", title: column.about, click: () => change(next, column.name) },
        column.text,
        el("span", { "aria-hidden": true }, mine ? (descending ? " ▼" : " ▲") : "")
      );
      const order = mine ? (descending ? "descending" : "ascending") : null;
      return el("th", { scope: "col", "aria-sort": order, class: column.numeric ? "num" : null }, button);
    });
    const body = shown.map((row) =>
      el(
        "tr",
        {},
        ...columns.map((column) => {
          const text = column.show ? column.show(row) : plain(column.value(row));
          return el("td", { class: column.numeric ? "num" : null }, text);
        })
      )
    );
    const more = ordered.length > shown.length;
    fill(
      holder,
      el(
        "table",
        {},
        el("caption", {}, caption),
        el("thead", {}, el("tr", {}, ...head)),
        el("tbody", {}, ...body)
      ),
      more
        ? el(
            "button",
            { type: "button", class: "more", click: () => ((all = true), draw()) },
            `Show all ${rows.length} rows`
          )
        : null
    );
  };
  const change = (next, name) => {
    sort = next;
    onSort?.(next);
    draw();
    const place = columns.findIndex((column) => column.name === name);
    holder.querySelectorAll("th button")[place]?.focus();
  };
  draw();
  return holder;
}

/** A plain table: header texts, rows of texts or elements. */
export function simple(caption, header, rows) {
  return el(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    el(
      "table",
      {},
      el("caption", {}, caption),
      el("thead", {}, el("tr", {}, ...header.map((text) => el("th", { scope: "col" }, text)))),
      el(
        "tbody",
        {},
        ...rows.map((row) =>
          el("tr", {}, ...row.map((cell, i) => (i ? el("td", {}, cell) : el("th", { scope: "row" }, cell))))
        )
      )
    )
  );
}
