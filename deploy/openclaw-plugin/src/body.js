/**
 * Reading the bodies of requests, bounded in size and time, and all together in number and bytes. Nobody has proved yet who
 * he is: so when there are too many, the oldest is given up, as those of the relay take no time, and a new one is read.
 */

/** Why a body was not read: `status` is what to answer, 0 when there is nobody left to answer. */
export class BodyError extends Error {
  constructor(status, code) {
    super(code);
    this.name = "BodyError";
    this.status = status;
    this.code = code;
  }
}

const READS = 256;

export class BodyReader {
  #maxBytes;
  #timeoutMs;
  #open = new Set();
  #bytes = 0;

  constructor({ maxBytes, timeoutMs }) {
    this.#maxBytes = maxBytes;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Returns the body as one Buffer, byte for byte. Content-Length is believed only when it promises too much already.
   * After a failure the rest is not read: the caller answers and closes the connection.
   */
  read(req) {
    if (Number(req.headers["content-length"]) > this.#maxBytes) return Promise.reject(new BodyError(413, "body_too_large"));
    return new Promise((resolve, reject) => this.#start(req, { resolve, reject }));
  }

  #start(req, { resolve, reject }) {
    const read = { chunks: [], size: 0, end: (error) => finish(error) };
    const timer = setTimeout(() => finish(new BodyError(408, "body_timeout")), this.#timeoutMs);
    const listeners = {
      data: (chunk) => this.#take(read, chunk),
      end: () => finish(null),
      error: () => finish(new BodyError(0, "connection_lost")),
      close: () => finish(new BodyError(0, "connection_lost")),
    };
    const finish = (error) => {
      clearTimeout(timer);
      this.#open.delete(read);
      this.#bytes -= read.size;
      for (const [event, listener] of Object.entries(listeners)) req.off(event, listener);
      if (!error) return resolve(Buffer.concat(read.chunks, read.size));
      req.pause();
      req.on("error", () => {}); // the connection is given up; its end is no news
      return reject(error);
    };
    this.#open.add(read);
    for (const [event, listener] of Object.entries(listeners)) req.on(event, listener);
    this.#giveUpSome();
  }

  #take(read, chunk) {
    read.size += chunk.length;
    this.#bytes += chunk.length;
    read.chunks.push(chunk);
    if (read.size > this.#maxBytes) read.end(new BodyError(413, "body_too_large"));
    else this.#giveUpSome();
  }

  #giveUpSome() {
    while (this.#open.size > READS || this.#bytes > 4 * this.#maxBytes) {
      const [oldest] = this.#open;
      oldest.end(new BodyError(408, "body_given_up"));
    }
  }
}
