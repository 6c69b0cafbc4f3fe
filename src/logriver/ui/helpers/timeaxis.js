// The time axis of a chart: clock times, with the day below where it changes.

import { colour } from "./colour.js";
import { parts } from "./times.js";

const DAY_SECONDS = 86_400;

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
    const shown = step >= DAY_SECONDS ? day.slice(5) : clock.slice(0, step < 60 ? 8 : 5);
    const below = day === before || step >= DAY_SECONDS ? "" : `\n${day.slice(5)}`;
    before = day;
    return shown + below;
  });
}
