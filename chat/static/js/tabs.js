/** One person's several tabs: which one this is, and how they take turns. */
import { safeStorage } from "./storage.js";
import { uuid } from "./uuid.js";

/** The same after a reload, so that a tab goes on with its own messages at once. */
export const TAB = thisTab();

function thisTab() {
  const storage = safeStorage("sessionStorage");
  const id = storage.getItem("tab") ?? uuid();
  storage.setItem("tab", id);
  return id;
}

/** Web Locks are missing on plain http; then the server's idempotency alone has to do. */
export function oneTabAtATime(name, action) {
  return navigator.locks ? navigator.locks.request(name, action) : action();
}
