// The rest of the page: summary, fixes, sizes, errors; and where links lead.

function clip(text, length) {
  return text.length > length ? `${text.slice(0, length - 1)}\u2026` : text;
}

/** The first name that a fused operator's output has, without the step that most names begin with. */
function shortName(name) {
  const first = name.slice(0, 2000).split(";")[0];
  return sharedStep && first.startsWith(sharedStep) ? first.slice(sharedStep.length) : first;
}

function findSharedStep() {
  const counts = new Map(),
    steps = report.operators
      .map((operator) =>
        outputName(operator)
          .slice(0, 2000)
          .split(";")[0]
          .match(/^[^/]*\//),
      )
      .filter(Boolean);
  for (const [step] of steps) counts.set(step, (counts.get(step) || 0) + 1);
  const [step, count] = [...counts].sort((a, b) => b[1] - a[1])[0] || ["", 0];
  return count >= report.operators.length / 2 ? step : "";
}

function outputName(operator) {
  return operator.outputs.length ? report.tensors[operator.outputs[0]].name : "";
}

function leastOf(operator, view) {
  const values = operator.errors
    .filter((e) => e[view])
    .map((e) => number(e[view].sqnr_db))
    .filter((value) => !isNaN(value));
  return values.length ? Math.min(...values) : null;
}

/** What an operator loses by itself: in decibels, of its output where that was measured, else of its weights. */
function lossOf(operator) {
  if (!operator) return Infinity;
  const alone = leastOf(operator, report.comparison ? "isolated" : "");
  const weights = operator.weights.filter((w) => w.error).map((w) => number(w.error.sqnr_db));
  return alone !== null ? alone : report.comparison ? Infinity : Math.min(Infinity, ...weights);
}

/** Fixes suggested for an operator, or for the inputs of the model at -1. */
function fixesOf(position) {
  return report.advice.flatMap((advice) =>
    advice.findings.filter((f) => (f.operator === null ? -1 : f.operator) === position).map((f) => [advice, f.evidence]),
  );
}

function scrolled(name, content, extra = "") {
  return h("div", { class: `scroll ${extra}`, role: "region", "aria-label": name, tabindex: 0 }, content);
}

function table(caption, head, body) {
  const cells = (row, tag) => row.map((cell, i) => h(tag, { class: `${head[i][1] ? "number" : ""} ${head[i][2] || ""}` }, cell));
  return h(
    "table",
    {},
    caption ? h("caption", {}, caption) : null,
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        cells(
          head.map(([text]) => text),
          "th",
        ),
      ),
    ),
    h(
      "tbody",
      {},
      body.map((row) => h("tr", {}, cells(row, "td"))),
    ),
  );
}

const into = (id, ...children) => document.getElementById(id).append(...present(children));

