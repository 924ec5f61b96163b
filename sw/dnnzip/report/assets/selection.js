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
  const [now, before] = [costOf(setting, name), costOf(setting, name, "plain")];
  return known(now) && before ? 1 - now / before : null;
}

function reductionWithoutLeakage(setting) {
  const spent = (side) => costOf(setting, "energy_J", side) - costOf(setting, "energy_leakage_J", side);
  return known(costOf(setting, "energy_J")) && spent("plain") > 0 ? 1 - spent("compressed") / spent("plain") : null;
}

// A selected layer keeps the settings that tell something about it, and those of all layers to compare with.
function concernsSelectedLayers(setting) {
  if (!state.layers.size || settings.kind[setting] === "all" || settings.kind[setting] === "tuned") return true;
  return settings.about[setting].some((name) => state.layers.has(name));
}

function visibleSettings() {
  return ALL_SETTINGS.filter((setting) =>
    (!state.codec || settings.codec[setting] === state.codec)
    && (!state.scope || settings.scope[setting] === state.scope)
    && (!state.kind || settings.kind[setting] === state.kind)
    && (!state.bound || settings.max_error[setting] === state.bound)
    && concernsSelectedLayers(setting));
}

function least(candidates, ...keys) {
  return candidates.reduce((best, setting) => {
    if (best === null) return setting;
    for (const key of keys) {
      if (key(setting) !== key(best)) return key(setting) < key(best) ? setting : best;
    }
    return best;
  }, null);
}

// Fewest bits at an accepted loss, the same rule as dnnzip.report.headline; else the least loss.
function bestSetting(shown) {
  const best = least(shown.filter(accepted), (item) => settings.bits[item], (item) => -settings.top1[item]);
  return best === null ? least(shown, drop, (item) => settings.bits[item]) : best;
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

// A layer's loss when it alone is compressed as the chosen setting compresses.
function lossAlone(layer, setting) {
  const found = ALL_SETTINGS.find((item) => settings.kind[item] === "one" && settings.layers[item] === layers[layer].name
    && settings.max_error[item] === settings.max_error[setting] && settings.scope[item] === settings.scope[setting]
    && settings.codec[item] === settings.codec[setting]);
  return found === undefined ? null : -drop(found);
}

function layerCost(layer, setting, name) {
  const detail = details[setting];
  return detail ? detail.costs[state.machine][name][layer] : null;
}
