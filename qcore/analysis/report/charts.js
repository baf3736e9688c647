"use strict";
// Elements made of text alone: whatever a model's names hold stays text.

const SVG = "http://www.w3.org/2000/svg";

function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...present(children));
  return element;
}

/** What there is to show in nested lists, of which parts may be left out. */
const present = (parts) => [parts].flat(Infinity).filter((part) => part !== null && part !== undefined && part !== false && part !== "");

// Numbers as people read them, with their units.

const number = (value) => (typeof value === "string" ? Number(value) : value);

function digits(value, count = 3) {
  value = number(value);
  if (value === null || value === undefined) return "";
  if (!isFinite(value)) return String(value).replace("Infinity", "\u221e");
  if (value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 1e-4)) return minus(value.toExponential(count - 1));
  return minus(String(Number(value.toPrecision(count))));
}

const minus = (text) => text.replace(/-/g, "\u2212");
const percent = (share) => `${digits(100 * share, 3)}\u00a0%`;

function decibels(value) {
  value = number(value);
  if (value === null || value === undefined) return "";
  return isFinite(value) ? minus(value.toFixed(1)) : value > 0 ? "exact" : String(value).replace("-Infinity", "\u2212\u221e");
}

function inDecibels(value) {
  return decibels(value) + (isFinite(number(value)) ? "\u00a0dB" : "");
}

function bytes(count) {
  if (count < 1000) return `${count}\u00a0B`;
  return count < 1e6 ? `${(count / 1e3).toFixed(1)}\u00a0kB` : `${(count / 1e6).toFixed(2)}\u00a0MB`;
}

// Charts. Each is an image with its meaning in words; colour never says anything alone.

function chart(width, height, label, ...children) {
  return s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label }, ...children);
}

function path(d, name) {
  return s("path", { d, class: name });
}

function label(x, y, anchor, text) {
  return s("text", { x, y, "text-anchor": anchor }, text);
}

/** Values on a logarithmic scale of counts, and the grid of codes under them. */
function histogram(bars, grid, width, words) {
  const height = 118,
    base = 84,
    left = 6,
    right = width - 6;
  const last = bars.low + bars.width * bars.counts.length;
  let from = bars.low,
    to = last;
  if (grid) [from, to] = [Math.min(from, grid.low), Math.max(to, grid.high)];
  if (!bars.counts.length && !grid) return null;
  const span = to - from || 1;
  const x = (value) => left + ((value - from) / span) * (right - left);
  const most = Math.log1p(Math.max(1, ...bars.counts));
  const parts = [path(`M${left} ${base}H${right}`, "axis")];
  bars.counts.forEach((count, i) => {
    if (!count) return;
    const a = x(bars.low + i * bars.width),
      b = x(bars.low + (i + 1) * bars.width),
      tall = 2 + (Math.log1p(count) / most) * (base - 14);
    const middle = bars.low + (i + 0.5) * bars.width;
    const beyond = grid && (middle < grid.low - grid.scale / 2 || middle > grid.high + grid.scale / 2);
    parts.push(
      s("rect", {
        x: a,
        y: base - tall,
        width: Math.max(b - a - (b - a > 4 ? 1 : 0), 0.6),
        height: tall,
        class: beyond ? "beyond" : "bar",
      }),
    );
  });
  if (grid) parts.push(...gridLines(grid, x, base));
  else parts.push(label(left, base + 15, "start", digits(bars.low)), label(right, base + 15, "end", digits(last)));
  return chart(width, grid ? height : base + 22, words, parts);
}

function gridLines(grid, x, base) {
  const parts = [],
    step = x(grid.low + grid.scale) - x(grid.low);
  const every = [1, 2, 4, 8, 16, 32, 64, 256, 1024, 4096, 16384].find((n) => n * step >= 3) || 65536;
  let comb = "";
  if (step > 0) {
    for (let code = grid.quantized_min; code <= grid.quantized_max; code += every) {
      comb += `M${x(grid.scale * (code - grid.zero_point)).toFixed(1)} ${base + 3}v4`;
    }
  }
  parts.push(path(comb, "comb"));
  for (const [end, inward] of [
    [grid.low, 1],
    [grid.high, -1],
  ])
    parts.push(path(`M${x(end) + 4 * inward} 6H${x(end)}V${base + 8}`, "edge"));
  for (const end of grid.narrowest || []) parts.push(path(`M${x(end)} 24V${base}`, "narrow"));
  const zero = x(0),
    low = x(grid.low),
    high = x(grid.high);
  parts.push(path(`M${zero} 14V${base + 8}`, "zero"));
  parts.push(
    label(low, base + 19, low > 60 ? "middle" : "start", digits(grid.low)),
    label(low, base + 31, low > 60 ? "middle" : "start", `code ${minus(String(grid.quantized_min))}`),
  );
  parts.push(label(high, base + 19, "end", digits(grid.high)), label(high, base + 31, "end", `code ${grid.quantized_max}`));
  if (zero - low > 74 && high - zero > 74) {
    parts.push(label(zero, base + 19, "middle", "0"), label(zero, base + 31, "middle", `code ${minus(String(grid.zero_point))}`));
  }
  return parts;
}

