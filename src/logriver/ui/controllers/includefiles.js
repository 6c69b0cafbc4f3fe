// Lines of files that were never taken in, of all machines, found while the page waits: newest first, marked with their place.

import { html, useEffect, useMemo, useRef, useState } from "../helpers/html.js";
import { bytes, count } from "../helpers/format.js";
import { markPattern } from "../helpers/language.js";
import { visible } from "../helpers/record.js";
import { parts } from "../helpers/times.js";
import { FileSearch } from "../models/filesearch.js";
import { Line } from "./line.js";
import { useRowKeys } from "./rowkeys.js";

function useFileSearch(params) {
  const [search, setSearch] = useState(null);
  const [, redraw] = useState(0);
  useEffect(() => {
    const { round, ...question } = params;
    const begun = new FileSearch(question, () => redraw((old) => old + 1));
    setSearch(begun);
    return () => begun.cancel();
  }, [JSON.stringify(params)]);
  return search;
}

export function IncludeFiles({ params, place, zone, add, hover }) {
  const search = useFileSearch(params);
  const [open, setOpen] = useState(null);
  const [current, setCurrent] = useState(0);
  const list = useRef(null);
  const pattern = useMemo(() => markPattern(params.q || ""), [params.q]);
  const rows = search ? search.rows : [];
  const toggle = ({ key }) => setOpen(open === key ? null : key);
  const close = () => {
    setOpen(null);
    return open !== null;
  };
  const records = rows.map(({ record }) => record);
  const keys = useRowKeys({ list, rows: records, current, choose: setCurrent, toggle: () => toggle(rows[current]), add, close, isFirst: false });
  if (!search) return null;
  const today = parts(Date.now(), zone).day;
  return html`
    <section class="files" aria-label="from files">
      <${Progress} search=${search} />
      ${rows.length > 0 && html`
        <div ref=${list} class=${place.wrap ? "list wrap" : "list"} role="grid" aria-label="lines of files, newest first" tabindex="0" onKeyDown=${keys}>
          <div class="lines">
            ${rows.map(({ record, key }, number) => html`
              <${Line} key=${key} ...${{ record, number, pattern, zone, hover, add, place, today }} columns=${["_host", "_source"]}
                open=${open === key} current=${number === current} toggle=${() => { setCurrent(number); toggle({ key }); }} />`)}
          </div>
        </div>`}
    </section>`;
}

// How far it is while it goes on, and afterwards whether that was all.
function Progress({ search }) {
  const { end, error, failures, rows } = search;
  return html`
    <p class="facts">
      <strong>${count(rows.length)}</strong> from files
      ${search.running && html`
        <progress aria-label="bytes read" value=${search.read} max=${Math.max(1, search.of)}></progress>
        <span class="path">${bytes(search.read)} of ${bytes(search.of)} ${visible(search.place)}</span>
        <button type="button" onClick=${() => search.cancel()}>Cancel</button>`}
      <span role="status">
        ${search.cancelled && "cancelled"}
        ${end && `${bytes(end.bytes)} of ${count(end.files)} ${end.files === 1 ? "file" : "files"} read${end.complete ? "" : ", not all that there is"}`}
      </span>
      <button type="button" class="plain" onClick=${() => document.querySelector("#lines")?.focus()}>To the stored lines below</button>
    </p>
    ${error && html`<p class="quiet" role="alert">${error.message}</p>`}
    ${failures.map((failure) => html`<p class="quiet">${visible([failure.host, failure.file].filter(Boolean).join(":"))}: ${visible(failure.message)}</p>`)}`;
}
