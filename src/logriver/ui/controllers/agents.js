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
      <thead><tr><th scope="col">Name</th><th scope="col">Machine</th><th scope="col">State</th><th scope="col">Last seen</th>
        <th scope="col" class="number">Files</th><th scope="col">Version</th></tr></thead>
      <tbody>${agents.map((agent) => html`
        <tr key=${agent.name}>
          <td>${agent.name}</td>
          <td data-label="Machine">${agent.host}</td>
          <td data-label="State" class=${agent.connected ? "" : "wrong"}>${agent.connected ? "connected" : "gone"}</td>
          <td data-label="Last seen">${dayAndClock(agent.last_seen, zone)}</td>
          <td data-label="Files" class="number">${agent.connected ? count(agent.sources.length) : ""}</td>
          <td data-label="Version">${agent.version}</td>
        </tr>`)}</tbody>
    </table></div>`;
}