/** How often codes are used: counts on a logarithmic scale. */
function codes(bars, width) {
  const base = 40,
    step = width / bars.counts.length,
    most = Math.log1p(Math.max(1, ...bars.counts));
  const last = bars.low + bars.width * bars.counts.length - 1,
    used = bars.counts.filter((count) => count).length;
  return chart(
    width,
    base + 18,
    `How often codes are used: ${used} of ${bars.counts.length} bins of ${bars.width} codes hold any`,
    path(`M0 ${base}H${width}`, "axis"),
    bars.counts.map(
      (count, i) =>
        count &&
        s("rect", {
          x: i * step,
          y: base - 2 - (Math.log1p(count) / most) * (base - 4),
          width: Math.max(step - 1, 0.6),
          height: 2 + (Math.log1p(count) / most) * (base - 4),
          class: "bar",
        }),
    ),
    label(0, base + 14, "start", `code ${minus(String(bars.low))}`),
    label(width, base + 14, "end", `code ${last}`),
  );
}

/** Scales by channel, each column from the least to the greatest that it stands for, on a logarithmic axis. */
function scales(columns, width) {
  const base = 60,
    positive = [...columns.lows, ...columns.highs].filter((value) => value > 0);
  if (!positive.length) return null;
  const least = Math.log(Math.min(...positive)),
    most = Math.log(Math.max(...positive)),
    step = width / columns.lows.length;
  const y = (value) => (value > 0 ? base - 3 - ((Math.log(value) - least) / (most - least || 1)) * (base - 12) : base);
  return chart(
    width,
    base + 16,
    `Scales of ${columns.channels} channels, from ${digits(Math.exp(least))} to ${digits(Math.exp(most))}`,
    path(`M0 ${base}H${width}`, "axis"),
    columns.lows.map((low, i) =>
      s("rect", {
        x: i * step,
        y: y(columns.highs[i]) - 1,
        width: Math.max(step - (step > 3 ? 1 : 0), 0.6),
        height: Math.max(y(low) - y(columns.highs[i]), 0) + 2,
        class: "bar",
      }),
    ),
    label(0, base + 13, "start", "channel 0"),
    label(width, base + 13, "end", String(columns.channels - 1)),
    label(0, 9, "start", digits(Math.exp(most))),
  );
}

/** SQNR of every operator in the order they run: alone as dots, in the model as a line. */
function along(points, width) {
  const height = 190,
    left = 34,
    right = width - 8,
    top = 10,
    base = 160;
  const finite = points.flatMap((p) => [p.alone, p.model]).filter((value) => value !== null && isFinite(value));
  if (!finite.length) return null;
  const high = Math.min(Math.ceil(Math.max(...finite) / 10) * 10, 100),
    low = Math.min(Math.floor(Math.min(...finite) / 10) * 10, high - 10);
  const count = Math.max(points[points.length - 1].index, 1);
  const x = (index) => left + 6 + (index / count) * (right - left - 12);
  const y = (value) => base - ((Math.min(Math.max(value, low), high) - low) / (high - low)) * (base - top);
  const parts = [],
    every = high - low > 60 ? 20 : 10;
  for (let value = low; value <= high; value += every)
    parts.push(path(`M${left} ${y(value)}H${right}`, "axis"), label(left - 6, y(value) + 4, "end", minus(String(value))));
  const line = points.filter((p) => p.model !== null && isFinite(p.model)).map((p) => `${x(p.index).toFixed(1)} ${y(p.model).toFixed(1)}`);
  if (line.length) parts.push(path(`M${line.join("L")}`, "line"));
  for (const p of points) {
    if (p.alone === null || !isFinite(p.alone)) continue;
    const title = s("title", {}, `${p.index} ${p.operator}: ${inDecibels(p.alone)} alone, ${inDecibels(p.model)} in the model`);
    parts.push(
      s("a", { href: `#op-${p.index}`, tabindex: -1 }, title, s("circle", { cx: x(p.index), cy: y(p.alone), r: 3, class: "dot" })),
    );
  }
  parts.push(label(x(0), base + 16, "start", "operator 0"), label(right, base + 16, "end", String(count)));
  return chart(
    width,
    height - 8,
    `SQNR by operator in decibels, from ${decibels(Math.min(...finite))} to ${decibels(Math.max(...finite))}; the table of errors has the numbers`,
    parts,
  );
}