function summary() {
  const c = report.comparison,
    operators = report.operators;
  const name = report.quantized_name || "Quantized model";
  into("summary-title", h("bdi", {}, clip(name, 300)));
  document.title = `${clip(name, 80)} \u2013 qcore report`;
  into(
    "subject",
    `Mode ${report.mode}, against `,
    h("bdi", {}, clip(report.float_name || "the float model", 300)),
    c ? `, on ${c.samples} ${c.samples === 1 ? "sample" : "samples"}` : "; without data, so no errors of activations",
  );
  const figures = [
    ["File size", bytes(report.quantized_bytes), `${percent(report.quantized_bytes / report.float_bytes)} of ${bytes(report.float_bytes)}`],
  ];
  const integer = operators.filter((o) => o.outputs.some((t) => report.tensors[t].grid)).length;
  figures.push(["Operators", String(operators.length), `${integer} give codes, ${operators.length - integer} do not`]);
  if (c) {
    const sqnr = Math.min(...c.outputs.map((o) => number(o.error.sqnr_db)));
    if (c.outputs.length)
      figures.push([
        "SQNR at the outputs",
        inDecibels(sqnr),
        c.outputs.length > 1 ? `the least of ${c.outputs.length}` : "signal to quantization noise",
      ]);
    const agreement = c.outputs.filter((o) => o.top1_agreement !== null).map((o) => number(o.top1_agreement));
    if (agreement.length) figures.push(["Agreement", percent(Math.min(...agreement)), "same greatest number"]);
    const steps = c.outputs.filter((o) => o.scale).map((o) => number(o.error.max_abs_error) / number(o.scale));
    if (steps.length) figures.push(["Greatest error", `${digits(Math.max(...steps))} steps`, "of the output's scale"]);
    const worst = operators
      .map((o, i) => [leastOf(o, "isolated"), i])
      .filter(([value]) => value !== null)
      .sort((a, b) => a[0] - b[0])[0];
    if (worst)
      figures.push([
        "Worst operator alone",
        h("a", { href: `#op-${worst[1]}` }, inDecibels(worst[0])),
        `${worst[1]} ${operators[worst[1]].name}`,
      ]);
  }
  figures.push(["Suggested fixes", report.advice.length ? h("a", { href: "#fixes" }, String(report.advice.length)) : "none", ""]);
  into(
    "headline",
    figures.map(([term, value, more]) => h("div", {}, h("dt", {}, term), h("dd", {}, value, more ? h("small", {}, more) : null))),
  );
  if (c && c.outputs.length)
    into(
      "outputs",
      scrolled(
        "Outputs",
        table(
          "",
          [
            ["output", false],
            ["type", false],
            ["SQNR, dB", true],
            ["cosine", true],
            ["max error", true],
            ["max, steps", true],
            ["mean error", true],
            ["agreement", true],
          ],
          c.outputs.map((o) => [
            h("bdi", {}, clip(shortName(o.tensor), 60)),
            o.dtype,
            decibels(o.error.sqnr_db),
            digits(o.error.cosine_similarity, 6),
            digits(o.error.max_abs_error),
            o.scale ? digits(number(o.error.max_abs_error) / number(o.scale)) : "",
            digits(o.error.mean_error, 2),
            o.top1_agreement === null ? "" : percent(number(o.top1_agreement)),
          ]),
        ),
      ),
    );
  if (c) drawAlong();
  const missing = c
    ? [
        ["float", c.unmatched_float],
        ["quantized", c.unmatched_quantized],
      ].filter(([, list]) => list.length)
    : [];
  into(
    "notes",
    [
      ...report.notes,
      ...(c ? c.notes : []),
      ...missing.map(([what, list]) => `${list.length} operators of the ${what} model have no counterpart: ${clip(list.join(", "), 300)}`),
    ].map((note) => h("li", {}, note)),
  );
}

function drawAlong() {
  const points = report.operators
    .map((o, index) => ({ index, operator: o.name, alone: leastOf(o, "isolated"), model: leastOf(o, "cumulative") }))
    .filter((p) => p.alone !== null || p.model !== null);
  const box = document.getElementById("along"),
    drawing = points.length ? along(points, Math.max(box.clientWidth || document.body.clientWidth - 40, 280)) : null;
  box.replaceChildren(
    ...(drawing
      ? [
          h(
            "figure",
            {},
            drawing,
            h("figcaption", {}, "SQNR by operator, dB: dots, each operator alone; line, in the model. Higher is better."),
          ),
        ]
      : []),
  );
}

function fixes() {
  if (!report.advice.length)
    into(
      "advice",
      h(
        "p",
        { class: "muted" },
        report.comparison
          ? "No rule found anything to mend."
          : "No rule found anything to mend in weights and structure. Rules about activations need samples.",
      ),
    );
  for (const advice of report.advice) {
    const listed = (list) =>
      h(
        "ul",
        { class: "small" },
        list.map((f) =>
          h(
            "li",
            {},
            f.operator === null ? null : h("a", { href: `#op-${f.operator}` }, `${f.operator} ${report.operators[f.operator].name}`),
            f.operator === null ? "" : ": ",
            f.evidence,
          ),
        ),
      );
    const first = advice.findings.slice(0, 5),
      rest = advice.findings.slice(5);
    into(
      "advice",
      h(
        "article",
        { id: `fix-${advice.rule}`, tabindex: -1 },
        h("h3", {}, advice.title),
        h("p", {}, advice.reason),
        h("pre", {}, clip(advice.call, 4000)),
        listed(first),
        rest.length ? h("details", {}, h("summary", { class: "small" }, `${rest.length} more`), listed(rest)) : null,
      ),
    );
  }
}

