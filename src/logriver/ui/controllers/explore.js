// The explorer: a question, and what answers it: a histogram with lines, a table with a chart, or patterns.

import { html, useEffect, useMemo, useState } from "../helpers/html.js";
import { bytes, count, duration } from "../helpers/format.js";
import { answerKind, limitOf, split, withPipe, withTerm } from "../helpers/language.js";
import { toMs } from "../helpers/times.js";
import { useCall, useLate } from "../models/answer.js";
import * as memory from "../models/memory.js";
import { columnsOf, write } from "../models/place.js";
import { IncludeFiles } from "./includefiles.js";
import { Export } from "./export.js";
import { Failure } from "./failure.js";
import { FieldList } from "./fields.js";
import { Histogram } from "./histogram.js";
import { linkTo } from "./link.js";
import { Patterns } from "./patterns.js";
import { QueryBar } from "./querybar.js";
import { RowList } from "./rowlist.js";
import { ShowSql } from "./showsql.js";
import { Statistics } from "./statistics.js";
import { TimeRange, shifted } from "./timerange.js";

const BUCKETS = 80;
const SAID_MS = 4_000;
const tz = (zone) => (zone === "UTC" ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone);

export function Explore({ place, go, zone, theme }) {
  const [round, setRound] = useState(0);
  const [outcome, setOutcome] = useState({ loading: true });
  const [shared, setShared] = useState("");
  const [sql, setSql] = useState(false);
  const [exporting, setExporting] = useState(false);
  const [folded, setFolded] = useState(matchMedia("(max-width: 700px)").matches);
  const [plotted, setPlotted] = useState(memory.isPlotted());
  const [hovered, setHovered] = useState(null);
  const [marked, setMarked] = useState(null);
  const isLate = useLate(outcome.loading);
  const kind = answerKind(place.q);
  const params = { q: place.q, from: place.from, to: place.to };
  const conditions = { ...params, q: split(place.q)[0] };
  const histogram = useCall("/api/v1/histogram", { ...conditions, buckets: BUCKETS, by: place.by, tz: tz(zone), round });

  const move = (changes, options) => {
    if ("round" in changes) setRound(changes.round);
    else go(changes, options);
  };
  const run = (q) => (q === place.q ? setRound((old) => old + 1) : go({ q, open: "" }));
  const add = (asked, excluded, changes) => go(changes ? { ...changes, open: "" } : { q: withTerm(place.q, asked, excluded), open: "" });
  const zoom = (from, to) => go({ from: new Date(from * 1000).toISOString(), to: new Date(to * 1000).toISOString() });
  const asked = JSON.stringify([params, round]);
  const report = (news) => setOutcome((old) => ({ ...old, ...news, asked }));
  const freeze = async () => {
    const fixed = { ...place, from: absolute(place.from), to: absolute(place.to || "now") };
    const copied = navigator.clipboard?.writeText(location.origin + write(fixed)).then(() => true, () => false);
    setShared((await copied) ? "link copied" : "the link is in the address bar");
    setTimeout(() => setShared(""), SAID_MS);
    go({ from: fixed.from, to: fixed.to });
  };
  const plot = () => {
    memory.setPlotted(!plotted);
    setPlotted(!plotted);
  };
  const cancel = () => {
    outcome.cancel?.();
    histogram.cancel();
  };
  useExploreKeys(place, go);

  // The lines are only drawn anew for what changes them, not for each move of the pointer.
  const list = useMemo(
    () => kind === "rows" && html`<${RowList} params=${{ ...params, round }} ...${{ place, zone, report, add, marked }} go=${move} hover=${setHovered} />`,
    [place, zone, round, marked],
  );

  const stats = outcome.answer?.stats;
  const without = (outcome.answer?.incomplete || histogram.data?.incomplete)?.join("; ");
  // Of a question with pipes the histogram counts what goes into them.
  const known = split(place.q)[1] || histogram.loading || histogram.error || !histogram.data ? null : total(histogram.data);
  const isEmpty = !(kind === "rows" && place.files) && outcome.answer?.rows?.length === 0;
  const hint = outcome.answer?.hint;
  return html`
    <div class="ask">
      <${QueryBar} text=${place.q} run=${run} error=${outcome.error || null} busy=${isLate} cancel=${cancel} />
      <${TimeRange} from=${place.from} to=${place.to} zone=${zone} change=${go} />
    </div>
    <p class="facts" role="status" aria-live="polite">
      ${histogram.data && html`<${Found} lines=${total(histogram.data)} limit=${kind === "rows" ? limitOf(place.q) : null} />`}
      ${stats && html`<span>${duration(stats.elapsed_ms)}</span><span class="long">${bytes(stats.bytes_read)} read</span>`}
      ${isLate && html`<span class="busy">searching<${Elapsed} /></span>`}
      ${without && html`<a class="plain" title=${without} ...${linkTo(place, go, { view: "status" })}>incomplete</a>`}
      ${outcome.cancelled && !outcome.loading && html`<span>cancelled</span>`}
      ${shared && html`<span>${shared}</span>`}
      <span class="grow"></span>
      <button type="button" class="folds" aria-pressed=${plotted} onClick=${plot}>Histogram</button>
      <button type="button" class="folds" aria-pressed=${!folded} onClick=${() => setFolded(!folded)}>Fields</button>
      ${kind === "rows" && html`<button type="button" aria-pressed=${place.files} title="lines of files that were never taken in, on all machines"
        onClick=${() => go({ files: !place.files }, { replace: true })}>Include files</button>`}
      ${kind === "rows" && html`<button type="button" aria-pressed=${place.wrap} onClick=${() => go({ wrap: !place.wrap }, { replace: true })}>Wrap</button>`}
      <button type="button" onClick=${() => setSql(true)}><span class="long">Show the </span>SQL</button>
      <button type="button" onClick=${() => setExporting(true)}>Export</button>
      <button type="button" onClick=${freeze} title="fix the times in the address and copy it">Share</button>
      <button type="button" class="long" onClick=${() => go({ view: "live" })}>Live</button>
    </p>
    ${plotted && html`<${Histogram} answer=${histogram.data} stale=${histogram.loading || Boolean(histogram.error)} ...${{ zone, theme, zoom }} pointed=${hovered} hover=${setMarked} />`}
    ${!outcome.loading && !outcome.error && html`<${Failure} error=${histogram.error} again=${histogram.again} />`}
    <div class=${folded ? "below folded" : "below"}>
      ${!folded && html`<${FieldList} params=${conditions} wanted=${!outcome.loading && outcome.asked === asked} add=${add} columns=${columnsOf(place)}
        setColumns=${(columns) => go({ columns }, { replace: true })}
        run=${run} group=${(name) => go({ q: withPipe(place.q, `top 20 ${name}`) })} />`}
      <div class="answer">
        ${(hint || isEmpty) && !outcome.loading && !outcome.error && html`<${Hint} hint=${hint} found=${!isEmpty} query=${outcome.answer.hint_query} go=${go} place=${place} />`}
        ${kind === "rows" && place.files && html`<${IncludeFiles} params=${{ ...params, round }} ...${{ place, zone, add }} hover=${setHovered} />`}
        ${list}
        ${kind === "stats" && html`<${Statistics} params=${{ ...params, tz: tz(zone), round }} ...${{ report, go, place, zone, theme }} />`}
        ${kind === "patterns" && html`<${Patterns} params=${{ ...params, round }} ...${{ report, go, zone }} />`}
      </div>
    </div>
    ${sql && html`<${ShowSql} params=${params} close=${() => setSql(false)} />`}
    ${exporting && html`<${Export} params=${params} total=${known} close=${() => setExporting(false)} />`}
  `;
}

