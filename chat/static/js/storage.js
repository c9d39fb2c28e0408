/** The browser's storage, or a memory of this page's length where it is switched off or full. */
function memory() {
  const items = new Map();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
    keys: () => [...items.keys()],
  };
}

function guarded(storage) {
  const attempt = (action, otherwise) => {
    try {
      return action();
    } catch {
      return otherwise;
    }
  };
  return {
    getItem: (key) => attempt(() => storage.getItem(key), null),
    setItem: (key, value) => attempt(() => storage.setItem(key, value)),
    removeItem: (key) => attempt(() => storage.removeItem(key)),
    keys: () => attempt(() => Object.keys(storage), []),
  };
}

/** @param {"localStorage" | "sessionStorage"} name */
export function safeStorage(name) {
  try {
    return guarded(window[name]); // merely reading the property throws where cookies are blocked
  } catch {
    return memory();
  }
}
