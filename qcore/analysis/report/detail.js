// What there is to know of one operator.

const detail = document.getElementById("detail");
const VIEWS = [
  ["isolated", "alone"],
  ["cumulative", "in the model"],
];

function showDetail(row) {
  const width = Math.max(Math.min(detail.clientWidth || 600, 640), 240);
  const content = row.operator ? operatorDetail(row, width) : row.scope ? scopeDetail(row) : endDetail(row, width);
  detail.replaceChildren(...present(content));
}

function operatorDetail(row, width) {
  const position = row.members[0],
    operator = row.operator,
    count = report.operators.length;
  return [
    h(
      "p",
      { class: "step" },
      position > 0 && h("a", { href: `#op-${position - 1}` }, "previous"),
      position + 1 < count && h("a", { href: `#op-${position + 1}` }, "next"),
    ),
    h("h3", {}, `${position} ${operator.name}`),
    h("p", { class: "full" }, h("bdi", {}, outputName(operator))),
    facts(operator),
    fixLinks(position),
    errorTable(operator.errors),
    operator.activations.map((activation) => activationDetail(activation, width, "Output")),
    operator.activations.length ? null : operator.outputs.map((tensor) => gridDetail(tensor)),
    operator.weights.map((weights) => weightsDetail(weights, width)),
    operator.biases.map(biasDetail),
  ];
}

function fixLinks(position) {
  return fixesOf(position).map(([advice, evidence]) =>
    h("p", { class: "warn" }, "! ", evidence, ": ", h("a", { href: `#fix-${advice.rule}` }, advice.title)),
  );
}

function facts(operator) {
  const entries = [];
  const tensors = (list) => list.map((tensor) => h("div", {}, tensor < 0 ? "left out" : tensorText(tensor)));
  entries.push(["inputs", tensors(operator.inputs)], ["outputs", tensors(operator.outputs)]);
  if (operator.options.length) entries.push(["options", operator.options.map(([name, value]) => `${name} ${value}`).join(", ")]);
  entries.push(["constants", operator.size ? bytes(operator.size) : "none of its own"]);
  entries.push(["float model", operator.counterpart === null ? "no counterpart" : `operator ${operator.counterpart}`]);
  return h(
    "dl",
    { class: "facts" },
    entries.map(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]),
  );
}

function tensorText(index) {
  const tensor = report.tensors[index],
    from = tensor.producer;
  const origin = tensor.constant ? "constant " : report.inputs.includes(index) ? "input " : "";
  const grid = tensor.grid;
  const scale = !grid
    ? ""
    : grid.scales > 1
      ? `, ${grid.scales} scales`
      : `, scale ${digits(grid.scale, 6)}, zero point ${minus(String(grid.zero_point))}`;
  const link = from === null ? null : h("a", { href: `#op-${from}` }, `${from} ${report.operators[from].name}`);
  return [
    link,
    link ? " " : null,
    `${origin}${tensor.dtype} ${tensor.shape.join("\u00d7") || "scalar"}${scale} `,
    h("bdi", { class: "muted" }, clip(shortName(tensor.name), 60)),
  ];
}

function errorTable(errors) {
  if (!errors.length) return null;
  const body = errors.flatMap((error) =>
    VIEWS.filter(([view]) => error[view]).map(([view, words], i) => {
      const m = error[view],
        scale = number(error.scale);
      const cells = [
        decibels(m.sqnr_db),
        digits(m.cosine_similarity, 6),
        digits(m.max_abs_error),
        digits(m.mean_error, 2),
        digits(m.mean_squared_error, 3),
        scale ? digits(Math.sqrt(number(m.mean_squared_error)) / scale, 3) : "",
        scale ? digits(number(m.max_abs_error) / scale, 3) : "",
      ];
      return h(
        "tr",
        {},
        h(
          "td",
          {},
          errors.length > 1 && !i ? h("bdi", {}, clip(shortName(error.tensor), 24)) : null,
          errors.length > 1 && !i ? " " : null,
          words,
        ),
        cells.map((cell) => h("td", { class: "number" }, cell)),
      );
    }),
  );
  const notes = errors.filter((error) => error.note).map((error) => h("p", { class: "small muted" }, clip(error.note, 400)));
  const head = ["error of the output", "SQNR, dB", "cosine", "max", "mean", "MSE", "RMSE, steps", "max, steps"];
  return [
    scrolled(
      "Errors of the operator",
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            head.map((text, i) => h("th", { class: i ? "number" : null }, text)),
          ),
        ),
        h("tbody", {}, body),
      ),
    ),
    notes,
  ];
}

function gridDetail(index) {
  const grid = report.tensors[index].grid;
  return (
    grid &&
    h(
      "p",
      { class: "small muted" },
      `Codes of the output stand for ${digits(grid.low, 4)} to ${digits(grid.high, 4)}. No values were observed.`,
    )
  );
}

function activationDetail(a, width, title) {
  const clipped = a.below + a.above,
    grid = a.grid;
  const words = `Values from ${digits(a.low)} to ${digits(a.high)}${grid ? `; codes stand for ${digits(grid.low)} to ${digits(grid.high)}; ${percent(clipped)} of the values are beyond them` : ""}`;
  const seen = a.least === null ? "" : ` Codes seen: ${minus(String(a.least))} to ${minus(String(a.greatest))}.`;
  const bad = a.nonfinite ? ` ${a.nonfinite} NaN or infinite values are left out.` : "";
  return [
    h("h4", {}, `${title}: values of the float model`),
    h(
      "figure",
      {},
      histogram(a.bars, grid, width, words),
      h("figcaption", {}, `${words}.${grid ? ` Step ${digits(grid.scale, 4)}.` : ""}${seen}${bad} Counts are logarithmic.`),
    ),
    a.ranges.length ? rangeTable(a.ranges) : null,
    channelTable(a.worst, a.alone ? "Worst channels, the operator alone" : "Worst channels, in the model", false),
  ];
}

