/**
 * Where a list that grows at both ends stands: at its bottom it stays at the bottom; anywhere
 * else, what one reads stays where it is.
 *
 * The browser's own scroll anchoring is off in the style sheet: not every browser has it, and
 * two that correct the same jump make another one.
 */
const NEAR = 32;

export class ScrollKeeper {
  #box;
  #rows; // messages only: a day's divider moves up when the day's older messages are loaded
  #anchor = null;
  #lastTop = 0;
  #onBottom;
  #observer = new ResizeObserver(() => this.restore());
  atBottom = true;

  /**
   * @param {HTMLElement} box what scrolls
   * @param {HTMLElement} list the rows, at their own height
   * @param {(atBottom: boolean) => void} onBottom
   */
  constructor(box, list, onBottom) {
    this.#box = box;
    this.#rows = list.getElementsByClassName("message");
    this.#onBottom = onBottom;
    box.addEventListener("scroll", () => this.observe(), { passive: true });
    this.#observer.observe(box);
    this.#observer.observe(list);
    this.restore();
  }

  disconnect() {
    this.#observer.disconnect();
  }

  /** Before the rows change, and as one scrolls: where is one? */
  observe() {
    const { scrollTop, scrollHeight, clientHeight } = this.#box;
    if (scrollHeight - clientHeight - scrollTop <= NEAR) this.#setAtBottom(true);
    // Rows that arrive also take one away from the bottom; only moving up is the person's wish.
    else if (scrollTop < this.#lastTop) this.#setAtBottom(false);
    this.#remember();
  }

  /** After the rows changed. */
  restore() {
    if (this.atBottom) {
      this.#box.scrollTop = this.#box.scrollHeight;
    } else if (this.#anchor?.row.isConnected) {
      this.#box.scrollTop += this.#offset(this.#anchor.row) - this.#anchor.offset;
    }
    this.#remember();
  }

  toBottom({ smooth = false } = {}) {
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (!smooth || still) {
      this.#setAtBottom(true);
      this.restore();
      return;
    }
    this.#box.scrollTo({ top: this.#box.scrollHeight, behavior: "smooth" });
  }

  #setAtBottom(atBottom) {
    if (this.atBottom === atBottom) return;
    this.atBottom = atBottom;
    this.#onBottom(atBottom);
  }

  #remember() {
    this.#lastTop = this.#box.scrollTop;
    const row = this.#firstVisibleRow();
    this.#anchor = row && { row, offset: this.#offset(row) };
  }

  #offset(row) {
    return row.getBoundingClientRect().top - this.#box.getBoundingClientRect().top;
  }

  #firstVisibleRow() {
    let low = 0;
    let high = this.#rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#offset(this.#rows[middle]) < 0) low = middle + 1;
      else high = middle;
    }
    return this.#rows[low] ?? null;
  }
}
