// The form for the token. The server sets a cookie that no script can read, and leads back here.

import { html } from "../helpers/html.js";

export function Login() {
  const next = encodeURIComponent(location.pathname + location.search);
  return html`
    <main class="narrow login">
      <h1>Log in to Logriver</h1>
      <p>This server needs its token. It was printed when the server first started.</p>
      <form method="post" action=${`/login?next=${next}`}>
        <label>Token <input type="password" name="token" autocomplete="current-password" required autofocus /></label>
        <button class="primary">Log in</button>
      </form>
    </main>`;
}
