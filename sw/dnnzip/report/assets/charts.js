// Fills the figures: their looks come from dnnzip.report.figures, their numbers from the selection.

const NAME_LENGTH = 26;
const BAR_HEIGHT = 34;
const CONFIG = {
  responsive: true, displaylogo: false,
  // Nothing of the page goes anywhere, so there is nothing to share from a figure.
  showSendToCloud: false, modeBarButtonsToRemove: ["sendChartToCloud", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
};

// Actions of a click on a mark, by the id of the figure.
const clicks = {
  "accuracy-bits": clickSetting,
  "accuracy-cost": clickSetting,
  "layer-costs": (event) => toggleLayer(layers[Number(event.points[0].id)].name),
};

function clickSetting(event) {
  const mark = event.points.find((point) => Number.isInteger(point.customdata));
  if (mark) chooseSetting(mark.customdata);
}

function place(id) {
  return document.getElementById(id);
}

// Colours are named by variables of the style sheet, which differ between light and dark.
function withColours(value, style) {
  if (typeof value === "string") {
    const name = /^var\((--[a-z]+)\)$/.exec(value);
    return name ? style.getPropertyValue(name[1]).trim() : value;
  }
  if (Array.isArray(value)) return value.map((item) => withColours(item, style));
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withColours(item, style)]));
  }
  return value;
}

function looks(id) {
  return withColours(figures[id], getComputedStyle(document.documentElement));
}

function draw(id, data, layout) {
  const target = place(id);
  // Neither a figure nor its text stays behind for the other's state.
  target.hidden = false;
  // A figure that follows the width of its place takes no height there by itself.
  target.style.height = `${layout.height}px`;
  place(`${id}-empty`).hidden = true;
  const done = Plotly.react(target, data, layout, CONFIG);
  if (clicks[id] && !target.dataset.connected) {
    target.dataset.connected = "yes";
    target.on("plotly_click", clicks[id]);
  }
  return done;
}

function drawNothing(id, why) {
  place(id).hidden = true;
  Object.assign(place(`${id}-empty`), {textContent: why, hidden: false});
}

function describe(setting) {
  const lines = [
    `<b>${plainText(settings.name[setting])}</b>`,
    `top-1 ${percent(settings.top1[setting])} (${points(-drop(setting))})`,
    `${bits(settings.bits[setting])} bits per weight, ${times(settings.ratio[setting])} smaller`,
  ];
  for (const [name, word] of [["energy_J", "energy"], ["latency_s", "latency"]]) {
    if (known(costOf(setting, name))) {
      lines.push(`${word} ${si(costOf(setting, name), COSTS[name].unit)} (${saved(reduction(setting, name))})`);
    }
  }
  return lines.join("<br>");
}

function span(values, margin) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = (high - low || Math.abs(high) || 1) * margin;
  return [low - room, high + room];
}

function accuracyRange(shown) {
  const tops = [100 * report.network.top1, ...shown.map((item) => 100 * settings.top1[item])];
  if (state.wide) return span(tops, 0.05);
  const plain = 100 * report.network.top1;
  const depth = Math.max(5 * 100 * state.drop, 2);
  const near = tops.filter((value) => value >= plain - depth);
  const [low, high] = [Math.min(...near), Math.max(...near)];
  const room = Math.max(0.25, (high - low) * 0.08);
  return [low - room, high + room];
}

function ruler(y, colour, dash) {
  return {type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, layer: "below", line: {color: colour, width: 1.3, dash}};
}

function rulerName(y, text, colour, ground, anchor) {
  return {xref: "paper", x: 1, xanchor: "right", y, yanchor: anchor, showarrow: false, text, font: {size: 12, color: colour}, bgcolor: ground, opacity: 0.9};
}

