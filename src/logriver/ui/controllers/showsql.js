// The canonical text of a question, its SQL, and what it would read.

import { html } from "../helpers/html.js";
import { bytes, count } from "../helpers/format.js";
import { useCall } from "../models/answer.js";
import { Dialog } from "./dialog.js";
import { Failure } from "./failure.js";

export function ShowSql({ params, close }) {
  const answer = useCall("/api/v1/explain", params);
  const outcome = answer.data;
  return html`
    <${Dialog} title="What is asked" close=${close}>
      <${Failure} error=${answer.error} />
      ${outcome && html`
        <h3>Search</h3><pre class="code">${outcome.query}</pre>
        <h3>SQL</h3><pre class="code">${outcome.sql}</pre>
        <p class="quiet">It would read ${count(outcome.rows ?? 0)} rows${outcome.bytes ? ` (${bytes(outcome.bytes)})` : ""}.</p>`}
    <//>`;
}
