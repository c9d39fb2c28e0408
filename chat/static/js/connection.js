/**
 * The socket: says in which state it is, delivers the server's events, and turns an emit with its
 * ack into a promise.
 *
 * States: connecting, connected, reconnecting, offline (no network, or no server for a while),
 * ended (the session is over; nothing reconnects).
 */
import { io } from "../vendor/socket.io.js";
import { Failure } from "./failure.js";
import { backoff } from "./wait.js";

const ACK_TIMEOUT = 10_000;
const OFFLINE_AFTER = 10_000;

export class Connection {
  #socket;
  #handlers;
  #refusals = 0;
  #offlineTimer;
  #returnTimer;
  state = "connecting";

  /** @param {{onState: Function, onUnauthenticated: Function, onEnded: Function}} handlers */
  constructor(handlers) {
    this.#handlers = handlers;
    this.#socket = io({
      autoConnect: false,
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      timeout: ACK_TIMEOUT,
      reconnectionDelay: 500,
      reconnectionDelayMax: 10_000,
    });
    this.#socket.on("connect", () => this.#connected());
    this.#socket.on("disconnect", (reason) => this.#lost(reason));
    this.#socket.on("connect_error", (error) => this.#refused(error));
    this.#socket.on("session_ended", ({ reason }) => this.end(reason));
    window.addEventListener("offline", () => this.#down());
  }

  on(event, listener) {
    this.#socket.on(event, listener);
  }

  onAny(listener) {
    this.#socket.onAny(listener);
  }

  open() {
    this.#socket.connect();
    this.#down();
  }

  /** Tries at once, rather than when the back-off says so. */
  retryNow() {
    if (["connecting", "connected", "ended"].includes(this.state)) return;
    clearTimeout(this.#returnTimer);
    this.#stopOfflineTimer();
    if (this.state === "offline") this.#become("reconnecting");
    this.#socket.disconnect(); // leaves the library's own wait, which connect() would sit out
    this.open();
  }

  /** The session is over: nothing is sent or tried any more. */
  end(reason) {
    this.#become("ended");
    this.#stopOfflineTimer();
    this.#socket.disconnect();
    this.#handlers.onEnded(reason);
  }

  /** Emits and waits for the ack. @returns the ack, or throws a Failure */
  async request(event, payload) {
    if (!this.#socket.connected) throw new Failure("disconnected");
    let ack;
    try {
      ack = await this.#socket.timeout(ACK_TIMEOUT).emitWithAck(event, payload);
    } catch {
      throw new Failure(this.#socket.connected ? "timeout" : "disconnected");
    }
    if (ack?.ok) return ack;
    throw Failure.from(ack?.error);
  }

  /** Emits what is not worth a retry or a word if it fails. */
  tell(event, payload) {
    this.request(event, payload).catch(() => {});
  }

  #connected() {
    this.#refusals = 0;
    this.#stopOfflineTimer();
    this.#become("connected");
  }

  #lost(reason) {
    if (this.state === "ended" || reason === "io client disconnect") return;
    this.#down();
    // The library takes a disconnect by the server as final. A server that restarts is not.
    if (reason === "io server disconnect") this.#returnLater();
  }

  #refused(error) {
    if (this.state === "ended") return;
    if (error.message === "unauthenticated") {
      this.#handlers.onUnauthenticated();
      return;
    }
    this.#down();
    if (!this.#socket.active) this.#returnLater(error.data?.retry_after);
  }

  #returnLater(seconds) {
    clearTimeout(this.#returnTimer);
    const pause = seconds ? seconds * 1000 : backoff(this.#refusals);
    this.#returnTimer = setTimeout(() => this.#socket.connect(), pause);
    this.#refusals += 1;
  }

  #down() {
    if (this.#socket.connected || this.state === "ended") return;
    if (!navigator.onLine) this.#become("offline");
    else if (this.state === "connected") this.#become("reconnecting");
    this.#offlineTimer ??= setTimeout(() => this.#become("offline"), OFFLINE_AFTER);
  }

  #stopOfflineTimer() {
    clearTimeout(this.#offlineTimer);
    this.#offlineTimer = undefined;
  }

  #become(state) {
    if (this.state === state || this.state === "ended") return;
    this.state = state;
    this.#handlers.onState(state);
  }
}
