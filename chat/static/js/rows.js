/** Turns messages into the rows of the page: day dividers, and who begins a group. */
import { dayKey, dayLabel } from "./format.js";

const GROUP = 5 * 60_000;

/**
 * @param {object[]} messages ascending seq
 * @param {object[]} entries the outbox's for this room, oldest first
 * @returns {{type: "day" | "message", key: string, ...}[]}
 */
export function buildRows(messages, entries, me, today) {
  const rows = [];
  let last = null;
  const add = (message, entry) => {
    const at = new Date(message.created_at);
    const newDay = !last || dayKey(at) !== dayKey(last.at);
    if (newDay) rows.push({ type: "day", key: `day-${dayKey(at)}`, label: dayLabel(at, today) });
    const first = newDay || message.author.id !== last.author || at - last.at > GROUP;
    rows.push({ type: "message", key: key(message), message, first, entry });
    last = { at, author: message.author.id };
  };
  for (const message of messages) add(message, null);
  for (const entry of unseen(entries, messages)) add(asMessage(entry, me, last?.at), entry);
  return rows;
}

/** One's own message keeps its row from the moment it is typed. */
function key(message) {
  return message.client_id ?? `message-${message.id}`;
}

/** Without those that the log holds already: the ack is late, or another tab had it. */
function unseen(entries, messages) {
  if (!entries.length) return entries;
  const known = new Set(messages.map((message) => message.client_id));
  return entries.filter((entry) => !known.has(entry.client_id));
}

/** In the shape of a message. A clock that is behind the server's must not open an older day. */
function asMessage(entry, author, notBefore) {
  const at = new Date(Math.max(entry.at, notBefore ?? 0));
  return { client_id: entry.client_id, author, body: entry.body, created_at: at.toISOString() };
}
