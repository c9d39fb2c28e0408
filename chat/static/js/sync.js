/**
 * Keeps the open rooms' logs whole: applies what the socket tells, and fetches what it failed to.
 *
 * Delivery is a hint. After each connect, after a hole in the numbers, when a sleeping tab wakes
 * and after half a minute without any event, the API says what is missing.
 */
import { loadChanges } from "./history.js";
import { publish } from "./room.js";
import { backoff, jitter } from "./wait.js";

const QUIET = 30_000;
const FINAL = ["forbidden", "not_found", "unauthenticated"];

export class Sync {
  #api;
  #connection;
  #rooms;
  #onRooms;
  #wasConnected = false;
  #running = new Set();
  #again = new Set();
  #quietTimer;
  #checkTimer;

  /**
   * @param {Map<number, object>} rooms the open rooms by id
   * @param {(rooms: object[]) => void} onRooms told each time that the list was fetched
   * @param {(room: object, message: object) => void} onArrival a new message, told live
   */
  constructor({ api, connection, rooms, onRooms, onArrival }) {
    this.#api = api;
    this.#connection = connection;
    this.#rooms = rooms;
    this.#onRooms = onRooms;
    connection.on("receive_message", (message) => this.take(message, onArrival));
    connection.on("message_changed", (message) => this.take(message));
    connection.onAny(() => this.#listen());
    this.#watchForWaking();
  }

  /** After a connect: what was told before the server had joined this socket is lost. */
  connected() {
    this.#listen();
    if (this.#wasConnected)
      this.#checkSoon(1500); // a server that restarts gets everyone at once
    else for (const room of this.#rooms.values()) this.refresh(room);
    this.#wasConnected = true;
  }

  /** Applies one message, from an event or an ack. */
  take(message, onNew) {
    const room = this.#rooms.get(message.room);
    if (!room) return;
    const isNew = room.log.apply(message);
    if (room.log.loaded) publish(room);
    if (isNew) onNew?.(room, message);
    if (room.log.hole) this.#refreshIfStillHole(room);
  }

  /** Fetches what changed; asked again meanwhile, it goes once more. */
  async refresh(room, attempt = 0) {
    if (this.#running.has(room)) {
      this.#again.add(room);
      return;
    }
    this.#running.add(room);
    let failure = null;
    try {
      if (room.status === "ready") await loadChanges(this.#api, room);
    } catch (error) {
      failure = error;
    }
    this.#running.delete(room);
    const again = this.#again.delete(room);
    if (failure) this.#retry(room, failure, attempt);
    else if (again) this.refresh(room);
  }

  #retry(room, failure, attempt) {
    // Without a connection there is nothing to try; the next connect asks anew.
    if (FINAL.includes(failure.code) || this.#connection.state !== "connected") return;
    const pause = failure.retryAfter * 1000 || backoff(attempt);
    setTimeout(() => this.refresh(room, attempt + 1), pause);
  }

  /** Numbers from two server processes may cross: the missing one is often on its way. */
  #refreshIfStillHole(room) {
    setTimeout(() => room.log.hole && this.refresh(room), jitter(100, 400));
  }

  /** Asks for the rooms, and for the changes of those that moved. */
  async #check() {
    this.#listen();
    if (this.#connection.state !== "connected") return;
    const list = await this.#api.rooms().catch(() => null);
    if (!list) return;
    this.#onRooms(list);
    for (const { id, last_seq: lastSeq } of list) {
      const room = this.#rooms.get(id);
      if (room && lastSeq > room.log.lastSeq) this.refresh(room);
    }
  }

  #checkSoon(spread) {
    clearTimeout(this.#checkTimer);
    this.#checkTimer = setTimeout(() => this.#check(), jitter(0, spread));
  }

  #listen() {
    clearTimeout(this.#quietTimer);
    this.#quietTimer = setTimeout(() => this.#check(), jitter(QUIET, QUIET * 1.2));
  }

  #watchForWaking() {
    const woke = () => {
      if (document.visibilityState !== "visible") return;
      this.#connection.retryNow();
      this.#checkSoon(500);
    };
    document.addEventListener("visibilitychange", woke);
    window.addEventListener("online", woke);
    window.addEventListener("pageshow", (event) => event.persisted && woke());
  }
}
