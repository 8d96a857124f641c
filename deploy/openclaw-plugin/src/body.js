/** Reading a request's body, bounded in size and time. */

/** Why a body was not read: `status` is what to answer, 0 when there is nobody left to answer. */
export class BodyError extends Error {
  constructor(status, code) {
    super(code);
    this.name = "BodyError";
    this.status = status;
    this.code = code;
  }
}

/**
 * Returns the body as one Buffer, byte for byte. Content-Length is believed only when it promises too much already. After
 * a failure the rest is not read: the caller answers and closes the connection.
 */
export function readBody(req, { maxBytes, timeoutMs }) {
  return new Promise((resolve, reject) => {
    if (Number(req.headers["content-length"]) > maxBytes) {
      reject(new BodyError(413, "body_too_large"));
      return;
    }
    const chunks = [];
    let size = 0;
    const timer = setTimeout(() => finish(new BodyError(408, "body_timeout")), timeoutMs);
    const listeners = {
      data(chunk) {
        size += chunk.length;
        if (size > maxBytes) finish(new BodyError(413, "body_too_large"));
        else chunks.push(chunk);
      },
      end: () => finish(null),
      error: () => finish(new BodyError(0, "connection_lost")),
      close: () => finish(new BodyError(0, "connection_lost")),
    };
    function finish(error) {
      clearTimeout(timer);
      for (const [event, listener] of Object.entries(listeners)) req.off(event, listener);
      if (!error) return resolve(Buffer.concat(chunks, size));
      req.pause();
      req.on("error", () => {}); // the connection is given up; its end is no news
      return reject(error);
    }
    for (const [event, listener] of Object.entries(listeners)) req.on(event, listener);
  });
}
