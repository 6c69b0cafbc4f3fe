// The agents: who follows files on other machines into this server, and who was there and is gone.

import { html } from "../helpers/html.js";
import { count } from "../helpers/format.js";
import { dayAndClock } from "../helpers/times.js";
import { usePolled } from "../models/answer.js";

const POLL_SECONDS = 5;

export function Agents({ zone }) {
  const agents = usePolled("/api/v1/agents", POLL_SECONDS).data?.agents || [];
  if (!agents.length) return null;
  return html`
    <h2>Agents</h2>
    <div class="scroll" tabindex="0" role="region" aria-label="agents"><table class="figures agents">
      <thead><tr><th scope="col">name</th><th scope="col">machine</th><th scope="col">state</th><th scope="col">last seen</th>
        <th scope="col" class="number">files</th><th scope="col">version</th></tr></thead>
      <tbody>${agents.map((agent) => html`
        <tr key=${agent.name}>
          <td>${agent.name}</td>
          <td>${agent.host}</td>
          <td class=${agent.connected ? "" : "wrong"}>${agent.connected ? "connected" : "gone"}</td>
          <td>${dayAndClock(agent.last_seen, zone)}</td>
          <td class="number">${agent.connected ? count(agent.sources.length) : ""}</td>
          <td>${agent.version}</td>
        </tr>`)}</tbody>
    </table></div>`;
}
