// What the server does: what waits, what is stored, what retention removed, and what could not be stored.

import { html, useState } from "../helpers/html.js";
import { count, duration } from "../helpers/format.js";
import { visible } from "../helpers/record.js";
import { dayAndClock } from "../helpers/times.js";
import { post } from "../models/api.js";
import { usePolled } from "../models/answer.js";
import { Failure } from "./failure.js";
import { EVERYTHING, linkTo } from "./link.js";

const POLL_SECONDS = 1;
const SHOWN_CHARACTERS = 2_000;

export function Status({ place, go, zone }) {
  const answer = usePolled("/api/v1/status", POLL_SECONDS);
  const status = answer.data;
  const to = (changes) => linkTo(place, go, changes);
  return html`
    <section class="wide">
      <h1>Status</h1>
      <${Failure} error=${answer.error} />
      ${status && html`
        <dl class="tiles">
          ${tile("Stored", count(status.stored), "records that can be found", to(EVERYTHING))}
          ${tile("Waiting", count(status.waiting), waiting(status), to({ ...EVERYTHING, view: "live" }))}
          ${tile("Accepted", rate(status.accepted_per_second), "put on disk", to({ ...EVERYTHING, view: "live" }))}
          ${tile("Made searchable", rate(status.stored_per_second), "those of the last 5 minutes", to({ ...EVERYTHING, from: "5m" }))}
          ${tile("Removed", count(status.removed_by_retention), "by retention", to({ view: "sources" }))}
          ${tile("Dead letters", count(status.dead_letters), "taken and could not be stored", { href: "#dead-letters" })}
        </dl>
        <h2>Problems</h2>
        ${status.problems.length
          ? html`<ul class="problems">${status.problems.map((problem) => html`<li>${problem}</li>`)}</ul>`
          : html`<p class="quiet">None.</p>`}
        <${Damage} zone=${zone} />
        <${DeadLetters} held=${status.dead_letters} zone=${zone} />`}
    </section>`;
}

const rate = (number) => `${count(Math.round(number))}/s`;
const waiting = (status) => (status.waiting ? `on disk, the oldest for ${duration(1000 * status.oldest_waiting_seconds)}` : "on disk, not yet searchable");
const tile = (name, value, what, link) => html`<div><dt>${name}</dt><dd><a ...${link}>${value}</a><small>${what}</small></dd></div>`;

// Nothing is shown of it where there is none: that is the usual case.
function Damage({ zone }) {
  const answer = usePolled("/api/v1/damage", 5);
  const [failure, setFailure] = useState("");
  const found = answer.data?.damage || [];
  const acknowledge = async (id) => {
    try {
      await post(`/api/v1/damage/${encodeURIComponent(id)}/acknowledge`);
      setFailure("");
    } catch (error) {
      setFailure(error.message);
    }
    answer.again();
  };
  return html`
    <${Failure} error=${answer.error} />
    ${found.length > 0 && html`
      <h2 id="damage">Damage to the log</h2>
      <ul class="dead-letters">${found.map((damage) => html`
        <li key=${damage.id}>
          <p><strong>${damage.loss}</strong> <small>${damage.file} ${dayAndClock(damage.found, zone)}</small></p>
          <p>${damage.what}${damage.last_seq ? `, records ${damage.first_seq} to ${damage.last_seq}` : ""}</p>
          <button type="button" onClick=${() => acknowledge(damage.id)}>Acknowledge</button>
        </li>`)}
      </ul>
      <p role="status">${failure}</p>`}`;
}

function DeadLetters({ held, zone }) {
  const answer = usePolled("/api/v1/dead-letters", 5);
  const [said, setSaid] = useState({});
  const letters = answer.data?.dead_letters || [];
  const replay = async (id) => {
    try {
      await post(`/api/v1/dead-letters/${encodeURIComponent(id)}/replay`);
      setSaid({ ...said, [id]: "stored" });
    } catch (error) {
      setSaid({ ...said, [id]: error.message });
    }
    answer.again();
  };
  return html`
    <h2 id="dead-letters">Dead letters</h2>
    <${Failure} error=${answer.error} />
    ${!held && !letters.length && html`<p class="quiet">None.</p>`}
    <ul class="dead-letters">${letters.map((letter) => html`
      <li key=${letter.id}>
        <p><strong>${letter.reason}</strong> <small>${letter.source} ${dayAndClock(letter.received, zone)}</small></p>
        <pre>${visible(letter.raw.slice(0, SHOWN_CHARACTERS))}</pre>
        <button type="button" onClick=${() => replay(letter.id)}>Replay</button> <span role="status">${said[letter.id] || ""}</span>
      </li>`)}
    </ul>`;
}
