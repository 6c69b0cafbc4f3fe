// A question with `| stats` or `| top`: its table, and a chart: lines over `bin`, bars otherwise.

import { html, useEffect, useMemo, useRef } from "../helpers/html.js";
import { LEVELS, SERIES_COLOURS, colour, seriesColour } from "../helpers/colour.js";
import { cell, shortCount } from "../helpers/format.js";
import { countedBy, split, term, withTerm } from "../helpers/language.js";
import { plainAxis, timeAxis } from "../helpers/timeaxis.js";
import { dayAndClock, fixed, spanMs, toMs } from "../helpers/times.js";
import { useAnswer } from "../models/answer.js";
import { ask } from "../models/api.js";
import UPlot from "../vendor/uplot.js";
import { Failure } from "./failure.js";

// The table below has them all, and should be seen.
const MOST_BARS = 10;
const MOST_LINES = 12;
// Lines whose colour another one has.
const DASH = [4, 3];
const nameOf = (column) => (typeof column === "string" ? column : column.name);

// The table, and the range that it is of. That is asked for as fixed times: a link to the lines of a number must mean the same.
function useTable({ round, ...params }) {
  return useAnswer(JSON.stringify([params, round]), async (signal) => {
    const now = Date.now();
    const range = { from: fixed(params.from, now), to: fixed(params.to, now) };
    return { ...await ask("/api/v1/stats", { ...params, ...range }, signal), range };
  });
}

// The times of a bin as far as they were asked for: the first and the last one may be a part.
function timesOf(start, width, { from, to }) {
  const end = start + spanMs(width);
  return {
    from: toMs(from) > start ? from : new Date(start).toISOString(),
    to: to && toMs(to) < end ? to : new Date(end).toISOString(),
  };
}

export function Statistics({ params, report, go, place, zone, theme }) {
  const answer = useTable(params);
  useEffect(() => {
    report({ answer: answer.data, loading: answer.loading, error: answer.error, cancel: answer.cancel });
  }, [answer.data, answer.loading, answer.error]);
  if (answer.error && answer.error.status !== 400) return html`<${Failure} error=${answer.error} again=${answer.again} />`;
  if (!answer.data?.rows.length) return null;
  const columns = answer.data.columns.map(nameOf);
  const { rows } = answer.data;
  const bin = columns.indexOf("bin");
  const numeric = columns.map((_, at) => at !== bin && rows.some((row) => typeof row[at] === "number") && rows.every((row) => row[at] === null || typeof row[at] === "number"));
  const counted = countedBy(place.q);
  const width = /\bbin\((\w+)\)/.exec(place.q)?.[1];
  // To the lines behind a value, or behind a number: those of its row, and of what the number counts.
  const narrow = (row, at) => {
    const groups = numeric[at] ? columns.map((_, index) => index).filter((index) => index !== bin && !numeric[index]) : [at];
    const terms = groups.filter((index) => index !== bin).map((index) => term(columns[index], row[index])).filter(Boolean);
    const condition = counted.get(columns[at]);
    const q = [...terms, condition].filter(Boolean).reduce((text, asked) => withTerm(text, asked), split(place.q)[0]);
    const times = bin >= 0 && width ? timesOf(Date.parse(row[bin]), width, answer.data.range) : {};
    go({ q, ...(numeric[at] || at === bin ? times : {}), open: "" });
  };
  const title = (at) => (at === bin ? "lines of this time"
    : counted.has(columns[at]) ? `its lines with ${counted.get(columns[at])}` : numeric[at] ? "its lines" : `lines with this ${columns[at]}`);
  const figure = (value, at) => (at === bin ? dayAndClock(value, zone).replace(/\.000$/, "") : cell(value));
  return html`
    <div class=${answer.loading ? "statistics dimmed" : "statistics"}>
      ${bin >= 0
        ? html`<${LineChart} ...${{ columns, rows, bin, numeric, zone, theme }} />`
        : html`<${BarChart} ...${{ columns, rows, numeric }} />`}
      <div class="scroll" tabindex="0" role="region" aria-label="result">
        <table class="figures">
          <thead><tr>${columns.map((name, at) => html`<th scope="col" class=${numeric[at] ? "number" : ""}>${name}</th>`)}</tr></thead>
          <tbody>${rows.map((row) => html`
            <tr>${row.map((value, at) => html`
              <td class=${numeric[at] ? "number" : ""}>${value !== null
                && html`<button type="button" class="plain" title=${title(at)} onClick=${() => narrow(row, at)}>${figure(value, at)}</button>`}</td>`)}
            </tr>`)}
          </tbody>
        </table>
      </div>
    </div>`;
}

