// How many records there were when, stacked by level. Drag to zoom, click a bar to go there.

import { html, useEffect, useMemo, useRef } from "../helpers/html.js";
import { count, shortCount } from "../helpers/format.js";
import { LEVELS, colour, seriesColour } from "../helpers/colour.js";
import { plainAxis, timeAxis } from "../helpers/timeaxis.js";
import { dayAndClock } from "../helpers/times.js";
import UPlot from "../vendor/uplot.js";

// On a phone it folds to a strip, without the day.
const isNarrow = () => matchMedia("(max-width: 700px)").matches;
const height = () => (isNarrow() ? 64 : 104);
const LEAST_DRAG_PIXELS = 4;
const TIP_PIXELS = 16;

// Records without the field stand behind those that have it.
const fill = (key, number) => (key ? seriesColour(key, number) : colour("--line"));

// The answer as stacked columns: the first series of the result is drawn at the back, with the sum of all.
export function stacked(answer) {
  const step = answer.interval_seconds;
  const starts = [...new Set(answer.series.flatMap(({ values }) => values.map(([at]) => at)))].sort((a, b) => a - b);
  const at = [];
  for (let time = starts[0]; starts.length && time <= starts.at(-1); time += step) at.push(time);
  // Days of a zone with summer time are not all as long: then only what is there is drawn.
  const times = starts.every((time) => (time - starts[0]) % step === 0) && at.length < 5000 ? at : starts;
  const indexOf = new Map(times.map((time, index) => [time, index]));
  const rank = (key) => (LEVELS.indexOf(key) + 1 || LEVELS.length + 1);
  const series = [...answer.series].sort((a, b) => rank(b.key) - rank(a.key));
  const own = series.map(({ values }) => {
    const column = new Array(times.length).fill(0);
    for (const [time, number] of values) column[indexOf.get(time)] = number;
    return column;
  });
  const sums = own.map(() => new Array(times.length).fill(0));
  for (let index = 0; index < times.length; index += 1) {
    let sum = 0;
    for (let layer = own.length - 1; layer >= 0; layer -= 1) {
      sum += own[layer][index];
      sums[layer][index] = sum;
    }
  }
  return { times, keys: series.map(({ key }) => key), own, sums, step };
}

