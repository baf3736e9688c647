// The operators as a list in the order they run; wires between them in the margin, and scopes that fold.

const tree = document.getElementById("tree");
const FOLDED = 120; // operators, from which on scopes begin folded
const rows = [];
let chosen = null;

/** Rows: the inputs, operators by scope, the outputs. Each stands for positions of operators, -1 being the inputs. */
function makeRows() {
  const operators = report.operators;
  rows.push({ key: "inputs", level: 1, members: [-1] });
  for (let i = 0; i < operators.length; i++) {
    const scope = operators[i].scope;
    if (scope && (i === 0 || operators[i - 1].scope !== scope)) {
      const members = [];
      for (let j = i; j < operators.length && operators[j].scope === scope; j++) members.push(j);
      rows.push({ key: `scope-${i}`, level: 1, members, scope, folded: false });
    }
    rows.push({
      key: `op-${i}`,
      level: scope ? 2 : 1,
      members: [i],
      group: scope ? rows.findLast((row) => row.scope) : null,
      operator: operators[i],
    });
  }
  if (operators.length > FOLDED) for (const row of rows) row.folded = Boolean(row.scope);
  rows.push({ key: "outputs", level: 1, members: [operators.length] });
  for (const row of rows) {
    row.element = rowElement(row);
    tree.append(row.element);
  }
  tree.addEventListener("keydown", onKey);
  tree.addEventListener("click", (event) => {
    const row = rows.find((r) => r.element.contains(event.target));
    if (!row) return;
    if (row.scope) fold(row, !row.folded);
    choose(row, true);
  });
  for (const [id, folded] of [
    ["fold", true],
    ["unfold", false],
  ]) {
    document.getElementById(id).addEventListener("click", () => {
      for (const row of rows) if (row.scope) row.folded = folded;
      layOut();
    });
  }
  layOut();
}

function rowElement(row) {
  const least = Math.min(...row.members.map((i) => lossOf(report.operators[i])));
  const flagged = row.members.some((i) => fixesOf(i).length);
  const what = row.operator ? row.operator.name : row.scope ? row.scope : row.key;
  const name = row.operator ? shortName(outputName(row.operator)) : row.scope ? `${row.members.length} operators` : "";
  const lost = isFinite(least) ? Math.min(Math.max((60 - least) / 60, 0), 1) : 0;
  const bar = h("i");
  bar.style.width = `${Math.round(100 * lost)}%`;
  return h(
    "div",
    {
      role: "treeitem",
      class: row.scope ? "item group" : "item",
      tabindex: -1,
      "aria-level": row.level,
      "aria-selected": "false",
      "aria-expanded": row.scope ? "true" : null,
      id: `row-${row.key}`,
    },
    h("span", { class: "index" }, row.operator ? String(row.members[0]) : ""),
    h("span", { class: "what" }, what),
    h("bdi", {}, name),
    h("span", { class: "loss", "aria-hidden": "true" }, bar),
    h("span", { class: "db" }, isFinite(least) ? `${decibels(least)} dB` : ""),
    h(
      "span",
      {
        class: "flag",
        title: flagged ? "a fix is suggested" : null,
        "aria-label": flagged ? "a fix is suggested" : null,
        role: flagged ? "img" : null,
      },
      flagged ? "!" : "",
    ),
  );
}

const shown = () => rows.filter((row) => !row.group || !row.group.folded);

function fold(row, folded) {
  row.folded = folded;
  layOut();
}

/** Show the rows that are not folded away, and draw the wires between them. */
function layOut() {
  for (const row of rows) {
    row.element.hidden = Boolean(row.group && row.group.folded);
    if (row.scope) row.element.setAttribute("aria-expanded", String(!row.folded));
  }
  if (chosen && chosen.element.hidden) choose(chosen.group, tree.contains(document.activeElement));
  const visible = shown(),
    place = new Map();
  visible.forEach((row, i) => {
    if (!row.scope || row.folded) for (const member of row.members) place.set(member, i);
  });
  drawWires(visible, wiresBetween(place));
}

