/** The current day, which changes under a page that stays open. */
import { ref } from "../vendor/vue.js";
import { dayKey } from "./format.js";

const MINUTE = 60_000;

export const today = ref(new Date());

setInterval(() => {
  const now = new Date();
  if (dayKey(now) !== dayKey(today.value)) today.value = now;
}, MINUTE);
