/** What a message body may hold, counted and cleaned as the server does it. */

/** Characters as the server counts them: code points, so an emoji is one and not two. */
export function countCharacters(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** Trimmed, without what no store can hold: NUL, and halves of a surrogate pair. */
export function cleanBody(text) {
  const whole = text.toWellFormed ? text.toWellFormed() : text;
  return whole.replaceAll("\u0000", "").trim();
}
