// The fields of what was found, with types and shares; one opens to its top values, a click includes or excludes.

import { html, useState } from "../helpers/html.js";
import { count, percent } from "../helpers/format.js";
import { term } from "../helpers/language.js";
import { useCall } from "../models/answer.js";
import { questionsFor } from "../models/questions.js";
import { Failure } from "./failure.js";

const FIRST = ["level", "service", "host"];
const SHOWN = 10;
const MOST_SHOWN = 1_000;

// `wanted` once the lines are there: they are what people wait for, and must not share the engine.
export function FieldList({ params, wanted, add, columns, setColumns, group, run }) {
  const answer = useCall("/api/v1/fields", params, wanted);
  const [open, setOpen] = useState(() => new Set(["level"]));
  const [part, setPart] = useState("");
  const toggle = (name) => setOpen((old) => {
    const next = new Set(old);
    if (!next.delete(name)) next.add(name);
    return next;
  });
  const fields = (answer.data?.fields || []).filter(({ name }) => name !== "message" && name !== "timestamp");
  const place = ({ name }) => (FIRST.includes(name) ? FIRST.indexOf(name) : name.startsWith("_") ? 1000 : 100);
  const shown = fields
    .filter(({ name }) => name.toLowerCase().includes(part.toLowerCase()))
    .sort((a, b) => place(a) - place(b) || b.share - a.share || a.name.localeCompare(b.name));
  return html`
    <aside class="fields" aria-label="fields">
      ${fields.length > 0 && html`
        <ul class="questions" aria-label="questions to begin with">${questionsFor(new Set(fields.map(({ name }) => name))).map(([title, , question]) => html`
          <li><button type="button" title=${question(params.q)} onClick=${() => run(question(params.q))}>${title}</button></li>`)}</ul>`}
      <label class="hidden" for="field-filter">Find a field</label>
      <input id="field-filter" type="search" placeholder="Find a field" value=${part} onInput=${(e) => setPart(e.target.value)} />
      <${Failure} error=${answer.error} again=${answer.again} />
      <ul class=${answer.loading || answer.error ? "dimmed" : ""}>
        ${shown.map((field) => html`
          <li key=${field.name}>
            <button type="button" class="field" aria-expanded=${open.has(field.name)} onClick=${() => toggle(field.name)}
              title=${`${[field.type || field.types].flat().join(", ")}, in ${percent(field.share)} of the lines`}>
              <span class="name">${field.name}</span> <small>${percent(field.share)}</small></button>
            ${open.has(field.name) && html`
              <${Values} name=${field.name} ...${{ params, wanted, add }} />
              <p class="actions">
                <button type="button" aria-pressed=${columns.includes(field.name)} onClick=${() => setColumns(
                  columns.includes(field.name) ? columns.filter((one) => one !== field.name) : [...columns, field.name])}>
                  Column</button>
                <button type="button" onClick=${() => group(field.name)}>Count by it</button>
                <button type="button" onClick=${() => add(`${term(field.name, "x").replace(/x$/, "")}*`)}>Has it</button>
              </p>`}
          </li>`)}
      </ul>
    </aside>`;
}

function Values({ name, params, wanted, add }) {
  const [limit, setLimit] = useState(SHOWN);
  const answer = useCall(`/api/v1/fields/${encodeURIComponent(name)}/values`, { ...params, limit }, wanted);
  const values = answer.data?.values || [];
  const more = answer.data ? answer.data.distinct - values.length : 0;
  const most = Math.max(1, ...values.map((value) => value.count));
  if (answer.error && answer.error.status !== 400) return html`<${Failure} error=${answer.error} again=${answer.again} />`;
  if (!answer.data) return html`<p class="quiet">Searching</p>`;
  return html`
    <ul class=${answer.loading ? "values dimmed" : "values"}>
      ${values.map(({ value, count: number }) => {
        const asked = term(name, value);
        const text = value === "" ? "(empty)" : String(value);
        return html`
          <li class=${name === "level" ? `level-${text}` : ""}>
            <button type="button" class="value" title=${`only ${name} ${text}`} disabled=${!asked} onClick=${() => add(asked)}>
              <span class="bar"><svg aria-hidden="true"><rect width=${`${(100 * number) / most}%`} height="100%" /></svg></span>
              <span class="text">${text}</span> <small>${count(number)}</small></button>
            <button type="button" class="not" title=${`without ${name} ${text}`} aria-label=${`without ${name} ${text}`}
              disabled=${!asked} onClick=${() => add(asked, true)}>−</button>
          </li>`;
      })}
      ${!values.length && html`<li class="quiet">No values</li>`}
      ${more > 0 && html`<li>${values.length < MOST_SHOWN
        ? html`<button type="button" class="more" onClick=${() => setLimit(limit * 10)}>+ ${count(more)} more</button>`
        : html`<span class="quiet">and ${count(more)} more: a search finds them</span>`}</li>`}
    </ul>`;
}
