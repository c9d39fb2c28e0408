/** The JSON API, read with the session cookie. Each call returns the answer or throws a Failure. */
import { Failure } from "./failure.js";

const TIMEOUT = 15_000;

async function read(path, params) {
  const url = new URL(path, window.location.origin);
  for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value);
  const response = await fetch(url, {
    headers: { Accept: "application/json" },
    signal: AbortSignal.timeout(TIMEOUT),
  });
  const answer = await response.json().catch(() => null);
  return { ok: response.ok, status: response.status, answer };
}

/** @param {() => void} onUnauthenticated called when the session is gone */
export function createApi(onUnauthenticated) {
  async function get(path, params = {}) {
    let result;
    try {
      result = await read(path, params);
    } catch (error) {
      throw new Failure(error.name === "TimeoutError" ? "timeout" : "disconnected");
    }
    if (result.ok && result.answer) return result.answer;
    if (result.status === 401) {
      onUnauthenticated();
      throw new Failure("unauthenticated");
    }
    throw Failure.from(result.answer?.error);
  }

  return {
    me: () => get("/api/me"),
    rooms: async () => (await get("/api/rooms")).rooms,
    newest: (room, limit) => get(`/api/rooms/${room}/messages`, { limit }),
    before: (room, seq, limit) => get(`/api/rooms/${room}/messages`, { before: seq, limit }),
    changes: (room, after, limit) => get(`/api/rooms/${room}/changes`, { after, limit }),
  };
}
