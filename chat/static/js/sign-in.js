/** The way back to the sign-in page when the session is gone. */
import { safeStorage } from "./storage.js";

const KEY = "sent-to-sign-in";
const SOON = 20_000;

export function signInAddress() {
  return `/login?next=${encodeURIComponent(window.location.pathname)}`;
}

/**
 * Goes to the sign-in page, unless this tab has just come from there: a provider that signs one
 * in again without asking would turn a session that never holds into an endless loop.
 * @returns {boolean} whether the tab is on its way
 */
export function goToSignIn() {
  const storage = safeStorage("sessionStorage");
  if (Date.now() - Number(storage.getItem(KEY)) < SOON) return false;
  storage.setItem(KEY, String(Date.now()));
  window.location.assign(signInAddress());
  return true;
}
