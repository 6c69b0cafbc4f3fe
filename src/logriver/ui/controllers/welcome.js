// The first visit: nothing is stored yet. Teaches how to send some, and takes what is pasted or dropped.

import { html, useState } from "../helpers/html.js";
import { address, post } from "../models/api.js";

const MOST_BYTES = 30_000_000;

// What begins like a value of JSON and is one goes as it is; anything else is lines, as in a file of this machine.
function asked(text) {
  const wait = "searchable";
  if (isJson(text.trimStart())) return { wait };
  return { wait, format: "auto", multiline: "indent", zone: Intl.DateTimeFormat().resolvedOptions().timeZone };
}

function isJson(text) {
  if (text.startsWith("{")) return true;
  if (!text.startsWith("[")) return false;
  try {
    return Boolean(JSON.parse(text));
  } catch {
    return false;
  }
}

export function Welcome({ refresh, go }) {
  const [text, setText] = useState("");
  const [said, setSaid] = useState("");
  const [over, setOver] = useState(false);
  const send = async (content) => {
    if (!content.trim()) return;
    setSaid("sending");
    try {
      const answer = await post(address("/api/v1/logs", asked(content)), content);
      setSaid(`${answer.accepted} taken, ${answer.rejected} refused${answer.errors[0] ? `: ${answer.errors[0].reason}` : ""}`);
      go({ from: "" });
      refresh();
    } catch (error) {
      setSaid(`not taken: ${error.message}`);
    }
  };
  const sendFile = async (file) => {
    if (!file) return;
    if (file.size > MOST_BYTES) setSaid(`${file.name} is too large for a page: logriver send ${file.name}`);
    else send(await file.text());
  };
  // Anywhere: a browser would leave the page for a file that is dropped beside the box.
  const drag = (event) => {
    event.preventDefault();
    setOver(event.type === "dragover");
    if (event.type === "drop") sendFile(event.dataTransfer.files[0]);
  };
  const here = location.origin;
  return html`
    <section class="narrow welcome" onDragOver=${drag} onDragLeave=${drag} onDrop=${drag}>
      <h1>No logs yet</h1>
      <p>Send some, in whatever way suits you. This page shows them as soon as they are there.</p>
      <h2>From a terminal</h2>
      <pre class="code">curl ${here}/api/v1/logs <span class="joined">-d '{"level":"info","message":"hello"}'</span></pre>
      <h2>From a program's output</h2>
      <pre class="code">kubectl logs my-pod -f | logriver send <span class="joined">--server ${here}</span></pre>
      <h2>From files that grow</h2>
      <pre class="code">logriver serve <span class="joined">--follow /var/log/syslog</span></pre>
      <h2>From here</h2>
      <div class=${over ? "drop over" : "drop"}>
        <label for="paste">Paste lines or JSON, or drop a file</label>
        <textarea id="paste" rows="5" value=${text} onInput=${(event) => setText(event.target.value)}></textarea>
        <p class="sending">
          <button type="button" class="primary" disabled=${!text.trim()} onClick=${() => send(text)}>Send</button>
          <label>or a file <input type="file" onChange=${(event) => sendFile(event.target.files[0])} /></label>
        </p>
        <p role="status">${said}</p>
      </div>
    </section>`;
}
