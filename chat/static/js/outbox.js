/**
 * Sends what was typed: per room one at a time, in order, with the same `client_id` until the
 * server has it. The server answers a repeated `client_id` with the first answer, so to send
 * twice is harmless; to lose or to reorder is not.
 */
import { oneTabAtATime, TAB } from "./tabs.js";
import { uuid } from "./uuid.js";
import { backoff, jitter } from "./wait.js";

const FULL = 100;
const ATTEMPTS = 8;
const ADOPT_AFTER = 5000;
const TRANSIENT = ["unavailable", "timeout", "rate_limited"];

export class Outbox {
  #store;
  #send;
  #onSent;
  #online = false;
  #busy = new Set();
  #wake = new Set();
  #lastAt = 0;

  /**
   * @param {OutboxStore} store
   * @param {(entry: object) => Promise<{message: object}>} send throws a Failure
   * @param {(message: object) => void} onSent the message as the server stored it
   */
  constructor({ store, send, onSent }) {
    this.#store = store;
    this.#send = send;
    this.#onSent = onSent;
    // What another tab left behind when it was closed is taken over by this one.
    setInterval(() => this.#pumpAll(), ADOPT_AFTER);
  }

  get full() {
    return this.#store.entries.length >= FULL;
  }

  add(room, body) {
    this.#lastAt = Math.max(Date.now(), this.#lastAt + 1);
    this.#store.put({ client_id: uuid(), room, body, at: this.#lastAt, tab: TAB });
    this.#pump(room);
  }

  retry(id) {
    const entry = this.#store.get(id);
    if (!entry) return;
    this.#store.put({ ...entry, tab: TAB, note: null, failure: null });
    this.#pump(entry.room);
  }

  /** Takes it back. @returns the text */
  discard(id) {
    const body = this.#store.get(id)?.body ?? "";
    this.#store.remove(id);
    return body;
  }

  resume() {
    this.#online = true;
    for (const wake of this.#wake) wake();
    this.#pumpAll();
  }

  pause() {
    this.#online = false;
  }

  #pumpAll() {
    for (const room of new Set(this.#store.entries.map((entry) => entry.room))) this.#pump(room);
  }

  async #pump(room) {
    if (this.#busy.has(room)) return;
    this.#busy.add(room);
    let attempt = 0;
    for (let entry = this.#next(room); entry; entry = this.#next(room)) {
      const pause = await this.#deliver(entry, attempt);
      attempt = pause ? attempt + 1 : 0;
      if (pause) await this.#sleep(pause);
    }
    this.#busy.delete(room);
  }

  #next(room) {
    if (!this.#online) return undefined;
    const mine = ({ tab, at }) => tab === TAB || Date.now() - at > ADOPT_AFTER;
    return this.#store.entries.find(
      (entry) => entry.room === room && !entry.failure && !entry.gone && mine(entry),
    );
  }

  /** @returns {Promise<number>} milliseconds to wait before the next attempt; 0 to go on */
  #deliver({ client_id: id, room }, attempt) {
    return oneTabAtATime(`outbox:${room}`, async () => {
      const entry = this.#store.get(id);
      if (!entry || entry.gone || entry.failure) return 0; // dealt with while this tab waited
      try {
        const { message } = await this.#send(entry);
        this.#onSent(message);
        this.#store.remove(id);
        return 0;
      } catch (failure) {
        return this.#failed(id, failure, attempt);
      }
    });
  }

  #failed(id, failure, attempt) {
    const entry = this.#store.get(id);
    if (!entry) return 0; // taken back meanwhile
    if (["disconnected", "unauthenticated"].includes(failure.code)) {
      this.pause();
      return 0;
    }
    const patient = failure.code === "rate_limited" || attempt < ATTEMPTS;
    if (TRANSIENT.includes(failure.code) && patient) {
      this.#store.put({ ...entry, note: failure.code });
      return failure.retryAfter ? failure.retryAfter * 1000 + jitter(50, 250) : backoff(attempt);
    }
    const { code, detail } = failure;
    this.#store.put({ ...entry, note: null, failure: { code, detail } });
    return 0;
  }

  #sleep(milliseconds) {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#wake.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, milliseconds);
      this.#wake.add(wake);
    });
  }
}
