// The time axis of a chart: clock times, with the day below where it changes, days with the year, or years alone.

import { colour } from "./colour.js";
import { parts } from "./times.js";

const DAY_SECONDS = 86_400;
const YEAR_SECONDS = 364 * DAY_SECONDS;

export function timeAxis(zone, withDays = true) {
  return {
    ...plainAxis(withDays ? 34 : 18),
    space: 70,
    values: (_, seconds) => labels(seconds, zone).map((label) => (withDays ? label : label.split("\n")[0])),
  };
}

export function plainAxis(size) {
  return {
    size, gap: 2, stroke: colour("--quiet"), font: "11px system-ui",
    grid: { show: false }, ticks: { stroke: colour("--line"), width: 1, size: 4 },
  };
}

function labels(seconds, zone) {
  const step = seconds.length > 1 ? seconds[1] - seconds[0] : 60;
  let before = "";
  return seconds.map((second) => {
    const { day, clock } = parts(second * 1000, zone);
    const year = day.slice(0, 4);
    if (step >= YEAR_SECONDS) return year;
    const [shown, changes, below] = step >= DAY_SECONDS
      ? [day.slice(5), year, year]
      : [clock.slice(0, step < 60 ? 8 : 5), day, day.slice(5)];
    const label = changes === before ? shown : `${shown}\n${below}`;
    before = changes;
    return label;
  });
}