function rangeTable(ranges) {
  const present = number(ranges[0].error);
  return scrolled(
    "Ranges",
    table(
      "Ranges that calibration on these samples would choose",
      [
        ["method", false],
        ["from", true],
        ["to", true],
        ["beyond, %", true],
        ["expected error", true],
        ["against present, dB", true],
      ],
      ranges.map((r) => [
        r.method,
        digits(r.low, 4),
        digits(r.high, 4),
        digits(100 * r.clipped),
        digits(r.error),
        r === ranges[0] || !number(r.error) || !present ? "" : plus(20 * Math.log10(present / number(r.error))),
      ]),
    ),
  );
}

const plus = (value) => (value > 0 ? "+" : "") + minus(value.toFixed(1));

function channelTable(channels, caption, scaled) {
  if (!channels.length) return null;
  const head = [
    ["channel", true],
    ...(scaled ? [["scale", true]] : []),
    ["least", true],
    ["greatest", true],
    ["RMS error", true],
    ["mean error", true],
    ["SQNR, dB", true],
  ];
  return scrolled(
    caption,
    table(
      caption,
      head,
      channels.map((c) => [
        String(c.index),
        ...(scaled ? [digits(c.scale)] : []),
        digits(c.low),
        digits(c.high),
        digits(c.error),
        digits(c.mean_error, 2),
        decibels(c.sqnr_db),
      ]),
    ),
  );
}

function weightsDetail(w, width) {
  const grid = w.grid,
    tensor = report.tensors[w.tensor];
  const kind = !grid
    ? ""
    : grid.scales > 1
      ? `${grid.scales} scales along axis ${grid.axis}; the widest range is ${digits(grid.low)} to ${digits(grid.high)}, the narrowest ${digits(grid.narrowest[0])} to ${digits(grid.narrowest[1])} (dashed)`
      : `one scale, ${digits(grid.scale, 4)}; codes stand for ${digits(grid.low)} to ${digits(grid.high)}`;
  const error = w.error ? ` SQNR ${decibels(w.error.sqnr_db)} dB; ${percent(w.clipped)} beyond the codes.` : "";
  const could = w.per_channel_sqnr_db === null ? "" : ` With a scale for each channel: ${decibels(w.per_channel_sqnr_db)} dB.`;
  const words = `${tensor.dtype} ${tensor.shape.join("\u00d7")}, ${bytes(w.size)}${kind ? `: ${kind}` : ""}`;
  return [
    h("h4", {}, `Weights (input ${w.slot}): ${w.compared ? "values of the float model" : "values that the codes stand for"}`),
    h("figure", {}, histogram(w.bars, grid, width, words), h("figcaption", {}, `${words}.${error}${could}`)),
    w.codes && h("figure", {}, codes(w.codes, width), h("figcaption", {}, "How often codes are used; counts are logarithmic.")),
    w.scales &&
      h(
        "figure",
        {},
        scales(w.scales, width),
        h(
          "figcaption",
          {},
          `Scales by channel, logarithmic: ${digits(Math.min(...w.scales.lows))} to ${digits(Math.max(...w.scales.highs))}.`,
        ),
      ),
    channelTable(w.worst, "Worst channels of weights", Boolean(w.scales)),
  ];
}

function biasDetail(b) {
  const off = b.steps === null ? "not compared" : `at most ${digits(b.steps)} steps from the float model's`;
  return [
    h("h4", {}, `Bias (input ${b.slot})`),
    h(
      "p",
      { class: b.saturated ? "small warn" : "small muted" },
      `${report.tensors[b.tensor].dtype}, ${b.channels} channels: ${off}; ${b.ends} at the ends of the type; ${b.saturated} do not fit.`,
    ),
  ];
}

function scopeDetail(row) {
  const size = row.members.reduce((sum, i) => sum + report.operators[i].size, 0);
  return [
    h("h3", {}, h("bdi", {}, clip(row.scope, 200))),
    h("p", { class: "muted" }, `${row.members.length} operators, ${bytes(size)} of constants`),
    scrolled(
      "Operators of the scope",
      table(
        "",
        [
          ["op", true],
          ["operator", false],
          ["alone, dB", true],
          ["in the model, dB", true],
          ["constants", true],
        ],
        row.members.map((i) => [
          String(i),
          h("a", { href: `#op-${i}` }, report.operators[i].name),
          decibels(leastOf(report.operators[i], "isolated")),
          decibels(leastOf(report.operators[i], "cumulative")),
          bytes(report.operators[i].size),
        ]),
      ),
      "tall",
    ),
  ];
}

function endDetail(row, width) {
  const inputs = row.key === "inputs",
    list = inputs ? report.inputs : report.outputs;
  return [
    h("h3", {}, inputs ? "Inputs of the model" : "Outputs of the model"),
    inputs ? fixLinks(-1) : null,
    list.map((tensor) => h("p", { class: "full" }, tensorText(tensor))),
    inputs ? report.input_activations.map((a) => activationDetail(a, width, clip(shortName(report.tensors[a.tensor].name), 40))) : null,
  ];
}
