/** How a person without a picture is shown. */
const TINTS = 8;

/** One or two letters: of the first and the last word that have any. */
export function initials(name) {
  const letters = name
    .split(/\s+/)
    .map((word) => word.match(/[\p{L}\p{N}]/u)?.[0])
    .filter(Boolean);
  const chosen = letters.length > 1 ? [letters[0], letters.at(-1)] : letters;
  return chosen.join("").toLocaleUpperCase() || "?";
}

/** A colour of the palette, the same for a person everywhere. */
export function tint(id) {
  return `tint-${Math.abs(Number(id) || 0) % TINTS}`;
}
