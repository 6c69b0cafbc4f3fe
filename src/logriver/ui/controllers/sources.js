// The followed files: what is committed of each, what is missing, how far behind it is; and the agents that follow them.

import { html, useState } from "../helpers/html.js";
import { bytes, count, duration } from "../helpers/format.js";
import { term } from "../helpers/language.js";
import { dayAndClock } from "../helpers/times.js";
import { useCall, usePolled } from "../models/answer.js";
import { address } from "../models/api.js";
import { Agents } from "./agents.js";
import { Failure } from "./failure.js";
import { CommittedBar } from "./committedbar.js";
import { EVERYTHING } from "./link.js";

const POLL_SECONDS = 3;
const SHOWN = 200;
const BEHIND_SECONDS = 60;
const ENDED = new Set(["gone", "truncated"]);

export function Sources({ go, zone }) {
  const [part, setPart] = useState("");
  const answer = usePolled(address("/api/v1/sources", { q: part, limit: SHOWN }), POLL_SECONDS);
  const sources = answer.data?.sources || [];
  return html`
    <section class="wide sources">
      <h1>Sources</h1>
      <label class="hidden" for="part">Find a file</label>
      <input id="part" type="search" placeholder="Part of a path" value=${part} onInput=${(event) => setPart(event.target.value)} />
      <${Failure} error=${answer.error} />
      ${answer.data && !sources.length && html`<p class="quiet">${part ? "No followed file has that in its path." : html`
        No file is followed. <code>logriver serve --follow /var/log/syslog</code> follows one.`}</p>`}
      ${sources.length > 0 && html`
        <div class="scroll" tabindex="0" role="region" aria-label="followed files"><table class="figures">
          <thead><tr><th scope="col">File</th><th scope="col">Follower</th><th scope="col">Format</th>
            <th scope="col">Committed</th><th scope="col" class="number">Behind</th><th scope="col" class="number">Lost</th>
            <th scope="col">Last event</th><th scope="col">Problem</th></tr></thead>
          <tbody>${sources.map((source) => html`
            <${Row} key=${`${source.follower} ${source.path}`} source=${source} go=${go} zone=${zone} />`)}</tbody>
        </table></div>`}
      ${answer.data?.total > sources.length && html`
        <p class="quiet">${count(sources.length)} of ${count(answer.data.total)} are shown: a part of the path finds the others.</p>`}
      <${Agents} zone=${zone} />
    </section>`;
}

const linesOf = (path) => ({ ...EVERYTHING, q: term("_source", path) });

function Row({ source, go, zone }) {
  const [open, setOpen] = useState(false);
  const lost = source.gaps.filter((gap) => gap.lost);
  const isOver = source.incarnations.length > 0 && source.incarnations.every((incarnation) => ENDED.has(incarnation.state));
  const size = source.unit === "entries" ? (number) => `${count(number)} entries` : bytes;
  const current = source.incarnations.find((incarnation) => incarnation.file === source.file && incarnation.state === "followed");
  return html`
    <tr>
      <td class="file">
        <button type="button" class="plain" title="its lines" onClick=${() => go(linesOf(source.path))}>${source.path}</button>
        ${source.incarnations.length > 0 && html`
          <details open=${open} onToggle=${(event) => setOpen(event.target.open)}>
            <summary>${source.incarnation_count === 1 ? "1 incarnation" : `${count(source.incarnation_count)} incarnations`}</summary>
            ${open && html`
              <${Searchable} path=${source.path} go=${go} zone=${zone} />
              <ol class="incarnations">${[...source.incarnations].reverse().map((incarnation) => html`
                <${Incarnation} key=${incarnation.id} incarnation=${incarnation} size=${size} zone=${zone} />`)}</ol>`}
          </details>`}
      </td>
      <td data-label="Follower">${source.follower}</td>
      <td data-label="Format">${source.format}</td>
      <td data-label="Committed">${size(source.committed_bytes)}${current && html`<${CommittedBar} incarnation=${current} />`}</td>
      <td data-label="Behind" class=${source.lag_seconds > BEHIND_SECONDS ? "number wrong" : "number"}>${behind(source, size)}</td>
      <td data-label="Lost" class=${lost.length ? "number wrong" : "number"}>${lost.length ? atLeast(lost) : "0"}</td>
      <td data-label="Last event">${source.last_event ? dayAndClock(source.last_event, zone) : ""}</td>
      <td data-label=${source.error ? "Problem" : ""} class=${source.error && !isOver ? "wrong" : "quiet"}>${source.error}</td>
    </tr>`;
}

function behind({ lag_bytes: lag, lag_seconds: seconds }, size) {
  if (lag === null) return "not known";
  return seconds >= 1 ? `${size(lag)}, ${duration(1000 * seconds)}` : size(lag);
}

// What is lost was mostly gone before anybody could count it.
function atLeast(gaps) {
  const size = gaps.reduce((sum, gap) => sum + gap.bytes, 0);
  if (gaps.every((gap) => gap.exact)) return bytes(size);
  return size ? `at least ${bytes(size)}` : "bytes, not known how many";
}

function Searchable({ path, go, zone }) {
  const answer = useCall("/api/v1/sources", { source: path, limit: 1 });
  const found = answer.data?.searchable;
  if (answer.error) return html`<${Failure} error=${answer.error} />`;
  if (!found) return html`<p class="quiet">Searching</p>`;
  if (!found.records) return html`<p class="quiet">No record of it can be found.</p>`;
  return html`<p class="quiet">
    <button type="button" class="plain" onClick=${() => go(linesOf(path))}>${count(found.records)} records</button> can be found, the first of them received ${dayAndClock(found.oldest, zone)},
    from byte ${count(found.oldest_offset)} of its file.</p>`;
}

function Incarnation({ incarnation, size, zone }) {
  return html`
    <li>
      <span>${incarnation.state}</span> <${CommittedBar} incarnation=${incarnation} />
      <span>${size(incarnation.committed_bytes)} committed${incarnation.size_bytes > incarnation.committed_bytes ? ` of ${size(incarnation.size_bytes)}` : ""}</span>
      ${incarnation.file && html`<span>${incarnation.file}</span>`}
      ${incarnation.last_event && html`<span>last event ${dayAndClock(incarnation.last_event, zone)}</span>`}
      ${incarnation.gaps.map((gap) => html`
        <p class=${gap.lost ? "wrong" : "quiet"}>from byte ${count(gap.offset)} on ${gap.lost ? "lost" : "left out"}: ${atLeast([gap])},
          ${gap.reason}, ${dayAndClock(gap.noticed, zone)}</p>`)}
    </li>`;
}
