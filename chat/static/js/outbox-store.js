/**
 * The messages that are typed and not yet acked, in localStorage: they outlive a reload and are
 * seen by the person's other tabs. One key per message, so that two tabs never overwrite each
 * other's list.
 *
 * entry: {client_id, room, body, at, tab, note, failure}; replaced when changed, never mutated.
 */
import { safeStorage } from "./storage.js";

// Another tab has sent it, and the message itself reaches this one a moment later. Leaving at
// once would make it blink.
const LINGER = 1500;

export class OutboxStore {
  #prefix;
  #storage = safeStorage("localStorage");
  #entries = new Map();
  #onChange;

  /** @param {number} userId the next person at this browser must not send what this one typed */
  constructor(userId, onChange) {
    this.#prefix = `outbox:${userId}:`;
    this.#onChange = onChange;
    for (const key of this.#storage.keys()) this.#read(key, this.#storage.getItem(key));
    window.addEventListener("storage", (event) => this.#changedElsewhere(event));
  }

  /** All of them, oldest first. */
  get entries() {
    return [...this.#entries.values()].sort((a, b) => a.at - b.at);
  }

  get(id) {
    return this.#entries.get(id);
  }

  put(entry) {
    this.#entries.set(entry.client_id, entry);
    this.#storage.setItem(this.#prefix + entry.client_id, JSON.stringify(entry));
    this.#onChange();
  }

  remove(id) {
    this.#storage.removeItem(this.#prefix + id);
    if (this.#entries.delete(id)) this.#onChange();
  }

  #read(key, value) {
    if (!key?.startsWith(this.#prefix)) return;
    try {
      const entry = JSON.parse(value);
      if (entry?.client_id) this.#entries.set(entry.client_id, entry);
    } catch {
      this.#storage.removeItem(key);
    }
  }

  #changedElsewhere({ key, newValue }) {
    if (!key?.startsWith(this.#prefix)) return;
    if (newValue !== null) {
      this.#read(key, newValue);
      this.#onChange();
      return;
    }
    const id = key.slice(this.#prefix.length);
    const entry = this.#entries.get(id);
    if (!entry) return;
    this.#entries.set(id, { ...entry, gone: true });
    setTimeout(() => this.#entries.delete(id) && this.#onChange(), LINGER);
  }
}
