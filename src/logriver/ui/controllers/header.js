// What is always there: the views, how many logs there are, what waits, and a banner where something is wrong.

import { html } from "../helpers/html.js";
import { count } from "../helpers/format.js";
import { EVERYTHING, linkTo } from "./link.js";

const NAMES = { explore: "Explore", live: "Live", patterns: "Patterns", sources: "Sources", status: "Status" };
const THEME_NAMES = { system: "System theme", light: "Light", dark: "Dark" };
const THEMES = { system: "light", light: "dark", dark: "system" };

export function Header({ place, go, zone, setZone, status, lost, theme, setTheme, showHelp }) {
  const problems = status?.problems || [];
  const view = (name) => linkTo(place, go, { view: name, open: "" });
  return html`
    <a class="skip" href="#main">To the content</a>
    <header class="top">
      <a class="brand" ...${view("explore")}>Logriver</a>
      <nav aria-label="views">
        ${Object.entries(NAMES).map(([name, title]) => html`
          <a ...${view(name)} aria-current=${place.view === name ? "page" : null}>${title}</a>`)}
      </nav>
      <p class="counts">
        ${status && html`<a ...${linkTo(place, go, EVERYTHING)} title="all that can be found">${count(status.stored)} logs</a>
          <a ...${view("status")} title="on disk, not yet searchable">${count(status.waiting)} waiting</a>`}
      </p>
      <button type="button" title="zone in which times are shown" onClick=${() => setZone(zone === "UTC" ? "local" : "UTC")}>
        ${zone === "UTC" ? "UTC" : "Local time"}</button>
      <button type="button" title="light, dark, or as the system has it" onClick=${() => setTheme(THEMES[theme])}>${THEME_NAMES[theme]}</button>
      <button type="button" title="keys (?)" aria-label="keys" onClick=${showHelp}>?</button>
    </header>
    ${lost && html`<p class="banner" role="alert">The server does not answer. It is asked again every two seconds.</p>`}
    ${!lost && problems.length > 0 && html`
      <div class="banner" role="alert">
        ${problems.map((problem) => html`<p>${problem}</p>`)}
        ${place.view !== "status" && html`<a ...${view("status")}>Status</a>`}
      </div>`}
  `;
}
