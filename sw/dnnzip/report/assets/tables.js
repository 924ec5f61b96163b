// Fills the headline and the two tables.

function setText(field, text) {
  for (const target of document.querySelectorAll(`[data-headline="${field}"]`)) target.textContent = text;
}

function fillHeadline(chosen, shown) {
  const warning = place("no-setting");
  const fits = chosen !== null && accepted(chosen);
  warning.hidden = fits;
  if (chosen === null) {
    warning.textContent = "No setting is left: widen the filters below.";
    for (const field of ["bits", "ratio", "bytes", "top1", "drop", "latency", "energy", "latency-amount", "energy-amount"]) setText(field, NONE);
    setText("setting", "none");
    return;
  }
  if (!fits) {
    const all = shown.every((item) => !accepted(item));
    warning.textContent = all
      ? `No setting shown loses at most ${(100 * state.drop).toFixed(2)} points of accuracy; the one that loses least is shown.`
      : `The setting you chose loses more than ${(100 * state.drop).toFixed(2)} points of accuracy.`;
  }
  setText("bits", bits(settings.bits[chosen]));
  setText("ratio", times(settings.ratio[chosen]));
  setText("bytes", `${si(settings.bytes[chosen], "B")} of ${si(report.network.bytes, "B")}`);
  setText("top1", percent(settings.top1[chosen]));
  setText("drop", points(-drop(chosen)));
  setText("latency", saved(reduction(chosen, "latency_s")));
  setText("latency-amount", `${si(costOf(chosen, "latency_s"), "s")} of ${si(costOf(chosen, "latency_s", "plain"), "s")}`);
  setText("energy", saved(reduction(chosen, "energy_J")));
  setText("energy-amount", `${si(costOf(chosen, "energy_J"), "J")} of ${si(costOf(chosen, "energy_J", "plain"), "J")}`);
  setText("setting", settings.name[chosen]);
  setText("why", state.pinned === chosen ? "Chosen setting" : fits
    ? `Fewest bits at a loss of at most ${(100 * state.drop).toFixed(2)} points` : "Least loss");
}

function cell(text, kind = "td", scope = null) {
  const made = document.createElement(kind);
  made.textContent = text;
  if (scope) made.scope = scope;
  return made;
}

function choiceButton(text, pressed, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.title = text;
  button.setAttribute("aria-pressed", String(pressed));
  button.addEventListener("click", (event) => {
    event.stopPropagation();
    act();
  });
  return button;
}

// A row can be clicked anywhere; its button is there for the keyboard. It keeps the focus when the row is made again.
function fillFrontTable(shown, chosen, choose) {
  const cost = (item) => costOf(item, state.cost);
  const body = place("front-rows");
  const focused = document.activeElement && body.contains(document.activeElement) ? document.activeElement.title : null;
  const rows = front(shown, cost).map((item) => {
    const row = document.createElement("tr");
    row.className = item === chosen ? "choice is-chosen" : "choice";
    row.dataset.setting = String(item);
    const head = cell("", "th", "row");
    head.append(choiceButton(settings.name[item], item === chosen, () => choose(item)));
    row.append(head, cell(bits(settings.bits[item])), cell(times(settings.ratio[item])), cell(percent(settings.top1[item])),
      cell(points(-drop(item))), cell(si(costOf(item, "latency_s"), "s")), cell(saving(reduction(item, "latency_s"))),
      cell(si(costOf(item, "energy_J"), "J")), cell(saving(reduction(item, "energy_J"))));
    row.addEventListener("click", () => choose(item));
    return row;
  });
  body.replaceChildren(...rows);
  place("front-count").textContent = `${rows.length} of ${shown.length} settings, by ${COSTS[state.cost].title}`;
  place("front-empty").hidden = rows.length > 0;
  if (focused !== null) [...body.querySelectorAll("button")].find((button) => button.title === focused)?.focus();
}

const LAYER_VALUES = {
  order: (index) => index,
  name: (index) => layers[index].name.toLowerCase(),
  operator: (index) => layers[index].operator || "",
  weights: (index) => layers[index].weights,
  macs: (index) => layers[index].macs,
  codec: (index, setting) => details[setting]?.codec[index] || "",
  bits: (index, setting) => details[setting]?.bits[index],
  error: (index, setting) => details[setting]?.largest_error[index],
  bound: (index, setting) => details[setting]?.bound[index],
  rms: (index, setting) => (known(details[setting]?.mse[index]) ? Math.sqrt(details[setting].mse[index]) : null),
  alone: (index, setting) => lossAlone(index, setting),
  latency: (index, setting) => layerReduction(index, setting, "latency_s"),
  energy: (index, setting) => layerReduction(index, setting, "energy_J"),
};

function layerReduction(index, setting, name) {
  if (!machines.length) return null;
  return shareSaved(layerCost(index, setting, name), layers[index].plain[state.machine][name]);
}

function layerCells(index, setting) {
  const value = (column) => LAYER_VALUES[column](index, setting);
  const unit = details[setting]?.unit[index];
  return {
    codec: value("codec") || (details[setting] && layers[index].weights ? "left out" : NONE),
    bits: bits(value("bits")),
    error: small(value("error"), unit),
    bound: small(value("bound"), unit),
    rms: small(value("rms"), unit),
    alone: points(value("alone")).replace(`${GAP}points`, ""),
    latency: saving(value("latency")),
    energy: saving(value("energy")),
  };
}

function fillLayerTable(chosen) {
  const body = place("layer-rows");
  const value = LAYER_VALUES[state.sort];
  const rows = [...body.rows];
  const key = (row) => value(Number(row.dataset.layer), chosen);
  rows.sort((left, right) => {
    const [one, other] = [key(left), key(right)];
    if (!known(one) || !known(other)) return Number(!known(one)) - Number(!known(other));
    const order = one < other ? -1 : Number(one > other);
    return (state.descending ? -order : order) || Number(left.dataset.layer) - Number(right.dataset.layer);
  });
  const focused = document.activeElement;
  let shown = 0;
  for (const row of rows) {
    const index = Number(row.dataset.layer);
    const texts = chosen === null ? {} : layerCells(index, chosen);
    for (const target of row.querySelectorAll("[data-field]")) target.textContent = texts[target.dataset.field] || NONE;
    const stored = layers[index].stored_bits;
    const share = chosen !== null && details[chosen] && stored ? (details[chosen].bits[index] || 0) / stored : 0;
    row.querySelector(".bar i").style.width = `${Math.min(100, 100 * share)}%`;
    const selected = state.layers.has(layers[index].name);
    row.classList.toggle("is-chosen", selected);
    row.querySelector("button").setAttribute("aria-pressed", String(selected));
    row.hidden = !layerMatches(layers[index]);
    shown += Number(!row.hidden);
  }
  body.append(...rows);
  if (focused && body.contains(focused)) focused.focus();
  place("layer-count").textContent = `${shown} of ${layers.length} layers`;
  place("layers-empty").hidden = shown > 0;
  for (const head of document.querySelectorAll("th[data-sort]")) {
    const order = state.descending ? "descending" : "ascending";
    head.setAttribute("aria-sort", head.dataset.sort === state.sort ? order : "none");
  }
  place("details-missing").hidden = chosen === null || details[chosen] !== undefined;
}
