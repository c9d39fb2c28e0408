/** Dates and times, in the reader's language and time zone. */
const locale = undefined; // the browser's own

const clock = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" });
const moment = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "medium" });
const weekday = new Intl.DateTimeFormat(locale, { weekday: "long", day: "numeric", month: "long" });
const withYear = new Intl.DateTimeFormat(locale, { dateStyle: "full" });
const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });

export const time = (date) => clock.format(date);
export const exactTime = (date) => moment.format(date);

/** The time for a narrow margin: "10:32" even where one writes "10:32 AM". */
export function narrowTime(date) {
  const parts = clock.formatToParts(date).filter((part) => part.type !== "dayPeriod");
  return parts
    .map((part) => part.value)
    .join("")
    .trim();
}

/** Equal for two moments of one local day. */
export function dayKey(date) {
  return `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
}

/** "Today", "Yesterday", "Monday, 3 March", or with the year where it is another one. */
export function dayLabel(date, today) {
  const yesterday = new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1);
  if (dayKey(date) === dayKey(today)) return capitalised(relative.format(0, "day"));
  if (dayKey(date) === dayKey(yesterday)) return capitalised(relative.format(-1, "day"));
  const sameYear = date.getFullYear() === today.getFullYear();
  return capitalised((sameYear ? weekday : withYear).format(date));
}

function capitalised(text) {
  return text.charAt(0).toLocaleUpperCase() + text.slice(1);
}