function drawScatter(id, shown, chosen, cost, axis) {
  const usable = shown.filter((item) => known(cost(item)));
  if (!usable.length) {
    drawNothing(id, "No setting is left: widen the filters above.");
    return;
  }
  const {data, layout} = looks(id);
  const range = accuracyRange(usable);
  const inside = usable.filter((item) => 100 * settings.top1[item] >= range[0]);
  const below = usable.length - inside.length;
  const series = data.map((trace) => {
    let members;
    if (trace.meta === "front") members = front(usable, cost);
    else if (trace.meta === "chosen") members = usable.includes(chosen) ? [chosen] : [];
    else members = usable.filter((item) => settings.kind[item] === trace.meta);
    return {
      ...trace, x: members.map(cost), y: members.map((item) => 100 * settings.top1[item]), customdata: members,
      text: members.map(describe), showlegend: members.length > 0,
    };
  });
  const style = getComputedStyle(document.documentElement);
  const [muted, red, ground] = ["--muted", "--chosen", "--card"].map((name) => style.getPropertyValue(name).trim());
  const plain = 100 * report.network.top1;
  const limit = plain - 100 * state.drop;
  const shapes = [ruler(plain, muted, "solid")];
  const annotations = [rulerName(plain, `plain ${plain.toFixed(2)} %`, muted, ground, "bottom")];
  if (limit >= range[0] && state.drop > 0) {
    shapes.push(ruler(limit, red, "dot"));
    annotations.push(rulerName(limit, points(-state.drop), red, ground, "top"));
  }
  Object.assign(layout, {shapes, annotations, uirevision: JSON.stringify([id, axis.title, state.wide, shown.length, state.machine])});
  Object.assign(layout.xaxis, {range: span(inside.map(cost), 0.06)}, axis.format);
  layout.xaxis.title.text = axis.title;
  layout.yaxis.range = range;
  place(`${id}-under`).textContent = below
    ? `${below} of ${usable.length} settings lose more accuracy and lie below this range.`
    : `${usable.length} settings.`;
  return draw(id, series, layout);
}

// Settings that differ from the chosen one in the bound alone; where there are none, those of all layers.
function boundSeries(chosen) {
  const drawn = ALL_SETTINGS.filter((item) => known(settings.bound_order[item]) && details[item])
    .sort((left, right) => settings.bound_order[left] - settings.bound_order[right] || left - right);
  const all = ALL_SETTINGS.find((item) => settings.kind[item] === "all" && drawn.includes(item));
  for (const [label, like] of [[settings.layers[chosen], chosen], ["all", chosen], ["all", all]]) {
    const found = drawn.filter((item) => settings.layers[item] === label && likeSetting(item, like, "scope", "codec"));
    if (found.length > 1) return found;
  }
  return [];
}

// Selected layers differ in colour and mark, and in the line from the fifth on.
function apart(trace, number) {
  const [colour, symbol] = [["--one", "triangle-up"], ["--but", "square"], ["--tuned", "diamond"], ["--group", "pentagon"]][number % 4];
  const value = getComputedStyle(document.documentElement).getPropertyValue(colour).trim();
  const dash = ["solid", "dash", "dot"][Math.floor(number / 4) % 3];
  return {...trace, line: {...trace.line, color: value, dash}, marker: {...trace.marker, symbol, color: value}};
}

function drawBitsAgainstBound(chosen) {
  const series = boundSeries(chosen);
  if (series.length < 2) {
    drawNothing("bits-bound", "Fewer than two bounds were explored for these layers, so there is no line to draw.");
    return;
  }
  const {data, layout} = looks("bits-bound");
  const look = Object.fromEntries(data.map((trace) => [trace.meta, trace]));
  const logarithmic = series.every((item) => settings.bound_order[item] > 0);
  const x = series.map((item, index) => (logarithmic ? settings.bound_order[item] : index));
  const names = series.map((item) => settings.max_error[item]);
  const picked = shownLayers().filter(() => state.layers.size || state.text);
  const line = (trace, y, more) => ({...trace, x, y, customdata: names, ...more});
  const traces = [];
  layers.forEach((layer, index) => {
    const values = series.map((item) => (details[item].codec[index] ? details[item].bits[index] : null));
    if (values.every((value) => value === null)) return;
    const number = picked.indexOf(index);
    const trace = number < 0 ? look.layer : apart(look.chosen, number);
    const name = plainText(layer.name);
    traces.push(line(trace, values, {text: values.map(() => name), name: plainText(shortened(layer.name, NAME_LENGTH)),
      showlegend: picked.includes(index) && picked.length <= 6}));
  });
  traces.push(line(look.network, series.map((item) => settings.bits[item]), {}));
  Object.assign(layout.xaxis, logarithmic
    ? {type: "log", tickvals: x, ticktext: names} : {type: "linear", tickvals: x, ticktext: names});
  layout.xaxis.title.text = names.every((name) => name.endsWith("%"))
    ? "largest error tolerated, of the range" : "largest error tolerated";
  place("bits-bound-under").textContent =
    `Thin lines are layers, of ${settings.series[series[0]]}; the network's line counts left-out weights at their own width.`;
  return draw("bits-bound", traces, layout);
}

