// The search box: completion while one types, history, the error under the text where it went wrong.

import { html, useLayoutEffect, useRef, useState } from "../helpers/html.js";
import { ask } from "../models/api.js";
import * as memory from "../models/memory.js";

const PAUSE_MS = 120;
const EXCERPT_CHARACTERS = 24;

// Completions for the text at the caret, or the history for an empty box. Late answers to older texts are dropped.
function useCompletion() {
  const [found, setFound] = useState(null);
  const control = useRef(null);
  const close = () => {
    control.current?.abort();
    setFound(null);
  };
  const complete = (text, at) => {
    control.current?.abort();
    if (!text.trim()) {
      const items = memory.history().slice(0, 10).map((one) => ({ text: one, detail: "before" }));
      setFound(items.length ? { start: 0, end: text.length, items, text, whole: true } : null);
      return;
    }
    const mine = (control.current = new AbortController());
    setTimeout(async () => {
      if (mine.signal.aborted) return;
      try {
        const answer = await ask("/api/v1/suggest", { q: text, at }, mine.signal);
        if (!mine.signal.aborted) setFound(answer.items.length ? { ...answer, text } : null);
      } catch {
        // Completion is a help: where it fails, people type on.
        if (!mine.signal.aborted) setFound(null);
      }
    }, PAUSE_MS);
  };
  return [found, complete, close];
}

export function QueryBar({ text, run, error, busy, cancel }) {
  const [draft, setDraft] = useState(text);
  const [chosen, setChosen] = useState(-1);
  const [found, complete, close] = useCompletion();
  const box = useRef(null);
  // Before the next key: an effect may come after it.
  useLayoutEffect(() => setDraft(text), [text]);
  const submit = (wanted = draft) => {
    close();
    setChosen(-1);
    memory.remember(wanted);
    run(wanted.trim());
  };
  const typed = (event) => {
    setDraft(event.target.value);
    setChosen(-1);
    complete(event.target.value, event.target.selectionStart);
  };
  const take = (item) => {
    const next = draft.slice(0, found.start) + item.text + draft.slice(found.end);
    const at = found.start + item.text.length;
    setDraft(next);
    setChosen(-1);
    requestAnimationFrame(() => {
      box.current.focus();
      box.current.setSelectionRange(at, at);
      if (/[:(|\s]$/.test(item.text)) complete(next, at);
      else close();
    });
  };
  const keys = (event) => {
    // What was found for an older text is still shown, and no longer taken.
    const items = found?.text === draft ? found.items : [];
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      if (chosen >= 0 && items[chosen]) found.whole ? submit(items[chosen].text) : take(items[chosen]);
      else submit();
    } else if (event.key === "Tab" && items.length && !event.shiftKey) {
      event.preventDefault();
      take(items[Math.max(chosen, 0)]);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!items.length) complete(draft, event.target.selectionStart);
      else setChosen((chosen + (event.key === "ArrowDown" ? 1 : items.length)) % items.length);
    } else if (event.key === "Escape") {
      if (items.length) close();
      else document.querySelector("#lines")?.focus();
    }
  };
  const position = error?.position;
  return html`
    <form class="querybar" role="search" onSubmit=${(event) => { event.preventDefault(); submit(); }}>
      <div class="box">
        <label class="hidden" for="query">Search</label>
        <textarea id="query" ref=${box} rows="1" value=${draft} spellcheck=${false} autocomplete="off" autocapitalize="off"
          placeholder=${'level:error "connection refused"'} role="combobox" aria-autocomplete="list"
          aria-expanded=${Boolean(found)} aria-controls="completions" aria-invalid=${Boolean(error)}
          aria-activedescendant=${chosen >= 0 ? `completion-${chosen}` : null} aria-describedby=${error ? "query-error" : null}
          onInput=${typed} onKeyDown=${keys} onBlur=${close}
          onFocus=${(event) => !draft && complete("", event.target.selectionStart)}></textarea>
        ${found && html`
          <ul id="completions" role="listbox" aria-label="completions" aria-busy=${found.text !== draft}>
            ${found.items.map((item, number) => html`
              <li id=${`completion-${number}`} role="option" aria-selected=${number === chosen}
                onPointerDown=${(event) => { event.preventDefault(); found.whole ? submit(item.text) : take(item); }}>
                <code>${item.text}</code> <small>${item.detail}</small></li>`)}
          </ul>`}
        ${error && error.status === 400 && html`
          <div id="query-error" class="query-error" role="alert">
            ${position !== null && position !== undefined && html`<${Caret} text=${draft} position=${position} box=${box.current} />`}
            <p>${error.message}${error.hint && html`. <em>${error.hint}</em>`}</p>
          </div>`}
      </div>
      ${/* Two buttons: one that turns into the other under the finger would send the form. */ busy
        ? html`<button key="cancel" type="button" class="run" onClick=${cancel}>Cancel</button>`
        : html`<button key="search" class="run primary">Search</button>`}
    </form>`;
}

// Under the place where it went wrong; of a text of several lines that place is shown again.
function Caret({ text, position, box }) {
  const isOneLine = box.scrollHeight < 2 * parseFloat(getComputedStyle(box).lineHeight) + 12 && !text.includes("\n");
  const from = isOneLine ? 0 : Math.max(0, position - EXCERPT_CHARACTERS);
  const excerpt = text.slice(from, position + EXCERPT_CHARACTERS / 2).replace(/\n/g, " ");
  return html`
    <pre aria-hidden="true" class=${isOneLine ? "" : "excerpt"}>${isOneLine ? "" : `${excerpt}\n`}${text.slice(from, position).replace(/[^\t]/g, " ")}^</pre>`;
}
