/** What one writes: the draft, the messages on their way, and the sign that one is typing. */
import { Drafts } from "./drafts.js";
import { Outbox } from "./outbox.js";
import { OutboxStore } from "./outbox-store.js";
import { createTypingSignal } from "./typing.js";

export class Outgoing {
  #connection;
  #store;
  #outbox;
  #typing;
  drafts;

  /**
   * @param {object} me
   * @param {Connection} connection
   * @param {(entries: object[]) => void} onChange told what is not sent yet
   * @param {(message: object) => void} onSent the message as the server stored it
   * @param {() => void} onUnauthenticated
   */
  constructor({ me, connection, onChange, onSent, onUnauthenticated }) {
    this.#connection = connection;
    this.drafts = new Drafts(me.id);
    this.#typing = createTypingSignal((room) => connection.tell("typing", { room }));
    this.#store = new OutboxStore(me.id, () => onChange(this.#store.entries));
    this.#outbox = new Outbox({
      store: this.#store,
      send: (entry) => this.#deliver(entry, onUnauthenticated),
      onSent,
    });
    onChange(this.#store.entries);
    this.connectionBecame(connection.state);
  }

  connectionBecame(state) {
    if (state === "connected") this.#outbox.resume();
    else this.#outbox.pause();
  }

  typed(room) {
    this.#typing.typed(room);
  }

  send(room, body) {
    this.#outbox.add(room, body);
    this.#typing.sent();
  }

  retry(id) {
    this.#outbox.retry(id);
  }

  /** Takes an unsent message back. @returns its text */
  discard(id) {
    return this.#outbox.discard(id);
  }

  get full() {
    return this.#outbox.full;
  }

  async #deliver({ room, body, client_id: clientId }, onUnauthenticated) {
    try {
      return await this.#connection.request("send_message", { room, body, client_id: clientId });
    } catch (failure) {
      if (failure.code === "unauthenticated") onUnauthenticated();
      throw failure;
    }
  }
}
