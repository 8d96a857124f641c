/**
 * The loop that runs turns. A turn must not run in the async scope of the webhook's request: the gateway counts that scope
 * as ended with the request, and refuses what goes on in it. So requests only put jobs here, and the loop, which belongs
 * to the account, starts them. Jobs of one lane (a conversation) run one after the other, in order; lanes do not wait for
 * each other.
 */

/** No turn can be started: the gateway is starting, stopping or draining. Nothing was done. */
export class Unavailable extends Error {
  constructor(message = "the gateway can start no turn") {
    super(message);
    this.name = "Unavailable";
  }
}

export class Turns {
  #jobs = [];
  #wake = () => {};
  #lanes;
  #running = new Set();
  #open = false;

  /** `lanes` are the ends of the lanes, which outlive an account: what it has left running is waited for by the next one. */
  constructor(lanes = new Map()) {
    this.#lanes = lanes;
  }

  /** Says whether jobs are taken. */
  get isOpen() {
    return this.#open;
  }

  /** Jobs that wait or run. */
  get pending() {
    return this.#jobs.length + this.#running.size;
  }

  /** Queues a job and returns its outcome. Rejects with Unavailable if it was not started. */
  submit(lane, work) {
    if (!this.#open) return Promise.reject(new Unavailable());
    return new Promise((resolve, reject) => {
      this.#jobs.push({ lane, work, resolve, reject });
      this.#wake();
    });
  }

  /** Runs jobs until the signal ends it, then gives those that run `graceMs` to end. What was not started is refused. */
  async serve(signal, graceMs = 5000) {
    this.#open = !signal.aborted;
    signal.addEventListener("abort", () => this.#close(), { once: true });
    while (this.#open) {
      for (const job of this.#jobs.splice(0)) this.#start(job);
      await new Promise((resolve) => {
        this.#wake = resolve;
        if (this.#jobs.length > 0 || !this.#open) resolve();
      });
    }
    await settledWithin([...this.#running], graceMs);
  }

  #close() {
    this.#open = false;
    for (const job of this.#jobs.splice(0)) job.reject(new Unavailable());
    this.#wake();
  }

  #start(job) {
    const before = this.#lanes.get(job.lane);
    const done = this.#run(before, job);
    this.#lanes.set(job.lane, done);
    this.#running.add(done);
    done.finally(() => {
      this.#running.delete(done);
      if (this.#lanes.get(job.lane) === done) this.#lanes.delete(job.lane);
    });
  }

  async #run(before, job) {
    await before;
    if (!this.#open) return job.reject(new Unavailable());
    try {
      return job.resolve(await job.work());
    } catch (error) {
      return job.reject(error);
    }
  }
}

async function settledWithin(promises, ms) {
  let timer;
  const timeout = new Promise((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([Promise.allSettled(promises), timeout]);
  clearTimeout(timer);
}
