// What the browser remembers between visits: history, zone, theme and whether the histogram is shown. Where it may not, nothing is remembered.

function kept(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`logriver.${key}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function keep(key, value) {
  try {
    localStorage.setItem(`logriver.${key}`, JSON.stringify(value));
  } catch {
    // Private windows may refuse; the page works without.
  }
}

const MOST = 50;

export const history = () => kept("history", []).filter((text) => typeof text === "string");

export function remember(text) {
  if (text.trim()) keep("history", [text, ...history().filter((one) => one !== text)].slice(0, MOST));
}

export const zone = () => (kept("zone", "local") === "UTC" ? "UTC" : "local");
export const setZone = (value) => keep("zone", value);
export const theme = () => kept("theme", "system");
export const setTheme = (value) => keep("theme", value);
export const isPlotted = () => kept("plotted", true) !== false;
export const setPlotted = (value) => keep("plotted", value);
