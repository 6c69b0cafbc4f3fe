// Numbers, sizes and durations for people.

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (number) => whole.format(number);

export const shortCount = (number) => (number < 10_000 ? whole.format(number) : short.format(number));

export function bytes(size) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${size < 10 && unit ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}

export function duration(ms) {
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}

export const percent = (share) => `${share >= 0.995 || share === 0 ? Math.round(share * 100) : (share * 100).toPrecision(2)} %`;

// A value of a record as text: strings as they are, all else as JSON.
export const valueText = (value) => (typeof value === "string" ? value : JSON.stringify(value));

// A figure of a table: numbers with separators and at most five decimal places, all else as it is.
export function cell(value) {
  if (typeof value !== "number") return value === null || value === undefined ? "" : valueText(value);
  return new Intl.NumberFormat("en", { maximumFractionDigits: 5 }).format(value);
}