function sizes() {
  const head = (first) => [
    [first, false],
    ["float", true, "roomy"],
    ["float bytes", true],
    ["quantized", true, "roomy"],
    ["quantized bytes", true],
    ["of float", true, "roomy"],
  ];
  const row = (p) => [
    p.name,
    String(p.float_count || "\u2013"),
    bytes(p.float_bytes),
    String(p.quantized_count || "\u2013"),
    bytes(p.quantized_bytes),
    p.float_bytes && p.quantized_bytes <= p.float_bytes ? percent(p.quantized_bytes / p.float_bytes) : "",
  ];
  const total = (parts, side) => parts.reduce((sum, p) => sum + p[`${side}_bytes`], 0);
  const rest = [
    "Structure and names",
    "",
    bytes(Math.max(report.float_bytes - total(report.element_types, "float"), 0)),
    "",
    bytes(Math.max(report.quantized_bytes - total(report.element_types, "quantized"), 0)),
    "",
  ];
  const all = [
    "File",
    "",
    bytes(report.float_bytes),
    "",
    bytes(report.quantized_bytes),
    percent(report.quantized_bytes / report.float_bytes),
  ];
  into(
    "parts",
    scrolled(
      "Constants by type of operator",
      table("Operators and the constants they read first, by type", head("operator"), report.operator_types.map(row)),
    ),
    scrolled(
      "Constants by element type",
      table("Constants by element type", head("element type"), [...report.element_types.map(row), rest, all]),
    ),
  );
}

const COLUMNS = [
  ["op", true, (r) => r.index, (r) => h("a", { href: `#op-${r.index}` }, String(r.index))],
  ["operator", false, (r) => r.operator.name, (r) => r.operator.name],
  ["output", false, (r) => r.name, (r) => h("bdi", {}, clip(shortName(r.name), 48))],
  ["type", false, (r) => r.dtype, (r) => r.dtype],
  ["weights\nSQNR, dB", true, (r) => r.weights, (r) => decibels(r.weights)],
  ["alone\nSQNR, dB", true, (r) => r.alone.sqnr_db, (r) => decibels(r.alone.sqnr_db)],
  ["in the model\nSQNR, dB", true, (r) => r.model.sqnr_db, (r) => decibels(r.model.sqnr_db)],
  ["alone\nmax error", true, (r) => r.alone.max_abs_error, (r) => digits(r.alone.max_abs_error)],
  ["alone\nMSE", true, (r) => r.alone.mean_squared_error, (r) => digits(r.alone.mean_squared_error)],
  ["alone\nRMSE, steps", true, (r) => r.steps, (r) => digits(r.steps, 2)],
  ["\nconstants", true, (r) => r.operator.size, (r) => (r.operator.size ? bytes(r.operator.size) : "")],
  ["\nfixes", true, (r) => -r.fixes, (r) => (r.fixes ? `! ${r.fixes}` : "")],
];

function errorRows() {
  return report.operators.flatMap((operator, index) =>
    (operator.errors.length ? operator.errors : [null]).map((error) => {
      const alone = (error && error.isolated) || {},
        model = (error && error.cumulative) || {},
        tensor = report.tensors[operator.outputs[0]];
      const weights = operator.weights.filter((w) => w.error).map((w) => number(w.error.sqnr_db));
      const steps = error && error.scale && error.isolated ? Math.sqrt(number(alone.mean_squared_error)) / number(error.scale) : undefined;
      return {
        index,
        operator,
        alone,
        model,
        steps,
        name: error ? error.tensor : outputName(operator),
        dtype: error ? error.dtype : tensor ? tensor.dtype : "",
        weights: weights.length ? Math.min(...weights) : undefined,
        fixes: fixesOf(index).length,
      };
    }),
  );
}

