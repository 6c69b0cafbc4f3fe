// What the browser remembers between visits: history, zone and theme. Where it may not, nothing is remembered.

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
