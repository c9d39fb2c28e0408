/** Fetches a room's messages into its log. Throws the Failure that the API threw. */
import { publish } from "./room.js";

const PAGE = 50;
const CHANGES = 100;
const CATCH_UP_PAGES = 5;

/** Fetches the newest page, in place of whatever was there. */
export async function openRoom(api, room) {
  if (room.status !== "ready") room.status = "loading";
  room.log.expectNewest();
  try {
    room.log.open(await api.newest(room.id, PAGE));
  } catch (failure) {
    if (room.status !== "ready") Object.assign(room, { status: "failed", failure });
    throw failure;
  }
  publish(room);
  room.status = "ready";
}

export async function loadOlder(api, room) {
  if (room.older === "loading" || !room.more) return;
  room.older = "loading";
  room.log.expectOlder();
  try {
    room.log.prepend(await api.before(room.id, room.log.oldestSeq, PAGE));
    publish(room);
    room.older = "idle";
  } catch {
    room.older = "failed";
  }
}

/** Fetches what changed after the log's last number. */
export async function loadChanges(api, room) {
  for (let pages = 0; pages < CATCH_UP_PAGES && room.log.loaded; pages += 1) {
    const page = await api.changes(room.id, room.log.lastSeq, CHANGES);
    room.log.takeChanges(page);
    publish(room);
    if (!page.more) return;
  }
  await openRoom(api, room); // too far behind: the newest page is nearer than the way to it
}
