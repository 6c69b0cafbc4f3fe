// What is always there: the views, how many logs there are, what waits, and a banner where something is wrong.

import { html } from "../helpers/html.js";
import { count } from "../helpers/format.js";

const NAMES = { explore: "Explore", live: "Live", patterns: "Patterns", sources: "Sources", status: "Status" };
const THEMES = { system: "light", light: "dark", dark: "system" };

export function Header({ place, go, zone, setZone, status, lost, theme, setTheme, showHelp }) {
  const problems = status?.problems || [];
  const open = (view) => (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go({ view, open: "" });
  };
  return html`
    <a class="skip" href="#main">To the content</a>
    <header class="top">
      <a class="brand" href="/" onClick=${open("explore")}>Logriver</a>
      <nav aria-label="views">
        ${Object.entries(NAMES).map(([view, name]) => html`
          <a href=${`/?view=${view}`} aria-current=${place.view === view ? "page" : null} onClick=${open(view)}>${name}</a>`)}
      </nav>
      <p class="counts" role="status">
        ${status && html`<span title="records that can be found">${count(status.stored)} logs</span>
          <span title="on disk, not yet searchable">${count(status.waiting)} waiting</span>`}
      </p>
      <button type="button" title="zone in which times are shown" onClick=${() => setZone(zone === "UTC" ? "local" : "UTC")}>
        ${zone === "UTC" ? "UTC" : "local time"}</button>
      <button type="button" title="light, dark, or as the system has it" onClick=${() => setTheme(THEMES[theme])}>${theme === "system" ? "system theme" : theme}</button>
      <button type="button" title="keys (?)" aria-label="keys" onClick=${showHelp}>?</button>
    </header>
    ${lost && html`<p class="banner" role="alert">The server does not answer. It is asked again every two seconds.</p>`}
    ${!lost && problems.length > 0 && html`
      <div class="banner" role="alert">
        ${problems.map((problem) => html`<p>${problem}</p>`)}
        ${place.view !== "status" && html`<a href="/?view=status" onClick=${open("status")}>status</a>`}
      </div>`}
  `;
}
