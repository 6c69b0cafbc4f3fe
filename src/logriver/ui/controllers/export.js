// All lines of a question as a file, with progress. What has come is handed to the browser, which puts it on the disk.

import { html, useRef, useState } from "../helpers/html.js";
import { bytes, count } from "../helpers/format.js";
import { download } from "../models/api.js";
import { Dialog } from "./dialog.js";

const TYPES = {
  ndjson: ["NDJSON", "application/x-ndjson"],
  csv: ["CSV", "text/csv"],
  parquet: ["Parquet", "application/vnd.apache.parquet"],
};

// A script must not hold an export of gigabytes; a `Blob` is not in its memory.
const FOLD_BYTES = 8_000_000;

// Lines are counted as they come; what is inside of quotes may hold ends of lines that end none. Parquet has no lines.
const QUOTE = 34;
const END = 10;
function counter(kind) {
  let lines = kind === "csv" ? -1 : 0;
  let inQuotes = false;
  return (chunk) => {
    for (const byte of chunk) {
      if (byte === END && !inQuotes) lines += 1;
      else if (byte === QUOTE && kind === "csv") inQuotes = !inQuotes;
    }
    return Math.max(0, lines);
  };
}

// `total` is how many lines there are, where that is known.
export function Export({ params, total, close }) {
  const [kind, setKind] = useState("ndjson");
  const [limit, setLimit] = useState("");
  const [state, setState] = useState({ size: 0, lines: 0, busy: false, said: "" });
  const control = useRef(null);
  const whole = kind === "parquet" || !total ? null : Math.min(total, limit || total);
  const start = async (event) => {
    event.preventDefault();
    control.current = new AbortController();
    setState({ size: 0, lines: 0, busy: true, said: "" });
    try {
      const size = await save(kind, params, limit, control.current.signal, (size, lines) => setState({ size, lines, busy: true, said: "" }));
      setState({ size, busy: false, said: `done: ${bytes(size)}` });
    } catch (error) {
      const said = error.name === "AbortError" ? "stopped, nothing was saved" : `failed: ${error.message}`;
      setState((old) => ({ ...old, busy: false, said }));
    }
  };
  const leave = () => {
    control.current?.abort();
    close();
  };
  return html`
    <${Dialog} title="Export" close=${leave}>
      <form onSubmit=${start}>
        <fieldset><legend>Format</legend>
          ${Object.entries(TYPES).map(([value, [name]]) => html`
            <label><input type="radio" name="kind" value=${value} checked=${kind === value} onChange=${() => setKind(value)} /> ${name}</label>`)}
        </fieldset>
        <label>Lines at most <input inputmode="numeric" pattern="[0-9]*" placeholder="All" value=${limit} onInput=${(e) => setLimit(e.target.value)} /></label>
        ${state.busy
          ? html`<button type="button" onClick=${() => control.current.abort()}>Stop</button>`
          : html`<button class="primary">Export</button>`}
        ${state.busy && html`<p>
          <progress aria-label="exported" value=${whole ? Math.min(state.lines, whole) : undefined} max=${whole || undefined}></progress>
          <span class="number">${whole && ` ${count(state.lines)} of ${count(whole)} lines,`} ${bytes(state.size)}</span></p>`}
        <p role="status">${state.said}</p>
      </form>
    <//>`;
}

async function save(kind, params, limit, signal, progress) {
  const answer = await download("/api/v1/search", { ...params, limit }, TYPES[kind][1], signal);
  const parts = [];
  const counted = counter(kind);
  let chunks = [], size = 0, folded = 0;
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    size += value.length;
    if (size - folded > FOLD_BYTES) {
      parts.push(new Blob(chunks));
      chunks = [];
      folded = size;
    }
    progress(size, kind === "parquet" ? 0 : counted(value));
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([...parts, ...chunks], { type: TYPES[kind][1] }));
  link.download = `logs.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  return size;
}