function errors() {
  into(
    "errors-about",
    report.comparison
      ? "Alone: run on the float model\u2019s values, so that only its own error shows. In the model: with all that came before. Errors are the quantized model\u2019s values minus the float model\u2019s; a step is the output\u2019s scale."
      : "Errors of weights alone; those of activations need samples.",
  );
  const list = errorRows(),
    columns = COLUMNS.filter(([, , key], i) => i < 4 || i > 9 || list.some((r) => key(r) !== undefined));
  let sorted = report.comparison ? 5 : 4,
    ascending = true;
  const body = h("tbody"),
    roomy = (i) => (i === 2 || i === 3 ? "roomy" : "");
  const heads = columns.map(([text, right], i) =>
    h(
      "th",
      { class: `${right ? "number" : ""} ${roomy(i)}`, scope: "col" },
      h("button", { type: "button", onclick: () => sortBy(i) }, text),
    ),
  );
  for (const r of list) {
    r.element = h(
      "tr",
      {},
      columns.map(([, right, , cell], i) => h("td", { class: `${right ? "number" : i === 2 ? "wide" : ""} ${roomy(i)}` }, cell(r))),
    );
    r.text = `${r.index} ${r.operator.name} ${r.name} ${r.dtype}`.toLowerCase();
  }
  function sortBy(i) {
    ascending = i === sorted ? !ascending : true;
    sorted = i;
    order();
  }
  function order() {
    const key = columns[sorted][2],
      value = (r) => {
        const v = key(r);
        return typeof v === "string" && columns[sorted][1] ? Number(v) : v;
      };
    const rank = (v) => v === undefined || v === null || Number.isNaN(v);
    list.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (rank(x) || rank(y)) return rank(x) - rank(y) || a.index - b.index;
      return (x < y ? -1 : x > y ? 1 : 0) * (ascending ? 1 : -1) || a.index - b.index;
    });
    heads.forEach((head, k) =>
      k === sorted ? head.setAttribute("aria-sort", ascending ? "ascending" : "descending") : head.removeAttribute("aria-sort"),
    );
    body.append(...list.map((r) => r.element));
  }
  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase().split(/\s+/);
    for (const r of list) r.element.hidden = !wanted.every((word) => r.text.includes(word));
    document.getElementById("filtered").textContent = `${list.filter((r) => !r.element.hidden).length} of ${list.length}`;
  });
  sorted = Math.max(columns.indexOf(COLUMNS[sorted]), 0);
  order();
  into("error-table", scrolled("Errors by operator", h("table", {}, h("thead", {}, h("tr", {}, heads)), body), "tall"));
}

/** Links to operators choose them; others go where they say. */
function follow() {
  const row = rows.find((r) => `#${r.key}` === location.hash && r.operator);
  if (!row) return;
  choose(row, true);
  const narrow = getComputedStyle(document.getElementById("browser")).gridTemplateColumns.split(" ").length < 2;
  (narrow ? detail : document.getElementById("operators")).scrollIntoView();
}

const report = JSON.parse(document.getElementById("data").textContent);
const sharedStep = findSharedStep();
summary();
fixes();
sizes();
errors();
makeRows();
into(
  "legend",
  "\u25a0 gives codes, \u25cb floating point; dB: SQNR of ",
  report.comparison ? "the operator alone" : "its weights",
  "; ! a fix is suggested",
);
choose(rows.find((r) => r.operator) || rows[0], false);
window.addEventListener("hashchange", follow);
follow();
let measured = innerWidth;
window.addEventListener("resize", () => {
  if (innerWidth === measured) return;
  measured = innerWidth;
  if (report.comparison) drawAlong();
  layOut();
  showDetail(chosen);
});
