// A dialog of the browser's own kind: it keeps the focus, Esc closes it.

import { html, useEffect, useRef } from "../helpers/html.js";

export function Dialog({ title, close, children }) {
  const element = useRef(null);
  useEffect(() => {
    element.current.showModal();
  }, []);
  const outside = (event) => event.target === element.current && close();
  return html`
    <dialog ref=${element} aria-labelledby="dialog-title" onClose=${close} onClick=${outside}>
      <div class="inside">
        <header><h2 id="dialog-title">${title}</h2><button type="button" onClick=${close}>Close</button></header>
        ${children}
      </div>
    </dialog>`;
}
