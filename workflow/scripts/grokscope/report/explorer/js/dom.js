// Elements; text is always text, never markup.

/** An element with attributes (functions are listeners) and children (elements or texts). */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(name, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A choice: options are [value, text] pairs. */
export function choice(label, options, value, change, id) {
  const list = el(
    "select",
    { id, change: (event) => change(event.target.value) },
    ...options.map(([key, text]) => el("option", { value: key, selected: key === value }, text))
  );
  return el("label", { class: "field" }, el("span", {}, label), list);
}

/** Whatever was in an element, replaced. */
export function fill(element, ...children) {
  element.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Say something to screen readers and in the line at the foot of the page. */
export function say(text) {
  document.getElementById("status").textContent = text;
}