// How many lines there are, and how many of them the text asks for.
function Found({ lines, limit }) {
  const shown = limit !== null && limit < lines && html`<strong>${count(limit)}</strong> of `;
  const all = shown ? count(lines) : html`<strong>${count(lines)}</strong>`;
  return html`${shown}${all} ${lines === 1 ? "line" : "lines"}`;
}

// How long it goes on already, once that can be counted.
function Elapsed() {
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setSeconds((old) => old + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  return seconds > 0 && html`<span aria-hidden="true">, ${seconds} s</span>`;
}

function absolute(text) {
  const ms = toMs(text);
  return ms === null || Number.isNaN(ms) ? text : new Date(ms).toISOString();
}

const total = (histogram) => histogram.total ?? histogram.series.flatMap(({ values }) => values).reduce((sum, [, number]) => sum + number, 0);

function useExploreKeys(place, go) {
  useEffect(() => {
    const pressed = (event) => {
      if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "w") go({ wrap: !place.wrap }, { replace: true });
      else if (event.key === "t") document.querySelector("#range")?.click();
      else if (event.key === "[" || event.key === "]") {
        const range = shifted(place.from, place.to, event.key === "[" ? -1 : 1);
        if (range) go(range);
      } else return;
      event.preventDefault();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [place]);
}

// What is said of an answer, mostly an empty one: what it advises, with a link to the question that finds something.
function Hint({ hint, found, query, go, place }) {
  const changes = { q: query ?? place.q, open: "" };
  // The question that it ends with is the link below.
  const end = `: \`${query}\``;
  const advice = hint?.endsWith(end) ? hint.slice(0, -end.length) : hint;
  const said = found ? advice[0].toUpperCase() + advice.slice(1) : advice ? `Nothing found: ${advice}` : place.from || place.to ? "Nothing found at these times" : "Nothing found";
  return html`
    <div class="hint" role="status">
      <p>${said}</p>
      ${query !== undefined && query !== null && html`
        <a ...${linkTo(place, go, changes)}><code>${query}</code></a>`}
      ${!found && place.from && html`<button type="button" onClick=${() => go({ from: "", to: "" })}>Search all time</button>`}
    </div>`;
}
