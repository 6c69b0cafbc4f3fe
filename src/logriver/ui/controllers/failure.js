// An error where it happened, in words, with what to do.

import { html } from "../helpers/html.js";

export function Failure({ error, again }) {
  // What is wrong with the search text is said under it, once.
  if (!error || error.code === "bad_query") return null;
  return html`
    <div class="failure" role="alert">
      <p>${error.message}${error.hint && html`: ${error.hint}`}</p>
      ${again && html`<button type="button" onClick=${again}>Ask again</button>`}
    </div>`;
}
