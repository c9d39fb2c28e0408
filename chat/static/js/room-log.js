/**
 * What one client knows of a room: messages in the order of `seq`, and the last number of the
 * room's change log up to which nothing is missing. Pure logic: no page, no network.
 *
 * Everything may be told twice and in any order; of two versions of a message the one with the
 * higher `changed_seq` holds.
 */
export class RoomLog {
  #byId = new Map();
  #list = []; // ascending seq
  #seen = new Set(); // numbers above lastSeq that have been seen
  #early = []; // what was told while the newest page was fetched
  #outside = new Map(); // changes of messages older than the loaded ones, while a page is fetched

  lastSeq = 0;
  more = false;
  loaded = false;

  /** A copy: views compare by identity. */
  get messages() {
    return [...this.#list];
  }

  /** Whether a number between lastSeq and the highest seen one is missing. */
  get hole() {
    return this.#seen.size > 0;
  }

  get oldestSeq() {
    return this.#list[0]?.seq ?? 0;
  }

  get newestSeq() {
    return this.#list.at(-1)?.seq ?? 0;
  }

  /** Starts from the newest page, dropping what was there. */
  open({ messages, more, last_seq: lastSeq }) {
    this.#byId.clear();
    this.#list = [];
    this.#seen.clear();
    this.#outside.clear();
    this.more = more;
    this.lastSeq = lastSeq;
    for (const message of messages) this.#place(message);
    this.loaded = true;
    const early = this.#early;
    this.#early = [];
    for (const message of early) this.apply(message);
  }

  /** Before the newest page is asked for: what is told from now on is applied on top of it. */
  expectNewest() {
    this.loaded = false;
    this.#early = [];
  }

  /** Before a page of older messages is asked for: what changes from now on must not be lost. */
  expectOlder() {
    this.#outside.clear();
  }

  /** A page of older messages. Its numbers say nothing about lastSeq. */
  prepend({ messages, more }) {
    this.more = more;
    for (const message of messages) {
      const changed = this.#outside.get(message.id);
      this.#place(changed?.changed_seq > message.changed_seq ? changed : message);
    }
    this.#outside.clear();
  }

  /** One message as it was told live. @returns {boolean} whether it is new here */
  apply(message) {
    if (!this.loaded) {
      this.#early.push(message);
      return false;
    }
    const isNew = this.#show(message);
    this.#note(message.changed_seq);
    return isNew;
  }

  /** A page of changes after lastSeq. */
  takeChanges({ messages, more, last_seq: lastSeq }) {
    for (const message of messages) this.#show(message);
    // A message that changed twice is told once: numbers passed over on the way are no hole.
    const reached = more ? (messages.at(-1)?.changed_seq ?? this.lastSeq) : lastSeq;
    this.lastSeq = Math.max(this.lastSeq, reached);
    this.#advance();
  }

  /** Forgets the oldest, to be loaded again when wanted: a tab stays open for weeks. */
  trim(keep) {
    const dropped = this.#list.splice(0, Math.max(0, this.#list.length - keep));
    for (const message of dropped) this.#byId.delete(message.id);
    if (dropped.length) this.more = true;
  }

  #show(message) {
    const below = this.more && message.seq < this.oldestSeq;
    if (below) this.#keepOutside(message);
    return below ? false : this.#place(message);
  }

  #keepOutside(message) {
    const known = this.#outside.get(message.id);
    if (!known || known.changed_seq < message.changed_seq) this.#outside.set(message.id, message);
  }

  #place(message) {
    const known = this.#byId.get(message.id);
    if (known && known.changed_seq >= message.changed_seq) return false;
    this.#byId.set(message.id, message);
    const index = this.#indexOf(message.seq);
    this.#list.splice(index, known ? 1 : 0, message);
    return !known;
  }

  #indexOf(seq) {
    let low = 0;
    let high = this.#list.length;
    if (!high || this.newestSeq < seq) return high; // nearly always
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#list[middle].seq < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #note(number) {
    if (number > this.lastSeq) this.#seen.add(number);
    this.#advance();
  }

  #advance() {
    while (this.#seen.delete(this.lastSeq + 1)) this.lastSeq += 1;
    for (const number of this.#seen) if (number <= this.lastSeq) this.#seen.delete(number);
  }
}
