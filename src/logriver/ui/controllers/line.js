// One line of the list, and what it opens to.

import { html, useMemo, useState } from "../helpers/html.js";
import { valueText } from "../helpers/format.js";
import { hasChosen, term, withPipe } from "../helpers/language.js";
import { MOST_FIELDS, fileName, flattened, idOf, lineOf, rawText, restOf, timeLength, valueOf, visible } from "../helpers/record.js";
import { dayAndClock, parts } from "../helpers/times.js";
import { useCall } from "../models/answer.js";
import { columnsOf, write } from "../models/place.js";
import { Failure } from "./failure.js";

const SHOWN_CHARACTERS = 2_000;
const OPEN_CHARACTERS = 20_000;

// `text` with what matches the search marked. Text stays text: nothing of it is ever read as markup.
export function Marked({ text, pattern }) {
  const shown = visible(text);
  if (!pattern) return shown;
  return shown.split(pattern).map((piece, place) => (place % 2 ? html`<mark>${piece}</mark>` : piece));
}

// The file that a record is from, where no service says more. Of chosen fields each stands for itself.
const originOf = (record, place) => (record.service || hasChosen(place.q) || columnsOf(place).includes("_source") ? "" : fileName(record));

// The columns of a list: those that nobody has chosen are only there where they say something.
export const columnsFor = (place, rows) => columnsOf(place).filter((name) => place.columns
  || rows.some((record) => record[name] || (name === "service" && originOf(record, place))));

// What the line says, in a row: a time at its beginning that the row has shown already steps back.
function Message({ record, pattern, columns, chosen }) {
  const rest = chosen ? restOf(record, new Set(["timestamp", "level", "message", ...columns])) : "";
  const line = (chosen ? record.message || "" : lineOf(record)).slice(0, SHOWN_CHARACTERS);
  const length = record.timestamp ? timeLength(line, record.timestamp) : 0;
  return html`
    <span role="gridcell" class="message">${length > 0 && html`<span class="again"><${Marked} text=${line.slice(0, length)} pattern=${pattern} /></span>`}<${Marked} text=${line.slice(length)} pattern=${pattern} />${
      rest && html`<span class=${line ? "again" : ""}>${line && " "}<${Marked} text=${rest.slice(0, SHOWN_CHARACTERS)} pattern=${pattern} /></span>`}</span>`;
}

export function Line({ record, number, columns, pattern, zone, open, current, marked, toggle, hover, add, place, today }) {
  const { timestamp } = record;
  const level = record.level || "";
  return html`
    <div class=${`line level-${level}${open ? " open" : ""}${current ? " current" : ""}${marked ? " marked" : ""}`} role="row" data-id=${idOf(record)}
      aria-rowindex=${number + 1} aria-selected=${current || open} onMouseEnter=${() => hover?.(timestamp ? Date.parse(timestamp) : null)}>
      <div class="cells" onClick=${() => getSelection().isCollapsed && toggle()}>
        ${timestamp && html`<${Time} ...${{ timestamp, zone, today }} />`}
        ${(timestamp || level) && html`<span role="gridcell" class="level" title=${level}>${level}</span>`}
        ${columns.map((name) => {
          const origin = name === "service" && originOf(record, place);
          return origin ? html`<span role="gridcell" class="column" title=${visible(record._source)}>${visible(origin)}</span>`
            : html`<${Cell} name=${name} text=${cellText(record, name)} />`;
        })}
        <${Message} ...${{ record, pattern, columns }} chosen=${hasChosen(place.q)} />
      </div>
      ${open && html`<div role="gridcell" class="opened"><${Opened} ...${{ record, pattern, zone, add, place }} /></div>`}
    </div>`;
}

function Time({ timestamp, zone, today }) {
  const { day, clock } = parts(timestamp, zone);
  return html`
    <time role="gridcell" datetime=${timestamp} title=${`${timestamp} (local: ${dayAndClock(timestamp, "local")})`}>
      ${day !== today && html`<span class="day">${day} </span>`}${clock}</time>`;
}

// Of a path that is too long the end is seen.
function Cell({ name, text }) {
  const isPath = name === "_source";
  return html`<span role="gridcell" class=${isPath ? "column path" : "column"} title=${`${name}: ${text}`}>${isPath ? html`<bdi dir="ltr">${text}</bdi>` : text}</span>`;
}

