// The newest lines, and new ones as they come. Scrolling away pauses, the button resumes; the connection comes back by itself.

import { html, useEffect, useMemo, useRef, useState } from "../helpers/html.js";
import { count } from "../helpers/format.js";
import { markPattern, withTerm } from "../helpers/language.js";
import { idOf } from "../helpers/record.js";
import { Tail } from "../models/tail.js";
import { Line, columnsFor } from "./line.js";
import { parts } from "../helpers/times.js";
import { QueryBar } from "./querybar.js";
import { useRowKeys } from "./rowkeys.js";

const AT_END_PIXELS = 40;

export function Live({ place, go, zone }) {
  const [tail, setTail] = useState(null);
  const [, redraw] = useState(0);
  const [open, setOpen] = useState("");
  const [chosen, setChosen] = useState("");
  const list = useRef(null);
  const top = useRef(0);
  const pattern = useMemo(() => markPattern(place.q), [place.q]);
  useEffect(() => {
    const opened = new Tail(place.q, () => redraw((old) => old + 1));
    setTail(opened);
    return () => opened.close();
  }, [place.q]);
  const paused = tail?.paused;
  // Only for new lines: a reader who has just begun to scroll is not pulled back.
  useEffect(() => {
    if (list.current && !paused) list.current.scrollTop = list.current.scrollHeight;
  }, [tail?.rows, paused]);
  const wheeled = (event) => event.deltaY < 0 && tail.pause();
  // Up pauses at once; down to the end goes on.
  const scrolled = () => {
    // The last event may come when the list is gone.
    if (!list.current) return;
    const { scrollTop, scrollHeight, clientHeight } = list.current;
    const atEnd = scrollHeight - scrollTop - clientHeight < AT_END_PIXELS;
    const isDown = scrollTop > top.current;
    top.current = scrollTop;
    if (!isDown && !atEnd) tail.pause();
    else if (isDown && atEnd && tail.pausedByScroll) tail.resume();
  };
  const add = (asked, excluded, changes) => go(changes ? { view: "explore", ...changes } : { q: withTerm(place.q, asked, excluded) });
  const rows = tail?.rows || [];
  const found = paused ? rows.findIndex((record) => idOf(record) === chosen) : -1;
  const current = found < 0 ? rows.length - 1 : found;
  const choose = (next) => {
    tail.pause();
    if (rows[next]) setChosen(idOf(rows[next]));
  };
  const toggle = (record) => {
    tail.pause();
    setOpen(open === idOf(record) ? "" : idOf(record));
  };
  const close = () => {
    setOpen("");
    return Boolean(open);
  };
  const keys = useRowKeys({ list, rows, current, choose, toggle, add, close });
  const columns = columnsFor(place, rows);
  const today = parts(Date.now(), zone).day;
  return html`
    <div class="ask"><${QueryBar} text=${place.q} run=${(q) => go({ q })} error=${tail?.error} busy=${false} /></div>
    <p class="facts" role="status">
      <strong>${count(Math.round(tail?.rate || 0))}</strong> lines/s
      ${tail?.sampling && html`<span>more than can be read: one of ${count(tail.oneOf)} is shown</span>`}
      ${tail?.state === "lost" && html`<span class="busy">connection lost, trying again</span>`}
      ${paused && html`<span>paused, ${count(tail.held)} new</span>`}
      <span class="grow"></span>
      <button type="button" aria-pressed=${place.wrap} onClick=${() => go({ wrap: !place.wrap }, { replace: true })}>Wrap</button>
      <button type="button" class=${paused ? "primary" : ""} onClick=${() => (paused ? tail.resume() : tail.pause(true))}>${paused ? "Resume" : "Pause"}</button>
      <button type="button" onClick=${() => tail.clear()}>Clear</button>
    </p>
    <div id="lines" ref=${list} class=${place.wrap ? "list wrap live" : "list live"} role="grid" aria-label="new lines, newest last" tabindex="0"
      onScroll=${scrolled} onWheel=${wheeled} onKeyDown=${keys}>
      <div class="lines">
        ${rows.map((record, number) => html`
          <${Line} key=${idOf(record)} ...${{ record, number, pattern, zone, add, place, today }} columns=${columns}
            open=${open === idOf(record)} current=${number === current} toggle=${() => { choose(number); toggle(record); }} />`)}
      </div>
      ${!rows.length && html`<p class="quiet">${tail?.state === "begin" ? "Searching" : `Waiting for new lines${place.q ? " that match" : ""}.`}</p>`}
    </div>`;
}
