// Templates of messages with their counts; a click finds the lines of one.

import { html, useEffect, useState } from "../helpers/html.js";
import { count } from "../helpers/format.js";
import { answerKind, split } from "../helpers/language.js";
import { dayAndClock } from "../helpers/times.js";
import { useCall, useLate } from "../models/answer.js";
import { Failure } from "./failure.js";
import { QueryBar } from "./querybar.js";
import { TimeRange } from "./timerange.js";
import { visible } from "../helpers/record.js";

export function Patterns({ params, report, go, zone }) {
  // Pipes of rows and tables have no meaning here; a limit beside `| patterns` has.
  const q = answerKind(params.q) === "patterns" ? params.q : split(params.q)[0];
  const answer = useCall("/api/v1/patterns", { ...params, q });
  useEffect(() => {
    report?.({ answer: answer.data, loading: answer.loading, error: answer.error, cancel: answer.cancel });
  }, [answer.data, answer.loading, answer.error]);
  if (answer.error && answer.error.status !== 400) return html`<${Failure} error=${answer.error} again=${answer.again} />`;
  if (!answer.data) return answer.loading && html`<p class="quiet">Searching</p>`;
  const { patterns, sampled } = answer.data;
  const most = Math.max(1, ...patterns.map((pattern) => pattern.count));
  return html`
    <div class=${answer.loading ? "patterns dimmed" : "patterns"}>
      ${sampled && html`<p class="quiet">Counts are estimated from a sample.</p>`}
      ${!patterns.length && html`<p class="quiet">No lines in this range.</p>`}
      <ol>${patterns.map((pattern) => html`
        <li key=${pattern.pattern}>
          <button type="button" class="plain pattern" disabled=${!pattern.query} title="its lines"
            onClick=${() => go({ view: "explore", q: pattern.query })}>
            <svg aria-hidden="true" class="bar"><rect width=${`${(100 * pattern.count) / most}%`} height="100%" /></svg>
            <span class="number">${count(pattern.count)}</span>
            <code>${visible(pattern.pattern)}</code></button>
          <details><summary>Example</summary>
            <div><pre>${visible(pattern.example)}</pre>
              <p class="quiet">First ${dayAndClock(pattern.first_seen, zone)}, last ${dayAndClock(pattern.last_seen, zone)}</p></div></details>
        </li>`)}
      </ol>
    </div>`;
}

export function PatternsView({ place, go, zone }) {
  const [round, setRound] = useState(0);
  const [outcome, setOutcome] = useState({});
  const isLate = useLate(Boolean(outcome.loading));
  const params = { q: place.q, from: place.from, to: place.to, round };
  return html`
    <div class="ask">
      <${QueryBar} text=${place.q} run=${(q) => (q === place.q ? setRound(round + 1) : go({ q }))} error=${outcome.error} busy=${isLate} cancel=${outcome.cancel} />
      <${TimeRange} from=${place.from} to=${place.to} zone=${zone} change=${go} />
    </div>
    <${Patterns} params=${params} report=${setOutcome} go=${go} zone=${zone} />`;
}
