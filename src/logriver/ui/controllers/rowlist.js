// The list of lines: a bounded window of pages, endless in both directions, that keeps its place.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../helpers/html.js";
import { count } from "../helpers/format.js";
import { markPattern } from "../helpers/language.js";
import { idOf } from "../helpers/record.js";
import { parts } from "../helpers/times.js";
import { ask } from "../models/api.js";
import { PAGE_ROWS, Pages, keep, keptAt } from "../models/pages.js";
import { Failure } from "./failure.js";
import { Line, columnsFor } from "./line.js";
import { useRowKeys } from "./rowkeys.js";

const ASK_NEWER_SECONDS = 5;

// Loads pages as the reader comes near either end. `params` is the question; a new one begins anew.
function usePages(params, visit, report) {
  const pages = useRef(null);
  const [, redraw] = useState(0);
  const [state, setState] = useState({ loading: true, error: null });
  const control = useRef(null);
  const load = async (direction, of = pages.current) => {
    if (of.loading) return;
    of.loading = true;
    setState({ loading: true, error: null });
    try {
      await (direction === "next" ? of.loadNext(control.current.signal) : of.loadPrevious(control.current.signal));
      // A question that was replaced meanwhile has nothing to say.
      if (of.control !== control.current) return;
      pages.current = of;
      setState({ loading: false, error: null });
      report({ answer: of.answer, loading: false, error: null });
      redraw((old) => old + 1);
    } catch (error) {
      if (of.control !== control.current) return;
      const seen = error.name === "AbortError" ? null : error;
      setState({ loading: false, error: seen });
      report({ loading: false, error: seen, cancelled: !seen });
    } finally {
      of.loading = false;
    }
  };
  const key = JSON.stringify(params);
  const question = JSON.stringify([params.q, params.from, params.to]);
  const at = useRef(null);
  useLayoutEffect(() => {
    control.current = new AbortController();
    const mine = control.current;
    // Asked again at the same place, it is asked anew.
    const seen = visit !== at.current && keptAt(visit, question);
    at.current = visit;
    if (seen) {
      Object.assign(seen.pages, { control: mine, key });
      pages.current = seen.pages;
      setState({ loading: false, error: null });
      report({ answer: seen.pages.answer, loading: false, error: null, cancelled: false });
      return () => mine.abort();
    }
    const fresh = new Pages(params);
    Object.assign(fresh, { control: mine, key });
    report({ loading: true, cancel: () => mine.abort() });
    load("next", fresh);
    return () => mine.abort();
  }, [key, visit]);
  return { pages: pages.current, ...state, load, key, question };
}

