// Texts of numbers; the same as dnnzip.report.captions writes into the page.

const MINUS = "\u2212";
const GAP = "\u00a0";
const NONE = "\u2013";
const PREFIXES = [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "\u00b5"], [1e-9, "n"], [1e-12, "p"]];

function known(value) {
  return value !== null && value !== undefined;
}

// The share of a cost that is saved, where there is something to save.
function shareSaved(now, before) {
  return known(now) && before ? 1 - now / before : null;
}

function signed(text) {
  const bare = text.replace("-", "");
  if (!/[1-9]/.test(text)) return bare;
  return (text.startsWith("-") ? MINUS : "+") + bare;
}

// A function that writes a value, or a dash where there is none.
function orNone(write) {
  return (value) => (known(value) ? write(value) : NONE);
}

const percent = orNone((share) => `${(100 * share).toFixed(2)}${GAP}%`);
const points = orNone((share) => `${signed((100 * share).toFixed(2))}${GAP}points`);
// A share that is saved, for a column that says so; below 0 where there is more.
const saving = orNone((reduction) => `${signed((100 * reduction).toFixed(1)).replace("+", "")}${GAP}%`);
const saved = orNone((reduction) => `saved ${saving(reduction)}`);
const bits = orNone((value) => value.toFixed(2));
const times = orNone((ratio) => `${ratio.toFixed(1)}\u00d7`);

// Three significant digits and an SI prefix.
function si(value, unit) {
  if (!known(value)) return NONE;
  if (value === 0) return `0${GAP}${unit}`;
  let at = PREFIXES.findIndex(([size]) => Math.abs(value) >= size);
  if (at < 0) at = PREFIXES.length - 1;
  let text = (value / PREFIXES[at][0]).toPrecision(3);
  if (at > 0 && text.includes("e")) {
    // 999.9 is written 1.00e+3: one prefix up.
    at -= 1;
    text = (value / PREFIXES[at][0]).toPrecision(3);
  }
  return `${text}${GAP}${PREFIXES[at][1]}${unit}`;
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