/** By pairs of places of rows, those that values go between. */
function wiresBetween(place) {
  const inputs = new Set(report.inputs),
    found = new Map();
  const add = (from, to) => {
    const a = place.get(from),
      b = place.get(to);
    if (a !== undefined && b !== undefined && a < b) found.set(`${a} ${b}`, [a, b]);
  };
  const source = (tensor) => (inputs.has(tensor) ? -1 : report.tensors[tensor].constant ? null : report.tensors[tensor].producer);
  report.operators.forEach((operator, i) => {
    for (const tensor of operator.inputs) if (tensor >= 0 && source(tensor) !== null) add(source(tensor), i);
  });
  for (const tensor of report.outputs) if (source(tensor) !== null) add(source(tensor), report.operators.length);
  return [...found.values()];
}

/** Wires to the next row run straight; others in lanes, the shorter the nearer, so that none crosses another of its lane. */
function drawWires(visible, wires) {
  const height = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
  const groups = visible.map((row) => Boolean(row.scope && !row.folded));
  const adjacent = (a, b) => groups.slice(a + 1, b).every(Boolean);
  const lanes = [],
    long = wires.filter(([a, b]) => !adjacent(a, b)).sort((p, q) => p[1] - p[0] - (q[1] - q[0]) || p[0] - q[0]);
  for (const wire of long) {
    let lane = lanes.findIndex((taken) => taken.every(([a, b]) => wire[1] <= a || wire[0] >= b));
    if (lane < 0) lane = lanes.push([]) - 1;
    lanes[lane].push(wire);
    wire.push(lane);
  }
  const gap = Math.min(9, 90 / Math.max(lanes.length, 1)),
    width = Math.ceil(16 + gap * lanes.length),
    node = width - 8;
  const y = (i) => (i + 0.5) * height;
  let straight = "",
    bent = "";
  for (const [a, b, lane] of wires) {
    if (lane === undefined) straight += `M${node} ${y(a)}V${y(b)}`;
    else {
      const x = node - 6 - gap * (lane + 0.5),
        r = Math.min(5, node - x);
      bent += `M${node} ${y(a)}H${x + r}Q${x} ${y(a)} ${x} ${y(a) + r}V${y(b) - r}Q${x} ${y(b)} ${x + r} ${y(b)}H${node}`;
    }
  }
  const drawing = s(
    "svg",
    { width, height: visible.length * height, "aria-hidden": "true" },
    path(straight + bent, "wire"),
    visible.map((row, i) => (groups[i] ? null : nodeMark(row, node, y(i)))),
  );
  tree.querySelector("svg")?.remove();
  tree.prepend(drawing);
  for (const row of visible) row.element.style.paddingLeft = `${width + (row.level - 1) * 10}px`;
}

/** Squares compute with codes, circles in floating point. */
function nodeMark(row, x, y) {
  const outputs = row.members.flatMap((i) => (report.operators[i] || { outputs: [] }).outputs);
  return outputs.every((tensor) => !report.tensors[tensor].grid)
    ? s("circle", { cx: x, cy: y, r: 3.5, class: "node real" })
    : s("rect", { x: x - 3, y: y - 3, width: 6, height: 6, class: "node" });
}

/** Make a row the chosen one, and show what there is to know of it. */
function choose(row, focus) {
  if (chosen) {
    chosen.element.setAttribute("aria-selected", "false");
    chosen.element.tabIndex = -1;
  }
  chosen = row;
  if (row.group && row.group.folded) fold(row.group, false);
  row.element.setAttribute("aria-selected", "true");
  row.element.tabIndex = 0;
  if (focus) row.element.focus({ preventScroll: true });
  const box = document.getElementById("graph"),
    top = row.element.offsetTop;
  if (top < box.scrollTop || top + row.element.offsetHeight > box.scrollTop + box.clientHeight) box.scrollTop = top - box.clientHeight / 3;
  showDetail(row);
  if (focus && row.operator) history.replaceState(null, "", `#${row.key}`);
}

function onKey(event) {
  const visible = shown(),
    at = visible.indexOf(chosen);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: visible.length - 1, PageDown: at + 15, PageUp: at - 15 }[event.key];
  if (to !== undefined) choose(visible[Math.min(Math.max(to, 0), visible.length - 1)], true);
  else if (event.key === "ArrowRight" && chosen.scope) chosen.folded ? fold(chosen, false) : choose(visible[at + 1], true);
  else if (event.key === "ArrowLeft" && chosen.scope && !chosen.folded) fold(chosen, true);
  else if (event.key === "ArrowLeft" && chosen.group) choose(chosen.group, true);
  else if (event.key === " " && chosen.scope) fold(chosen, !chosen.folded);
  else if (event.key === "Enter") document.getElementById("detail").focus();
  else return;
  event.preventDefault();
}
