/** Tells the server how far a room has been read: once reading pauses, and never backwards. */
const SETTLED = 500;

/** @param {(room: number, seq: number) => Promise} emit rejects where it failed */
export function createReadMarker(emit) {
  const told = new Map();
  let timer;

  /** What the server knows: told by this tab, by another one, or in the list of rooms. */
  function known(room, seq) {
    told.set(room, Math.max(seq, told.get(room) ?? 0));
  }

  return {
    known,
    seen(room, seq) {
      clearTimeout(timer);
      if (seq <= (told.get(room) ?? 0)) return;
      timer = setTimeout(() => {
        // A failure needs no care: the next message that is seen tells it too.
        emit(room, seq).then(
          () => known(room, seq),
          () => {},
        );
      }, SETTLED);
    },
  };
}
