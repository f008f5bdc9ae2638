// The state of the page is its address: #view=…&study=…, so that a view can be sent.

const listeners = [];

export function state() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

/** The address of the state with changes; null removes a key. */
export function address(changes, from = state()) {
  const next = new URLSearchParams();
  for (const [key, value] of Object.entries({ ...from, ...changes })) {
    if (value !== null && value !== undefined && value !== "") next.set(key, value);
  }
  // Readable where the address allows it.
  const text = next.toString().replaceAll("%3D", "=").replaceAll("%2C", ",").replaceAll("%3B", ";");
  return `#${text}`;
}

/** Go to a state: a new entry of the history. */
export function go(changes) {
  location.hash = address(changes);
}

/** Change the state in place: dragging makes no history, and no listener is called. */
export function keep(changes) {
  history.replaceState(null, "", address(changes));
}

export function onState(listener) {
  listeners.push(listener);
}

window.addEventListener("hashchange", () => listeners.forEach((listener) => listener()));
