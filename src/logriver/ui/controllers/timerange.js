// The time range: relative ones by a click, absolute ones typed, a zone, and zooming out.

import { html, useEffect, useRef, useState } from "../helpers/html.js";
import { RANGES, fromTyped, rangeLabel, toMs } from "../helpers/times.js";

// The same middle, three times as long.
export function zoomedOut(from, to) {
  const end = toMs(to) ?? Date.now();
  const start = toMs(from);
  if (start === null) return { from: "", to: "" };
  const span = Math.max(end - start, 1000);
  const later = end + span;
  return {
    from: new Date(start - span).toISOString(),
    to: later >= Date.now() ? "" : new Date(later).toISOString(),
  };
}

export function shifted(from, to, steps) {
  const end = toMs(to) ?? Date.now();
  const start = toMs(from);
  if (start === null) return null;
  const by = (steps * (end - start)) / 2;
  return { from: new Date(start + by).toISOString(), to: new Date(end + by).toISOString() };
}

export function TimeRange({ from, to, zone, change }) {
  const [open, setOpen] = useState(false);
  const [typed, setTyped] = useState({ from, to });
  const [wrong, setWrong] = useState("");
  const box = useRef(null);
  useEffect(() => {
    if (!open) return undefined;
    (box.current.querySelector("[aria-pressed=true]") || box.current.querySelector(".popup button")).focus();
    const outside = (event) => box.current?.contains(event.target) || setOpen(false);
    addEventListener("pointerdown", outside);
    return () => removeEventListener("pointerdown", outside);
  }, [open]);
  // Not in an effect, which may come after the first key that is typed.
  const toggle = () => {
    setTyped({ from, to });
    setWrong("");
    setOpen(!open);
  };
  const choose = (range) => {
    setOpen(false);
    change(range);
  };
  const apply = (event) => {
    event.preventDefault();
    const range = { from: fromTyped(typed.from, zone), to: fromTyped(typed.to, zone) };
    if (range.from === null || range.to === null) setWrong("A time is like 2023-09-15 08:00, 15m, now-1h or an epoch");
    else {
      setWrong("");
      choose(range);
    }
  };
  const keys = (event) => {
    if (event.key !== "Escape" || !open) return;
    setOpen(false);
    box.current.querySelector("#range").focus();
    event.stopPropagation();
  };
  return html`
    <div class="range" ref=${box} onKeyDown=${keys}>
      <button type="button" id="range" aria-expanded=${open} aria-haspopup="dialog" onClick=${toggle}>
        ${rangeLabel(from, to, zone)}</button>
      <button type="button" title="zoom out" aria-label="zoom out" onClick=${() => change(zoomedOut(from, to))}>−</button>
      ${open && html`
        <div class="popup" role="dialog" aria-label="time range">
          <div class="presets">${RANGES.map(([value, name]) => html`
            <button type="button" aria-pressed=${from === value && !to} onClick=${() => choose({ from: value, to: "" })}>${name}</button>`)}
          </div>
          <form onSubmit=${apply}>
            <label>From <input value=${typed.from} placeholder="Begin" onInput=${(e) => setTyped({ ...typed, from: e.target.value })} /></label>
            <label>To <input value=${typed.to} placeholder="Now" onInput=${(e) => setTyped({ ...typed, to: e.target.value })} /></label>
            <button class="primary">Apply</button>
            ${wrong && html`<p class="wrong" role="alert">${wrong}</p>`}
            <p class="quiet">Times without a zone are ${zone === "UTC" ? "UTC" : "local"}.</p>
          </form>
        </div>`}
    </div>`;
}