function sumOver(indices, value) {
  return indices.reduce((total, index) => total + (value(index) || 0), 0);
}

function fillParts(names, amount) {
  place("energy-parts-rows").replaceChildren(...names.map(([name, figure]) => {
    const row = document.createElement("tr");
    const [before, after] = ["plain", "compressed"].map((side) => amount(figure, side));
    row.append(cell(name, "th", "row"), cell(si(before, "J")), cell(si(after, "J")), cell(saving(shareSaved(after, before))));
    return row;
  }));
}

function drawEnergyByPart(chosen) {
  const narrowed = state.layers.size > 0 && details[chosen] !== undefined;
  const chosenLayers = narrowed ? shownLayers() : [];
  const amount = (name, side) => {
    if (!narrowed) return costOf(chosen, name, side);
    return sumOver(chosenLayers, (index) => (side === "plain"
      ? layers[index].plain[state.machine][name] : layerCost(index, chosen, name)));
  };
  if (!machines.length || !known(amount("energy_J", "plain"))) {
    place("energy-parts-rows").replaceChildren();
    drawNothing("energy-parts", "This setting has no estimate for the accelerator selected above.");
    return;
  }
  const {data, layout} = looks("energy-parts");
  const traces = data.map((trace) => {
    const values = ["plain", "compressed"].map((side) => amount(`energy_${trace.meta}_J`, side));
    return {...trace, y: ["plain", "compressed"], x: values, customdata: values.map((value) => si(value, "J"))};
  });
  Object.assign(layout.xaxis, {tickformat: "~s", ticksuffix: "J", rangemode: "tozero"});
  layout.xaxis.title.text = COSTS.energy_J.title;
  const [before, after] = ["plain", "compressed"].map((side) => amount("energy_J", side));
  const still = (side) => amount("energy_J", side) - amount("energy_leakage_J", side);
  const shareStill = shareSaved(still("compressed"), Math.max(still("plain"), 0));
  const of = narrowed ? `of ${state.layers.size} selected ${state.layers.size === 1 ? "layer" : "layers"}` : "of the whole network";
  place("energy-parts-under").textContent =
    `Energy ${of}: ${si(before, "J")} with plain weights, ${si(after, "J")} compressed, ${saved(shareSaved(after, before))}; `
    + `${saved(shareStill)} where nothing leaks.`;
  fillParts([...data.map((trace) => [trace.name, `energy_${trace.meta}_J`]), ["total", "energy_J"]], amount);
  return draw("energy-parts", traces, layout);
}

function drawCostByLayer(chosen) {
  const name = state.layerCost;
  const {title, unit} = COSTS[name];
  const indices = shownLayers();
  if (!details[chosen]) {
    drawNothing("layer-costs", "The layers of this setting are not on this page; it keeps those of settings on a front.");
    return;
  }
  if (!indices.length) {
    drawNothing("layer-costs", "No layer has the text of the filter box in its name.");
    return;
  }
  const {data, layout} = looks("layer-costs");
  const traces = data.map((trace) => {
    const values = indices.map((index) => (trace.meta === "plain"
      ? layers[index].plain[state.machine][name] : layerCost(index, chosen, name)));
    return {...trace, x: values, y: indices.map((_, row) => row), text: indices.map((index) => plainText(layers[index].name)),
      customdata: values.map((value) => si(value, unit)), ids: indices.map(String)};
  });
  Object.assign(layout.xaxis, {tickformat: "~s", ticksuffix: unit, rangemode: "tozero"});
  const narrow = place("layer-costs-frame").clientWidth < 520;
  Object.assign(layout.yaxis, {
    tickvals: indices.map((_, row) => row),
    ticktext: indices.map((index) => plainText(shortened(layers[index].name, narrow ? 14 : NAME_LENGTH))),
  });
  layout.xaxis.title.text = title.replace(/ of .*/, " by layer");
  layout.height = 120 + BAR_HEIGHT * indices.length;
  const [before, after] = [0, 1].map((side) => sumOver(indices.map((_, row) => row), (row) => traces[side].x[row]));
  place("layer-costs-under").textContent =
    `${indices.length} ${indices.length === 1 ? "layer" : "layers"}: ${si(before, unit)} with plain weights, `
    + `${si(after, unit)} compressed${before ? `, ${saved(1 - after / before)}` : ""}.`;
  return draw("layer-costs", traces, layout);
}