export function RowList({ params, place, go, zone, report, add, hover, marked }) {
  const { pages, loading, error, load, key, question } = usePages(params, place.visit, report);
  const [current, setCurrent] = useState(0);
  const [fresh, setFresh] = useState(0);
  const list = useRef(null), top = useRef(null), bottom = useRef(null);
  const rows = pages ? pages.held : [];
  const pattern = useMemo(() => markPattern(params.q || ""), [params.q]);
  const anchor = useRef(null);

  useEffect(() => {
    const watch = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting || !pages) continue;
        if (target === bottom.current && !pages.ended) load("next");
        if (target === top.current && pages.hasEarlier) load("previous");
      }
    }, { root: list.current, rootMargin: "600px" });
    if (top.current) watch.observe(top.current);
    if (bottom.current) watch.observe(bottom.current);
    return () => watch.disconnect();
  }, [pages, rows.length, pages?.first]);

  // Another question begins at its top, the same one keeps its place, and one that is come back to has the one it had.
  useLayoutEffect(() => {
    if (!pages) return;
    const wanted = anchor.current;
    anchor.current = null;
    const seen = keptAt(place.visit, question);
    if (seen?.pages === pages) {
      list.current.scrollTop = seen.top;
      setCurrent(seen.current);
      return;
    }
    keep(place.visit, { question, pages, top: 0, current: 0 });
    const same = wanted ? rows.findIndex((record) => idOf(record) === wanted.id) : -1;
    setCurrent(Math.max(0, same));
    if (same < 0) list.current.scrollTop = 0;
    else {
      const line = list.current.querySelectorAll(".lines > .line")[same];
      list.current.scrollTop += line.getBoundingClientRect().top - wanted.top;
    }
  }, [pages]);
  // For another range of the same question: the line that is the first to be seen now.
  const asked = useRef(params.q);
  useLayoutEffect(() => {
    const edge = list.current?.getBoundingClientRect().top;
    const first = list.current?.scrollTop > 0
      && [...list.current.querySelectorAll(".lines > .line")].find((line) => line.getBoundingClientRect().bottom > edge);
    anchor.current = first && asked.current === params.q ? { id: first.dataset.id, top: first.getBoundingClientRect().top } : null;
    asked.current = params.q;
  }, [question]);
  const scrolled = () => {
    const seen = keptAt(place.visit, question);
    // The last event may come when the list is gone.
    if (seen?.pages === pages && list.current) Object.assign(seen, { top: list.current.scrollTop, current });
  };
  useEffect(() => {
    if (list.current) scrolled();
  }, [current]);

  // New lines are counted and only shown when the reader wants them.
  useEffect(() => {
    setFresh(0);
    if (!pages?.newer || params.to) return undefined;
    const timer = setInterval(async () => {
      if (document.hidden) return;
      try {
        const answer = await ask("/api/v1/search", { ...pages.params, cursor: pages.newer, limit: 1000 });
        setFresh(answer.rows.length);
      } catch {
        // The header says when the server is away; the list stays as it is.
      }
    }, ASK_NEWER_SECONDS * 1000);
    return () => clearInterval(timer);
  }, [pages]);

  const toggle = (record) => go({ open: place.open === idOf(record) ? "" : idOf(record) }, { replace: true });
  const close = () => {
    if (place.open) go({ open: "" }, { replace: true });
    return Boolean(place.open);
  };
  const keys = useRowKeys({ list, rows, current, choose: setCurrent, toggle, add, close });

  if (error && error.status !== 400) return html`<${Failure} error=${error} again=${() => go({ round: Date.now() })} />`;
  const today = parts(Date.now(), zone).day;
  const isMarked = ({ timestamp }) => marked && Date.parse(timestamp) >= marked.from && Date.parse(timestamp) < marked.to;
  // Lines that are still there of the question before are shown as it asked for them.
  const asIs = pages ? { ...place, q: pages.params.q } : place;
  const columns = columnsFor(asIs, rows);
  const numberBefore = pages ? pages.first * PAGE_ROWS : 0;
  return html`
    ${fresh > 0 && html`<button type="button" class="fresh" onClick=${() => go({ round: Date.now() })}>
      ${fresh >= 1000 ? "1,000 or more" : count(fresh)} new ${fresh === 1 ? "line" : "lines"}</button>`}
    <div id="lines" ref=${list} class=${`list${place.wrap ? " wrap" : ""}${pages && pages.key !== key ? " dimmed" : ""}`}
      role="grid" aria-label="lines, newest first" aria-rowcount=${pages?.ended ? numberBefore + rows.length : -1}
      aria-busy=${loading} tabindex="0" onScroll=${scrolled} onKeyDown=${keys} onMouseLeave=${() => hover(null)}>
      <div ref=${top} class="edge"></div>
      <div class="lines">
        ${rows.map((record, number) => html`
          <${Line} key=${idOf(record)} ...${{ record, pattern, zone, hover, add, today }} place=${asIs} number=${numberBefore + number}
            columns=${columns} open=${place.open === idOf(record)} current=${number === current} marked=${isMarked(record)}
            toggle=${() => { setCurrent(number); toggle(record); }} />`)}
      </div>
      <div ref=${bottom} class="edge">${loading ? "Searching" : pages?.ended && rows.length ? "That is all" : ""}</div>
    </div>`;
}
