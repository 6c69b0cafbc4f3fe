// The followed files: what is held of each, what is missing, how far behind it is.

import { html } from "../helpers/html.js";
import { bytes, count } from "../helpers/format.js";
import { term } from "../helpers/language.js";
import { dayAndClock } from "../helpers/times.js";
import { usePolled } from "../models/answer.js";
import { Failure } from "./failure.js";

const POLL_SECONDS = 3;

export function Sources({ go, zone }) {
  const answer = usePolled("/api/v1/sources", POLL_SECONDS);
  const sources = answer.data?.sources || [];
  return html`
    <section class="wide">
      <h1>Sources</h1>
      <${Failure} error=${answer.error} />
      ${answer.data && !sources.length && html`
        <p class="quiet">No file is followed. <code>logriver serve --follow /var/log/syslog</code> follows one.</p>`}
      ${sources.length > 0 && html`
        <div class="scroll" tabindex="0" role="region" aria-label="followed files"><table class="figures">
          <thead><tr><th scope="col">file</th><th scope="col">format</th><th scope="col" class="number">held</th>
            <th scope="col" class="number">behind</th><th scope="col" class="number">gaps</th><th scope="col">last event</th><th scope="col">problem</th></tr></thead>
          <tbody>${sources.map((source) => html`
            <tr key=${source.path}>
              <td><button type="button" class="plain" title="its lines" onClick=${() => go({ view: "explore", q: term("_source", source.path) })}>${source.path}</button></td>
              <td>${source.format || ""}</td>
              <td class="number">${bytes(source.held_bytes)}</td>
              <td class="number">${bytes(source.lag_bytes)}</td>
              <td class="number">${count(source.gaps.length)}</td>
              <td>${source.last_event ? dayAndClock(source.last_event, zone) : ""}</td>
              <td class=${source.error ? "wrong" : ""}>${source.error}</td>
            </tr>`)}</tbody>
        </table></div>`}
    </section>`;
}