export function Histogram({ answer, stale, zone, theme, zoom, pointed, hover }) {
  const element = useRef(null);
  const tip = useRef(null);
  const plot = useRef(null);
  const data = useMemo(() => answer && stacked(answer), [answer]);
  useEffect(() => {
    if (!data || !data.times.length) return undefined;
    const near = (pixel) => {
      const time = plot.current.posToVal(pixel, "x");
      return data.times.findLastIndex((start) => start <= time);
    };
    let shown = null;
    const show = (chart) => {
      const { left } = chart.cursor;
      const index = left >= 0 ? near(left) : -1;
      const isOver = index >= 0 && chart.over.matches(":hover");
      tip.current.textContent = isOver ? describe(data, index, zone) : "";
      // Beside the pointer, towards the middle: the bars that are looked at stay free.
      const isRight = left > chart.over.clientWidth / 2;
      const space = isRight ? chart.over.clientWidth - left : left + chart.over.offsetLeft;
      tip.current.style[isRight ? "right" : "left"] = `${space + TIP_PIXELS}px`;
      tip.current.style[isRight ? "left" : "right"] = "auto";
      const start = isOver ? data.times[index] : null;
      if (start === shown) return;
      shown = start;
      hover(start === null ? null : { from: start * 1000, to: (start + data.step) * 1000 });
    };
    const select = (chart) => {
      const { left, width } = chart.select;
      if (width < LEAST_DRAG_PIXELS) return;
      zoom(chart.posToVal(left, "x"), chart.posToVal(left + width, "x"));
    };
    const bars = UPlot.paths.bars({ size: [0.9, 60], align: 1 });
    const width = element.current.clientWidth;
    plot.current = new UPlot({
      width, height: height(), legend: { show: false }, padding: [6, 8, 0, 0],
      tzDate: zone === "UTC" ? (seconds) => UPlot.tzDate(new Date(seconds * 1e3), "UTC") : undefined,
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
      scales: {
        x: { range: () => [data.times[0], data.times.at(-1) + data.step] },
        y: { range: (_, least, most) => [0, Math.max(most, 1)] },
      },
      series: [{}, ...data.keys.map((key, number) => ({
        label: key, paths: bars, fill: fill(key, number), stroke: "transparent", width: 0, points: { show: false },
      }))],
      axes: [timeAxis(zone, !isNarrow()), { ...plainAxis(52), values: (_, values) => values.map(shortCount), splits: (chart) => [0, chart.scales.y.max] }],
      hooks: { ready: [(chart) => pointer.current(chart)], setCursor: [show], setSelect: [select] },
    }, [data.times, ...data.sums], element.current);
    const fit = new ResizeObserver(() => {
      plot.current.setSize({ width: element.current.clientWidth, height: height() });
    });
    fit.observe(element.current);
    const { over } = plot.current;
    let pressed = 0;
    // uPlot knows the mouse alone: a finger's drag is drawn and taken here. Up and down it scrolls.
    let finger = null;
    const marked = (from, to) => plot.current.setSelect({ left: Math.min(from, to), width: Math.abs(to - from), top: 0, height: over.clientHeight }, false);
    const placeOf = (event) => Math.max(0, Math.min(over.clientWidth, event.clientX - over.getBoundingClientRect().left));
    const down = (event) => {
      pressed = event.clientX;
      finger = event.pointerType === "touch" ? placeOf(event) : null;
    };
    const drag = (event) => finger !== null && marked(finger, placeOf(event));
    const lift = () => {
      if (finger !== null) select(plot.current);
      finger = null;
    };
    const leave = () => {
      if (finger !== null) marked(0, 0);
      finger = null;
    };
    const click = (event) => {
      if (Math.abs(event.clientX - pressed) >= LEAST_DRAG_PIXELS) return;
      const index = near(plot.current.cursor.left);
      if (index >= 0) zoom(data.times[index], data.times[index] + data.step);
    };
    for (const [name, heard] of Object.entries({ pointerdown: down, pointermove: drag, pointerup: lift, pointercancel: leave, click })) {
      over.addEventListener(name, heard);
    }
    return () => {
      fit.disconnect();
      plot.current.destroy();
      plot.current = null;
    };
  }, [data, zone, theme]);
  // The pointer may be here already when it is told that it left the list.
  const point = (chart) => chart.over.matches(":hover")
    || chart.setCursor({ left: pointed ? chart.valToPos(pointed / 1000, "x") : -1, top: 10 });
  const pointer = useRef(point);
  pointer.current = point;
  useEffect(() => {
    if (plot.current) point(plot.current);
  }, [pointed]);
  const total = data ? data.sums.length ? data.sums[0].reduce((sum, number) => sum + number, 0) : 0 : null;
  return html`
    <section class=${stale ? "histogram dimmed" : "histogram"} aria-label=${total === null ? "histogram" : `histogram: ${count(total)} records`}>
      <div ref=${element} class="plot"></div>
      <p ref=${tip} class="tip" aria-hidden="true"></p>
    </section>`;
}

function describe(data, index, zone) {
  const counts = data.keys.map((key, layer) => [key || "(none)", data.own[layer][index]]).filter(([, number]) => number);
  const sum = counts.reduce((total, [, number]) => total + number, 0);
  const each = counts.reverse().map(([key, number]) => `${key} ${count(number)}`).join(", ");
  return `${dayAndClock(data.times[index] * 1000, zone).replace(/\.000$/, "")}: ${count(sum)}${each ? ` (${each})` : ""}`;
}
