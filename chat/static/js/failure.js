/** One kind of error for HTTP answers and socket acks alike: both carry the server's codes. */
export class Failure extends Error {
  /**
   * @param {string} code one of the server's codes, or `timeout`, `disconnected`
   * @param {string} [message] the server's words, meant for people
   * @param {number} [retryAfter] seconds
   */
  constructor(code, message = "", retryAfter = 0) {
    super(message || code);
    this.name = "Failure";
    this.code = code;
    this.detail = message;
    this.retryAfter = retryAfter;
  }

  /** From the `error` of an answer; whatever else came counts as an unavailable server. */
  static from(error) {
    if (typeof error?.code !== "string") return new Failure("unavailable");
    return new Failure(error.code, String(error.message ?? ""), Number(error.retry_after) || 0);
  }
}

const WORDS = {
  disconnected: "There is no connection to the server.",
  forbidden: "You may not write in this room.",
  not_found: "This room is gone, or you are no longer in it.",
  rate_limited: "Too many requests at once. Try again in a moment.",
  timeout: "The server took too long to answer.",
  too_large: "The message is too long.",
  unauthenticated: "You are signed out.",
  unavailable: "The server could not do this just now.",
};

/** What to tell the person, for a Failure or a stored `{code, detail}`. */
export function explain(failure) {
  return WORDS[failure?.code] || failure?.detail || "Something went wrong.";
}
