// Colours of the style sheet for what is drawn on a canvas, resolved for the scheme that is shown.

export function colour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
