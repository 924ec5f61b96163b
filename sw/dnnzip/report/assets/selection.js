// The selection, and all that is derived from it: the settings shown, the chosen one, fronts.

const TOLERANCE = 1e-9;
const {settings, machines, layers, details} = report;
const ALL_SETTINGS = settings.name.map((_, index) => index);
const RUN = report.batch > 1 ? `a batch of ${report.batch}` : "an inference";
const COSTS = {
  energy_J: {title: `energy of ${RUN}`, unit: "J"},
  latency_s: {title: `latency of ${RUN}`, unit: "s"},
  bytes: {title: "size of all weights", unit: "B"},
};

const START = {
  machine: 0, codec: "", scope: "", kind: "", bound: "", drop: report.max_drop, layers: new Set(), text: "",
  pinned: null, cost: "energy_J", layerCost: "latency_s", wide: false, sort: "order", descending: false,
};
const state = {...START, layers: new Set()};

function drop(setting) {
  return settings.top1_plain[setting] - settings.top1[setting];
}

function accepted(setting) {
  return drop(setting) <= state.drop + TOLERANCE;
}

function costOf(setting, name, side = "compressed") {
  if (name === "bytes") return side === "plain" ? report.network.bytes : settings.bytes[setting];
  return report.costs.length ? report.costs[state.machine][side][name][setting] : null;
}

function reduction(setting, name) {
  return shareSaved(costOf(setting, name), costOf(setting, name, "plain"));
}

// A selected layer keeps the settings that tell something about it, and those of all layers to compare with.
function concernsSelectedLayers(setting) {
  if (!state.layers.size || settings.kind[setting] === "all" || settings.kind[setting] === "tuned") return true;
  return settings.about[setting].some((name) => state.layers.has(name));
}

// Controls that filter settings, and the column of each.
const FILTERS = {codec: "codec", scope: "scope", kind: "kind", bound: "max_error"};

function visibleSettings() {
  const wanted = Object.entries(FILTERS).filter(([control]) => state[control]);
  return ALL_SETTINGS.filter((setting) => concernsSelectedLayers(setting)
    && wanted.every(([control, column]) => settings[column][setting] === state[control]));
}

// Fewest bits at an accepted loss, the same rule as dnnzip.report.headline; else the least loss.
function bestSetting(shown) {
  const within = shown.filter(accepted);
  const order = within.length
    ? (one, other) => settings.bits[one] - settings.bits[other] || settings.top1[other] - settings.top1[one]
    : (one, other) => drop(one) - drop(other) || settings.bits[one] - settings.bits[other];
  return (within.length ? within : [...shown]).sort(order)[0] ?? null;
}

function chosenSetting(shown) {
  return state.pinned !== null && shown.includes(state.pinned) ? state.pinned : bestSetting(shown);
}

function front(shown, cost) {
  const sorted = shown.filter((item) => known(cost(item))).sort((left, right) =>
    cost(left) - cost(right) || settings.top1[right] - settings.top1[left] || left - right);
  const kept = [];
  for (const setting of sorted) {
    if (!kept.length || settings.top1[setting] > settings.top1[kept[kept.length - 1]]) kept.push(setting);
  }
  return kept;
}

function layerMatches(layer) {
  return layer.name.toLowerCase().includes(state.text.toLowerCase());
}

// Layers of the figures: the selected ones, else those of the filter box.
function shownLayers() {
  const all = layers.map((_, index) => index);
  return state.layers.size
    ? all.filter((index) => state.layers.has(layers[index].name))
    : all.filter((index) => layerMatches(layers[index]));
}

function likeSetting(item, setting, ...columns) {
  return columns.every((column) => settings[column][item] === settings[column][setting]);
}

// A layer's loss when it alone is compressed as the chosen setting compresses.
function lossAlone(layer, setting) {
  const found = ALL_SETTINGS.find((item) => settings.kind[item] === "one" && settings.layers[item] === layers[layer].name
    && likeSetting(item, setting, "max_error", "scope", "codec"));
  return found === undefined ? null : -drop(found);
}

function layerCost(layer, setting, name) {
  const detail = details[setting];
  return detail ? detail.costs[state.machine][name][layer] : null;
}
