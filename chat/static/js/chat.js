/** The chat of one page: puts the parts together, and is what the components see of them. */
import { shallowReactive } from "../vendor/vue.js";
import { createApi } from "./api.js";
import { Connection } from "./connection.js";
import { loadOlder, openRoom } from "./history.js";
import { Outgoing } from "./outgoing.js";
import { createReadMarker } from "./read-marker.js";
import { createRoom } from "./room.js";
import { goToSignIn } from "./sign-in.js";
import { Sync } from "./sync.js";
import { Typists } from "./typing.js";

export class Chat {
  #slug;
  #rooms = new Map(); // the open ones, by id
  #api = createApi(() => this.#signedOut());
  #connection = new Connection({
    onState: (state) => this.#connectionBecame(state),
    onUnauthenticated: () => this.#signedOut(),
    onEnded: (reason) => (this.state.ended = reason),
  });
  #sync = new Sync({
    api: this.#api,
    connection: this.#connection,
    rooms: this.#rooms,
    onRooms: (list) => list.forEach((info) => this.#describe(info)),
    onArrival: (room, message) => this.#arrived(message),
  });
  #typists = new Typists((names) => (this.state.typing = names));
  #marker = createReadMarker((room, seq) => this.#connection.request("mark_read", { room, seq }));

  state = shallowReactive({
    phase: "starting", // starting, ready, failed, missing
    failure: null,
    connection: "connecting",
    ended: null, // why the session ended
    me: null,
    room: null,
    outbox: [],
    typing: [],
    arrival: null, // the newest message that came in while one was here
  });

  outgoing = null;

  constructor(slug) {
    this.#slug = slug;
    this.#connection.on("typing", ({ room, user }) => this.#types(room, user));
    this.#connection.on("read", ({ room, seq }) => this.#marker.known(room, seq));
    this.#connection.open();
  }

  async start() {
    this.state.phase = "starting";
    try {
      const [me, list] = await Promise.all([this.#api.me(), this.#api.rooms()]);
      this.#become(me);
      this.#enter(list.find((info) => info.slug === this.#slug));
    } catch (failure) {
      Object.assign(this.state, { phase: "failed", failure });
    }
  }

  async openRoom() {
    const { room } = this.state;
    await openRoom(this.#api, room).catch(() => {}); // the room shows the failure
    // The page may be from before the server had joined the socket to the room.
    if (this.state.connection === "connected") this.#sync.refresh(room);
  }

  loadOlder() {
    return loadOlder(this.#api, this.state.room);
  }

  reconnect() {
    this.#connection.retryNow();
  }

  /** The newest message is in view. */
  seen() {
    const { room } = this.state;
    if (room.log.newestSeq) this.#marker.seen(room.id, room.log.newestSeq);
  }

  #become(me) {
    this.state.me = me;
    this.outgoing ??= new Outgoing({
      me,
      connection: this.#connection,
      onChange: (entries) => (this.state.outbox = entries),
      onSent: (message) => this.#sync.take(message),
      onUnauthenticated: () => this.#signedOut(),
    });
  }

  #enter(info) {
    this.state.phase = info ? "ready" : "missing";
    if (!info) return;
    this.state.room = createRoom(info);
    this.#rooms.set(info.id, this.state.room);
    this.#describe(info);
    this.openRoom();
  }

  #describe(info) {
    const room = this.#rooms.get(info.id);
    if (!room) return;
    room.info = info;
    this.#marker.known(info.id, info.last_read_seq);
  }

  #connectionBecame(state) {
    this.state.connection = state;
    this.outgoing?.connectionBecame(state);
    if (state === "connected") this.#sync.connected();
  }

  #arrived(message) {
    this.#typists.remove(message.author.id);
    if (message.author.id !== this.state.me?.id) this.state.arrival = message;
  }

  #types(room, user) {
    if (room === this.state.room?.id && user.id !== this.state.me.id) this.#typists.add(user);
  }

  /** What was typed waits in the outbox until one is back. */
  #signedOut() {
    if (!goToSignIn()) this.#connection.end("expired");
  }
}
