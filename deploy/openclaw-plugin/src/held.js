/**
 * The signed requests that wait for an outcome: so many in all, and so few for one event, for a repeat learns nothing that
 * the one before it does not learn. One whose client has left waits for nothing, however long its turn still takes.
 */

const PER_EVENT = 3;

export class Held {
  #most;
  #size = 0;
  #events = new Map();

  constructor(most) {
    this.#most = most;
  }

  /** Says whether no other request can be held. */
  get isFull() {
    return this.#size >= this.#most;
  }

  /** Says whether enough requests wait for this event. */
  isCrowded(event) {
    return (this.#events.get(event) ?? 0) >= PER_EVENT;
  }

  /** Holds a request until its response is over, or its connection. */
  add(event, res) {
    if (res.destroyed) return;
    this.#size++;
    this.#events.set(event, (this.#events.get(event) ?? 0) + 1);
    res.once("close", () => this.#remove(event));
  }

  #remove(event) {
    this.#size--;
    const left = this.#events.get(event) - 1;
    if (left > 0) this.#events.set(event, left);
    else this.#events.delete(event);
  }
}
