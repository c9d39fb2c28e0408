/** A room as the page shows it: its log's state in reactive form. */
import { shallowReactive } from "../vendor/vue.js";
import { RoomLog } from "./room-log.js";

const KEEP = 500;
const TRIM_ABOVE = 1000;

/** @param {object} info the room as the API describes it */
export function createRoom(info) {
  return shallowReactive({
    id: info.id,
    info,
    log: new RoomLog(),
    messages: [],
    more: false,
    status: "loading", // loading, ready, failed
    older: "idle", // idle, loading, failed
    failure: null,
    atBottom: true,
  });
}

/** Shows what the log has come to hold. */
export function publish(room) {
  if (room.atBottom && room.messages.length > TRIM_ABOVE) room.log.trim(KEEP);
  room.messages = room.log.messages;
  room.more = room.log.more;
}
