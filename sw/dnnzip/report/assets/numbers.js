// Texts of numbers; the same as dnnzip.report.captions writes into the page.

const MINUS = "\u2212";
const GAP = "\u00a0";
const NONE = "\u2013";
const PREFIXES = [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "\u00b5"], [1e-9, "n"], [1e-12, "p"]];

function known(value) {
  return value !== null && value !== undefined;
}

function signed(text) {
  const zero = !/[1-9]/.test(text);
  const bare = text.replace("-", "");
  if (zero) return bare;
  return (text.startsWith("-") ? MINUS : "+") + bare;
}

function percent(share) {
  return known(share) ? `${(100 * share).toFixed(2)}${GAP}%` : NONE;
}

function points(share) {
  return known(share) ? `${signed((100 * share).toFixed(2))}${GAP}points` : NONE;
}

// A share that is saved, for a column that says so; below 0 where there is more.
function saving(reduction) {
  return known(reduction) ? `${signed((100 * reduction).toFixed(1)).replace("+", "")}${GAP}%` : NONE;
}

function saved(reduction) {
  return known(reduction) ? `saved ${saving(reduction)}` : NONE;
}

function bits(value) {
  return known(value) ? value.toFixed(2) : NONE;
}

function times(ratio) {
  return known(ratio) ? `${ratio.toFixed(1)}\u00d7` : NONE;
}

// Three significant digits and an SI prefix.
function si(value, unit) {
  if (!known(value)) return NONE;
  if (value === 0) return `0${GAP}${unit}`;
  let [scale, prefix] = PREFIXES.find(([size]) => Math.abs(value) >= size) || PREFIXES[PREFIXES.length - 1];
  let text = (value / scale).toPrecision(3);
  if (text.includes("e")) {
    // 999.9 is written 1.00e+3: one prefix up.
    const at = PREFIXES.findIndex(([size]) => size === scale);
    if (at > 0) [scale, prefix] = PREFIXES[at - 1];
    text = (value / scale).toPrecision(3);
  }
  return `${text}${GAP}${prefix}${unit}`;
}

function whole(value) {
  return known(value) ? value.toLocaleString("en-US") : NONE;
}

function small(value, unit) {
  if (!known(value)) return NONE;
  const text = Number(value.toPrecision(3)).toString();
  return unit === "lsb" ? `${text} lsb` : text;
}

// Figures read a little markup in their texts; what a name holds is no markup.
function plainText(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function shortened(text, length) {
  const characters = Array.from(text);
  if (characters.length <= length) return text;
  const tail = Math.floor(length / 2);
  return `${characters.slice(0, length - tail - 1).join("")}\u2026${characters.slice(-tail).join("")}`;
}
