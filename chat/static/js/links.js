/** Finds the links in plain text. What is no link stays text: nothing here makes markup. */
const CANDIDATE = /https?:\/\/[^\s<>"]+/giu;
const PAIRS = { ")": "(", "]": "[", "}": "{" };

/**
 * @param {string} text
 * @returns {{text: string, href?: string}[]} the whole text, in parts
 */
export function splitLinks(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(CANDIDATE)) {
    const shown = withoutTrailingPunctuation(match[0]);
    const href = address(shown);
    if (!href) continue;
    if (match.index > end) parts.push({ text: text.slice(end, match.index) });
    parts.push({ text: shown, href });
    end = match.index + shown.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end) });
  return parts;
}

/** A sentence's full stop is not the link's, nor is a bracket that was opened before it. */
function withoutTrailingPunctuation(link) {
  for (let shown = link; ; shown = shown.slice(0, -1)) {
    const last = shown.at(-1);
    const stray = PAIRS[last]
      ? !balanced(shown, PAIRS[last], last)
      : /[.,:;!?'’”»*_~`…]/u.test(last);
    if (!stray) return shown;
  }
}

function balanced(text, open, close) {
  return text.split(open).length >= text.split(close).length;
}

function address(text) {
  try {
    const url = new URL(text);
    return ["http:", "https:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