function BarChart({ columns, rows, numeric }) {
  const value = numeric.indexOf(true);
  const names = columns.map((_, at) => at).filter((at) => !numeric[at]);
  if (value < 0 || !names.length) return null;
  const most = Math.max(...rows.map((row) => row[value] || 0), 0);
  return html`
    <figure class="bars" aria-label=${`${columns[value]} as bars`}>
      ${rows.slice(0, MOST_BARS).map((row) => html`
        <div class=${`bar-row ${LEVELS.includes(row[names[0]]) ? `level-${row[names[0]]}` : ""}`}>
          <span class="name">${names.map((at) => cell(row[at])).join(" · ") || "(empty)"}</span>
          <svg aria-hidden="true" class="bar"><rect width=${`${most > 0 ? (100 * Math.max(row[value] || 0, 0)) / most : 0}%`} height="100%" /></svg>
          <span class="number">${cell(row[value])}</span>
        </div>`)}
      <figcaption class="quiet">${columns[value]}</figcaption>
    </figure>`;
}

// One line for each number without other groups, else one for each group of the first number.
export function linesOf({ columns, rows, bin, numeric }) {
  const at = (row) => Date.parse(row[bin]) / 1000;
  const times = [...new Set(rows.map(at))].sort((a, b) => a - b);
  const place = new Map(times.map((time, index) => [time, index]));
  const groups = columns.map((_, index) => index).filter((index) => index !== bin && !numeric[index]);
  const values = columns.map((_, index) => index).filter((index) => numeric[index]);
  const lines = new Map();
  for (const row of rows) {
    const group = groups.map((index) => cell(row[index])).join(" · ");
    for (const value of groups.length ? values.slice(0, 1) : values) {
      const name = groups.length ? group || "(empty)" : columns[value];
      if (!lines.has(name)) lines.set(name, new Array(times.length).fill(null));
      lines.get(name)[place.get(at(row))] = row[value];
    }
  }
  return { times, lines: [...lines].slice(0, MOST_LINES), value: columns[values[0]] };
}

function LineChart({ columns, rows, bin, numeric, zone, theme }) {
  const element = useRef(null);
  const data = useMemo(() => linesOf({ columns, rows, bin, numeric }), [rows]);
  useEffect(() => {
    const { times, lines } = data;
    // Where nothing is pointed at, the legend has the last figures.
    const at = (index) => index ?? times.length - 1;
    const chart = new UPlot({
      width: element.current.clientWidth, height: 220,
      tzDate: zone === "UTC" ? (seconds) => UPlot.tzDate(new Date(seconds * 1e3), "UTC") : undefined,
      series: [
        { label: "Time", value: (_, second, series, index) => dayAndClock(times[at(index)] * 1000, zone).replace(/\.000$/, "") },
        ...lines.map(([label, values], place) => ({
          label, stroke: seriesColour(label, place), width: 1.5, spanGaps: false,
          dash: place >= SERIES_COLOURS ? DASH : undefined, points: { show: times.length < 60 },
          value: (_, value, series, index) => cell(values[at(index)]),
        })),
      ],
      legend: { markers: { dash: (_, index) => (index > SERIES_COLOURS ? "dashed" : "solid") } },
      axes: [timeAxis(zone), { ...plainAxis(56), grid: { stroke: colour("--line"), width: 1 }, values: (_, ticks) => ticks.map(shortCount) }],
    }, [times, ...lines.map(([, values]) => values)], element.current);
    const fit = new ResizeObserver(() => chart.setSize({ width: element.current.clientWidth, height: 220 }));
    fit.observe(element.current);
    return () => {
      fit.disconnect();
      chart.destroy();
    };
  }, [data, zone, theme]);
  return html`<figure class="chart" aria-label=${`${data.value} over time`}><div ref=${element}></div></figure>`;
}
