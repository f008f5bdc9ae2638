// Plots by Bokeh: lines, marks and bands over a shared range.

import { unpacked } from "explorer/payload.js";
import { fill } from "explorer/dom.js";
import { plain } from "explorer/format.js";

// Okabe and Ito's colours, told apart with any kind of colour vision; yellow is left out on white.
export const COLOURS = [
  "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a7a7a", "#8c564b",
];
export const DASHES = ["solid", "dashed", "dotted", "dotdash", "dashdot"];

let loading = null;

/** The library, unpacked when the first plot is drawn. */
export function library() {
  loading ??= (async () => {
    const code = await unpacked(document.getElementById("library")).text();
    const script = document.createElement("script");
    script.textContent = code;
    document.head.append(script);
    window.Bokeh.set_log_level("error");
    return window.Bokeh;
  })();
  return loading;
}

/** Colours of the page's style, light or dark. */
function theme() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return { ink: of("--ink"), soft: of("--soft"), line: of("--line"), paper: of("--paper") };
}

const FONT = "system-ui, sans-serif";

function styled(figure) {
  const { ink, soft, line, paper } = theme();
  Object.assign(figure, {
    background_fill_color: paper,
    border_fill_color: paper,
    outline_line_color: line,
    min_border_right: 14,
    // As wide as the widest labels, so that the axes of all plots stand over one another.
    min_border_left: 58,
  });
  for (const axis of figure.axes) {
    Object.assign(axis, {
      axis_label_text_color: ink,
      axis_label_text_font: FONT,
      axis_label_text_font_size: "12px",
      axis_label_text_font_style: "normal",
      major_label_text_color: soft,
      major_label_text_font: FONT,
      axis_line_color: line,
      major_tick_line_color: line,
      minor_tick_line_color: null,
    });
  }
  for (const grid of figure.grids) grid.grid_line_color = line;
}

/** Smallest and largest finite value, with a margin. */
export function extent(arrays, logarithmic = false) {
  let low = Infinity;
  let high = -Infinity;
  for (const values of arrays) {
    for (const value of values) {
      if (!Number.isFinite(value) || (logarithmic && value <= 0)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (low > high) return [logarithmic ? 0.1 : 0, 1];
  if (logarithmic) {
    const margin = (high / low) ** 0.05 || 1;
    return low === high ? [low / 2, high * 2] : [low / margin, high * margin];
  }
  const margin = 0.05 * (high - low) || Math.abs(high) * 0.1 || 1;
  return [low - margin, high + margin];
}

/** Series or marks in groups of one dash. */
function byDash(all) {
  const found = new Map();
  for (const of of all) {
    const dash = of.dash ?? "solid";
    if (!found.has(dash)) found.set(dash, []);
    found.get(dash).push(of);
  }
  return [...found.values()];
}

function lines(series) {
  return {
    x: series.map((of) => of.x),
    y: series.map((of) => of.y),
    colour: series.map((of) => of.colour),
    width: series.map((of) => of.width ?? 1.4),
  };
}

/** A plot in an element. */
export class Plot {
  /**
   * series: {x, y, colour, dash, label, width}. marks: {x, colour, dash}.
   * bands: {from, to, colour}. range: [from, to] of x; onRange is told when the reader changes it.
   */
  constructor({ title, label, xLabel, height = 180, logarithmic, logarithmicX, range, yRange, onRange }) {
    Object.assign(this, { title, label, xLabel, height, logarithmic, logarithmicX, range, yRange });
    this.onRange = onRange;
    this.series = [];
    this.marks = [];
    this.bands = [];
    this.sources = [];
  }

  async show(element) {
    const Bokeh = await library();
    const [start, end] = this.range;
    this.x = new Bokeh.Range1d({ start, end });
    const values = this.series.map((of) => of.y);
    const [low, high] = this.yRange ?? extent(values, this.logarithmic);
    this.figure = Bokeh.Plotting.figure({
      height: this.height,
      sizing_mode: "stretch_width",
      x_range: this.x,
      y_range: new Bokeh.Range1d({ start: low, end: high }),
      x_axis_type: this.logarithmicX ? "log" : "linear",
      y_axis_type: this.logarithmic ? "log" : "linear",
      y_axis_label: this.label,
      x_axis_label: this.xLabel ?? null,
      tools: "xpan,xwheel_zoom,xbox_zoom",
      active_drag: "xpan",
      active_scroll: null,
      toolbar_location: null,
      output_backend: "canvas",
    });
    styled(this.figure);
    this.figure.xaxis.formatter = this.formatter(Bokeh, this.logarithmicX);
    this.figure.yaxis.formatter = this.formatter(Bokeh, this.logarithmic);
    for (const { from, to, colour } of this.bands) {
      this.figure.add_layout(
        new Bokeh.BoxAnnotation({ left: from, right: to, fill_color: colour, fill_alpha: 0.15, line_color: null })
      );
    }
    for (const of of byDash(this.series)) this.draw(of);
    for (const of of byDash(this.marks)) {
      const source = new Bokeh.ColumnDataSource({
        data: { x: of.map((mark) => mark.x), colour: of.map((mark) => mark.colour) },
      });
      this.figure.vspan({ field: "x" }, { source, line_color: { field: "colour" }, line_dash: of[0].dash });
    }
    this.extend?.(Bokeh);
    fill(element);
    this.view = await Bokeh.Plotting.show(this.figure, element);
    this.x.change.connect(() => {
      if (!this.setting) this.onRange?.([this.x.start, this.x.end]);
    });
    return this;
  }

  formatter(Bokeh, logarithmic) {
    return logarithmic
      ? new Bokeh.LogTickFormatter()
      : new Bokeh.BasicTickFormatter({ use_scientific: true, power_limit_high: 6, power_limit_low: -4 });
  }

  /** Series of one dash: one glyph for all of them, since each glyph has its price. */
  draw(series) {
    const source = new window.Bokeh.ColumnDataSource({ data: lines(series) });
    this.sources.push(source);
    this.figure.multi_line({ field: "x" }, { field: "y" }, {
      source,
      line_color: { field: "colour" },
      line_width: { field: "width" },
      line_dash: series[0].dash ?? "solid",
    });
  }

  /** Other values for the same series. */
  update(series) {
    byDash(series).forEach((of, i) => (this.sources[i].data = lines(of)));
  }

  /** Show another part of the x axis; the reader is not told. */
  setRange([start, end]) {
    if (!this.x || (this.x.start === start && this.x.end === end)) return;
    this.setting = true;
    this.x.setv({ start, end });
    this.setting = false;
  }

  /** The plot as an SVG element. */
  drawing() {
    return this.view.export("svg").ctx.get_svg();
  }
}

/** Texts for the table behind a plot: what each series does within a range. */
export function within(series, [from, to]) {
  return series.map(({ label, x, y }) => {
    let [low, high, last] = [NaN, NaN, NaN];
    for (let i = 0; i < x.length; i++) {
      if (x[i] < from || x[i] > to || !Number.isFinite(y[i])) continue;
      if (!(y[i] >= low)) low = y[i];
      if (!(y[i] <= high)) high = y[i];
      last = y[i];
    }
    return [label, plain(low), plain(high), plain(last)];
  });
}
