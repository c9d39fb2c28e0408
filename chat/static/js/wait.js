/** Pauses between attempts. */

/** A random number of milliseconds: a thousand clients must not come back in the same instant. */
export function jitter(from, to) {
  return from + Math.random() * (to - from);
}

/** Doubles from one second to half a minute. @param {number} attempt 0 for the first */
export function backoff(attempt) {
  const longest = Math.min(1000 * 2 ** attempt, 30_000);
  return jitter(longest / 2, longest);
}
