// The keys, and where to read more.

import { html } from "../helpers/html.js";
import { Dialog } from "./dialog.js";

const KEYS = [
  ["/", "to the search box"], ["Enter", "search; in the list: open the line"], ["↑ ↓ or j k", "from line to line"],
  ["o", "open or close the line"], ["i x", "only lines with this level, lines without it; in an open line: with the field that has the focus"], ["t", "time range"],
  ["l", "live"], ["[ ]", "earlier and later"], ["w", "wrap long lines"], ["Esc", "close, back to the list"], ["?", "this list"],
];

export function Help({ close }) {
  return html`
    <${Dialog} title="Keys" close=${close}>
      <dl class="keys">${KEYS.map(([key, does]) => html`<dt>${key.split(" ").map((one) => (one === "or" ? "or " : html`<kbd>${one}</kbd> `))}</dt><dd>${does}</dd>`)}</dl>
      <p>Search: <code>word</code>, <code>"a phrase"</code>, <code>level:error</code>, <code>status:>=500</code>, <code>host:web*</code>, <code>-debug</code>, <code>a OR b</code>, <code>| stats count() by service</code>.
        All calls: <a href="/docs">/docs</a>.</p>
    <//>`;
}
