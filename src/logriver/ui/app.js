// The page, put together: where the user is, what is always shown, and the view.

import { html, render, useCallback, useEffect, useState } from "./helpers/html.js";
import { usePolled } from "./models/answer.js";
import * as memory from "./models/memory.js";
import { read, write } from "./models/place.js";
import { Explore } from "./controllers/explore.js";
import { Header } from "./controllers/header.js";
import { Help } from "./controllers/help.js";
import { Live } from "./controllers/live.js";
import { Login } from "./controllers/login.js";
import { PatternsView } from "./controllers/patterns.js";
import { Sources } from "./controllers/sources.js";
import { Status } from "./controllers/status.js";
import { Welcome } from "./controllers/welcome.js";

const VIEWS = { explore: Explore, live: Live, patterns: PatternsView, sources: Sources, status: Status };

function usePlace() {
  const [place, setPlace] = useState(read());
  useEffect(() => {
    const moved = () => setPlace(read());
    addEventListener("popstate", moved);
    return () => removeEventListener("popstate", moved);
  }, []);
  const go = useCallback((changes, { replace = false } = {}) => {
    const next = { ...read(), ...changes };
    const address = write(next);
    if (address !== location.pathname + location.search) {
      // What was seen at an entry of the history is found again by its number.
      if (!replace) next.visit = `${Date.now()}-${history.length}`;
      history[replace ? "replaceState" : "pushState"]({ visit: next.visit }, "", address);
    }
    setPlace(next);
  }, []);
  return [place, go];
}

function useRemembered(get, set) {
  const [value, setValue] = useState(get());
  return [value, useCallback((next) => { set(next); setValue(next); }, [])];
}

function App() {
  const [place, go] = usePlace();
  const [zone, setZone] = useRemembered(memory.zone, memory.setZone);
  const [theme, setTheme] = useRemembered(memory.theme, memory.setTheme);
  const [help, setHelp] = useState(false);
  const status = usePolled("/api/v1/status", 2);
  useEffect(() => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }, [theme]);
  useEffect(() => {
    const pressed = (event) => {
      if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "?") setHelp(true);
      else if (event.key === "l") go({ view: place.view === "live" ? "explore" : "live" });
      else if (event.key === "/") document.querySelector("#query")?.focus();
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [place.view]);

  if ([401, 403].includes(status.error?.status)) return html`<${Login} />`;
  const isEmpty = status.data && status.data.stored === 0 && status.data.waiting === 0 && !place.q;
  const View = isEmpty && place.view === "explore" ? Welcome : VIEWS[place.view];
  const shared = { place, go, zone, setZone, theme, status: status.data };
  return html`
    <${Header} ...${shared} lost=${status.error} setTheme=${setTheme} showHelp=${() => setHelp(true)} />
    <main id="main"><${View} key=${place.view} ...${shared} refresh=${status.again} /></main>
    ${help && html`<${Help} close=${() => setHelp(false)} />`}
  `;
}

render(html`<${App} />`, document.querySelector("#page"));
