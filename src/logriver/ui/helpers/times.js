// Times as people type and read them. The server resolves relative ones; here they are only shown and checked.

export const RANGES = [
  ["5m", "Last 5 min"], ["10m", "Last 10 min"], ["15m", "Last 15 min"], ["1h", "Last hour"], ["6h", "Last 6 hours"],
  ["24h", "Last 24 hours"], ["7d", "Last 7 days"], ["30d", "Last 30 days"], ["", "All time"],
];
export const DEFAULT_FROM = "1h";

const SPAN = /^(?:\d+(?:\.\d+)?[smhdw])+$/;
const NOW = /^now(?:[+-](?:\d+(?:\.\d+)?[smhdw])+)?$/;
const UNITS_MS = { s: 1e3, m: 6e4, h: 36e5, d: 864e5, w: 6048e5 };
const FAR_MS = 50 * 365 * UNITS_MS.d;

export const isRelative = (text) => SPAN.test(text) || NOW.test(text);

export function spanMs(text) {
  return [...text.matchAll(/(\d+(?:\.\d+)?)([smhdw])/g)].reduce((sum, part) => sum + part[1] * UNITS_MS[part[2]], 0);
}

// Epoch milliseconds of a time as the server reads it; null for an open end, NaN for what is no time.
export function toMs(text, now = Date.now()) {
  text = (text || "").trim();
  if (!text) return null;
  if (SPAN.test(text)) return now - spanMs(text);
  if (NOW.test(text)) return now + (text[3] === "-" ? -1 : 1) * spanMs(text.slice(4));
  if (/^-?\d+(\.\d+)?$/.test(text)) {
    const number = Number(text);
    return number < 1e11 ? number * 1e3 : number < 1e14 ? number : number < 1e17 ? number / 1e3 : number / 1e6;
  }
  const time = text.replace(" ", "T");
  return Date.parse(/^\d{4}-\d\d-\d\dT[\d:.]+$/.test(time) ? `${time}Z` : time);
}

// What the user typed, in the form that the server takes: a local time without a zone becomes one with.
export function fromTyped(text, zone) {
  text = text.trim();
  if (!text || isRelative(text) || /^-?\d+(\.\d+)?$/.test(text)) return text;
  const plain = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?))?$/.exec(text);
  if (!plain) return Number.isNaN(Date.parse(text)) ? null : text;
  const day = plain[1], time = plain[2] || "00:00";
  const parsed = new Date(`${day}T${time.length === 5 ? `${time}:00` : time}${zone === "UTC" ? "Z" : ""}`);
  return Number.isNaN(parsed.getTime()) ? null : parsed.toISOString();
}

const two = (number) => String(number).padStart(2, "0");

// A relative time as the one that it is now. Any other stays as it is, and one so far away that only the server knows its limits.
export function fixed(text, now) {
  const ms = isRelative((text || "").trim()) ? toMs(text, now) : NaN;
  return Math.abs(ms - now) < FAR_MS ? new Date(ms).toISOString() : text;
}

// Parts of an RFC 3339 time or epoch milliseconds, in a zone: "UTC" or "local".
export function parts(time, zone) {
  const date = new Date(time);
  const utc = zone === "UTC";
  const get = (name) => date[`get${utc ? "UTC" : ""}${name}`]();
  const ms = String(get("Milliseconds")).padStart(3, "0");
  return {
    day: `${get("FullYear")}-${two(get("Month") + 1)}-${two(get("Date"))}`,
    clock: `${two(get("Hours"))}:${two(get("Minutes"))}:${two(get("Seconds"))}.${ms}`,
  };
}

export function dayAndClock(time, zone) {
  const { day, clock } = parts(time, zone);
  return `${day} ${clock}`;
}

// How the chosen range is called on its button.
export function rangeLabel(from, to, zone) {
  const known = RANGES.find(([value]) => value === (from || ""));
  if (!to && known) return known[1];
  if (!to && SPAN.test(from)) return `Last ${from}`;
  // What is no time stands as it was given, beside the server's word about it.
  const isPlain = (text) => isRelative(text) || Number.isNaN(toMs(text));
  const show = (text, open) => (!text ? open : isPlain(text) ? text : dayAndClock(toMs(text), zone).replace(/\.000$/, ""));
  return `${show(from, "Begin")} to ${show(to, "now")}`;
}
