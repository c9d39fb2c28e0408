/** Who is typing: says that oneself is, now and then, and forgets the others after a while. */
const SAY_EVERY = 3000;
const SHOWN_FOR = 5000;

/** @param {(room: number) => void} emit */
export function createTypingSignal(emit) {
  let last = 0;
  return {
    typed(room) {
      if (Date.now() - last < SAY_EVERY) return;
      last = Date.now();
      emit(room);
    },
    sent() {
      last = 0; // the next message begins at once
    },
  };
}

export class Typists {
  #timers = new Map();
  #names = new Map();
  #onChange;

  /** @param {(names: string[]) => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  add({ id, name }) {
    clearTimeout(this.#timers.get(id));
    this.#timers.set(
      id,
      setTimeout(() => this.remove(id), SHOWN_FOR),
    );
    this.#names.set(id, name);
    this.#tell();
  }

  remove(id) {
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
    if (this.#names.delete(id)) this.#tell();
  }

  #tell() {
    this.#onChange([...this.#names.values()]);
  }
}
