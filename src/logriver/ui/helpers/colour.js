// Colours of the style sheet for what is drawn on a canvas, resolved for the scheme that is shown.

export function colour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

export const LEVELS = ["fatal", "error", "warn", "info", "debug", "trace"];

// So many series have a colour that no other has.
export const SERIES_COLOURS = 10;

// A level has its own colour wherever it is drawn, any other series one by its number.
export const seriesColour = (name, number) => colour(LEVELS.includes(name) ? `--level-${name}` : `--series-${number % SERIES_COLOURS}`);
