// Wires the controls, rows and marks to the selection, and shows all of it again after a change.

const PAPER_WIDTH = 640;

function chooseSetting(setting) {
  state.pinned = state.pinned === setting ? null : setting;
  show();
}

function toggleLayer(name) {
  if (!state.layers.delete(name)) state.layers.add(name);
  show();
}

function fillSettingList(shown, chosen) {
  const list = place("setting");
  const options = [...shown].sort((left, right) => settings.bits[left] - settings.bits[right]).map((item) => new Option(
    `${settings.name[item]}: ${bits(settings.bits[item])} bits, ${points(-drop(item))}`, String(item), false, item === chosen));
  const automatic = new Option("fewest bits at the accepted loss", "", false, state.pinned === null);
  list.replaceChildren(automatic, ...options);
  list.value = state.pinned !== null && shown.includes(state.pinned) ? String(state.pinned) : "";
}

function fillChips() {
  const chips = [...state.layers].map((name) => ["layer", name, () => toggleLayer(name)]);
  if (state.pinned !== null) chips.unshift(["setting", settings.name[state.pinned], () => chooseSetting(state.pinned)]);
  place("chips").replaceChildren(...chips.map(([what, name, act]) => {
    const chip = document.createElement("button");
    chip.type = "button";
    chip.className = "chip";
    chip.textContent = `${what}: ${shortened(name, 60)}`;
    chip.setAttribute("aria-label", `remove the ${what} ${name} from the selection`);
    chip.addEventListener("click", act);
    return chip;
  }));
}

function showMachine() {
  if (!machines.length) return;
  const machine = machines[state.machine];
  for (const name of ["accelerator", "placement", "timing"]) place(name).value = machine[name];
  setText("machine", report.machine_names[state.machine]);
}

function show() {
  const shown = visibleSettings();
  const chosen = chosenSetting(shown);
  showMachine();
  fillHeadline(chosen, shown);
  fillSettingList(shown, chosen);
  fillChips();
  fillFrontTable(shown, chosen, chooseSetting);
  fillLayerTable(chosen);
  for (const group of document.querySelectorAll(".segments")) {
    for (const button of group.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(String(state[group.dataset.state]) === button.value));
    }
  }
  const {title, unit} = COSTS[state.cost];
  drawScatter("accuracy-bits", shown, chosen, (item) => settings.bits[item], {title: "bits per weight", format: {}});
  drawScatter("accuracy-cost", shown, chosen, (item) => costOf(item, state.cost),
    {title, format: {tickformat: "~s", ticksuffix: unit}});
  if (chosen === null) {
    for (const id of ["bits-bound", "energy-parts", "layer-costs"]) drawNothing(id, "No setting is left: widen the filters above.");
    return;
  }
  drawBitsAgainstBound(chosen);
  drawEnergyByPart(chosen);
  drawCostByLayer(chosen);
}

// An accelerator may have been estimated with other placements or timings than the one before: the nearest is taken.
function selectMachine(changed) {
  const wanted = Object.fromEntries(["accelerator", "placement", "timing"].map((name) => [name, place(name).value]));
  const agreement = (machine) => Object.keys(wanted).reduce(
    (sum, name) => sum + (machine[name] === wanted[name] ? (name === changed ? 10 : 1) : 0), 0);
  const scores = machines.map(agreement);
  state.machine = scores.indexOf(Math.max(...scores));
}

function sortBy(head) {
  const first = head.dataset.descending === "yes";
  if (state.sort !== head.dataset.sort) Object.assign(state, {sort: head.dataset.sort, descending: first});
  else if (state.descending === first) state.descending = !first;
  // The third click goes back to the order in which the layers run.
  else Object.assign(state, {sort: "order", descending: false});
}

// Changes the state at an event, and shows it.
function on(target, event, change) {
  target.addEventListener(event, (happened) => {
    change(happened);
    show();
  });
}

function connect() {
  for (const name of ["accelerator", "placement", "timing"]) on(place(name), "change", () => selectMachine(name));
  for (const name of Object.keys(FILTERS)) on(place(name), "change", (event) => { state[name] = event.target.value; });
  on(place("drop"), "input", (event) => {
    const value = event.target.valueAsNumber;
    if (Number.isFinite(value) && value >= 0) state.drop = value / 100;
  });
  on(place("setting"), "change", ({target}) => { state.pinned = target.value === "" ? null : Number(target.value); });
  on(place("filter"), "input", (event) => { state.text = event.target.value; });
  place("selection").addEventListener("submit", (event) => event.preventDefault());
  place("selection").addEventListener("reset", () => {
    Object.assign(state, START, {layers: new Set()});
    place("filter").value = "";
    // The form has its first values only after this event.
    setTimeout(show);
  });
  for (const group of document.querySelectorAll(".segments")) {
    for (const button of group.querySelectorAll("button")) {
      on(button, "click", () => { state[group.dataset.state] = {true: true, false: false}[button.value] ?? button.value; });
    }
  }
  for (const head of document.querySelectorAll("th[data-sort]")) {
    on(head.querySelector("button"), "click", () => sortBy(head));
  }
  for (const row of place("layer-rows").rows) {
    row.addEventListener("click", () => toggleLayer(layers[Number(row.dataset.layer)].name));
  }
  // Colours are read anew where the reader's system goes from light to dark.
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  // Paper is light, and narrower than most windows.
  addEventListener("beforeprint", () => {
    document.documentElement.classList.add("on-paper");
    show();
    for (const plot of document.querySelectorAll(".plot.js-plotly-plot:not([hidden])")) Plotly.relayout(plot, {width: PAPER_WIDTH});
  });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("on-paper");
    show();
  });
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) {
      width = innerWidth;
      show();
    }
  });
}

show();
connect();
document.documentElement.dataset.ready = "yes";