function cellText(record, name) {
  const value = valueOf(record, name);
  return value === undefined || value === null ? "" : visible(valueText(value).slice(0, 200));
}

function Opened({ record, pattern, zone, add, place }) {
  const [around, setAround] = useState(false);
  const [said, setSaid] = useState("");
  const message = lineOf(record);
  const fields = useMemo(() => flattened(record), [record]);
  const copy = async (text, what) => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid(`${what} copied`);
    } catch {
      setSaid("the browser does not let this page copy");
    }
  };
  const trace = record.trace_id;
  // A field that has the focus takes the keys of a list for itself.
  const keys = (event, asked) => {
    const { key, currentTarget: row } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key === "ArrowDown" || key === "j") row.nextElementSibling?.focus();
    else if (key === "ArrowUp" || key === "k") row.previousElementSibling?.focus();
    else if ((key === "i" || key === "x") && asked) add(asked, key === "x");
    else if (key !== "i" && key !== "x") return;
    event.preventDefault();
  };
  const shown = (name, value) => (name === "timestamp" ? `${value} (local: ${dayAndClock(value, "local")})` : valueText(value ?? null));
  const link = write({ ...place, view: "explore", q: `_id:"${record._id}"`, from: "", to: "", open: record._id });
  return html`
    ${message && html`<pre class="whole"><${Marked} text=${message.slice(0, OPEN_CHARACTERS)} pattern=${pattern} />${
      message.length > OPEN_CHARACTERS && ` … ${message.length - OPEN_CHARACTERS} more characters`}</pre>`}
    <p class="actions">
      ${record._id && html`<button type="button" onClick=${() => setAround(!around)} aria-pressed=${around}>Lines around</button>`}
      ${trace && html`<button type="button" onClick=${() => add(null, false, { q: withPipe(term("trace_id", trace), "sort timestamp"), from: "", to: "" })}>This trace</button>`}
      <button type="button" onClick=${() => copy(JSON.stringify(record, null, 2), "JSON")}>Copy JSON</button>
      <button type="button" onClick=${() => copy(rawText(record), "text")}>Copy text</button>
      ${record._id && html`<a href=${link}>Link</a>
        <button type="button" onClick=${() => copy(location.origin + link, "link")}>Copy link</button>`}
      <span role="status">${said}</span>
    </p>
    ${around && html`<${Around} id=${record._id} zone=${zone} />`}
    <table class="record"><tbody>
      ${fields.map(([name, value]) => {
        const asked = name !== "_id" && name !== "_host" && term(name, value);
        return html`
          <tr key=${name} tabindex="-1" onKeyDown=${(event) => keys(event, asked)}>
            <th scope="row">${visible(name)}</th>
            <td>${visible(shown(name, value).slice(0, OPEN_CHARACTERS))}</td>
            <td class="actions">${asked && html`
              <button type="button" aria-label=${`only ${name} of this line`} title="only lines with it (i)" onClick=${() => add(asked)}>+</button>
              <button type="button" aria-label=${`without ${name} of this line`} title="lines without it (x)" onClick=${() => add(asked, true)}>−</button>`}
              <button type="button" aria-label=${`copy ${name} of this line`} title="copy the value" onClick=${() => copy(valueText(value ?? null), name)}>Copy</button>
            </td>
          </tr>`;
      })}
    </tbody></table>
    ${fields.length === MOST_FIELDS && html`<p class="quiet">These are the first ${MOST_FIELDS} fields; Copy JSON has all of them.</p>`}`;
}

// The lines before and after, of the same source, host and service.
function Around({ id, zone }) {
  const [size, setSize] = useState(10);
  const answer = useCall("/api/v1/context", { id, before: size, after: size });
  if (answer.error) return html`<${Failure} error=${answer.error} again=${answer.again} />`;
  if (!answer.data) return html`<p class="quiet">Searching</p>`;
  return html`
    <div class="around">
      ${answer.data.rows.map((row) => html`
        <div class=${`line level-${row.level || ""}${row._id === id ? " this" : ""}`} key=${row._id}><div class="cells">
          <time title=${row.timestamp}>${parts(row.timestamp, zone).clock}</time><span class="level">${row.level || ""}</span>
          <span class="message">${visible(lineOf(row).slice(0, SHOWN_CHARACTERS))}</span></div></div>`)}
      ${size < 200 && html`<button type="button" onClick=${() => setSize(size * 4)}>More of them</button>`}
    </div>`;
}
