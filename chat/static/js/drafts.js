/** What is being typed, per room. It survives a reload of its tab; two tabs keep their own. */
import { safeStorage } from "./storage.js";

export class Drafts {
  #storage = safeStorage("sessionStorage");
  #prefix;

  constructor(userId) {
    this.#prefix = `draft:${userId}:`;
  }

  load(room) {
    return this.#storage.getItem(this.#prefix + room) ?? "";
  }

  save(room, text) {
    if (text) this.#storage.setItem(this.#prefix + room, text);
    else this.#storage.removeItem(this.#prefix + room);
  }
}
