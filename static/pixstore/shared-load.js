/**
 * One load of one image, shared by every caller that asked for it meanwhile. Imports nothing.
 *
 * A caller that stops waiting does not stop the load for the others. When the last one has stopped waiting, the load is
 * aborted.
 * @template T
 */
export class SharedLoad {
  /** For each waiting caller a function that says whether its picture would be seen now.
   * @type {Set<() => boolean>} */
  #callers = new Set()
  #controller = new AbortController()
  /** @type {Promise<T>} */
  #result

  /** Whether the image may be cached when it has come. */
  mayBeCached = true

  /**
   * @param {{ id: string, token?: number | undefined }} image
   * @param {unknown} context
   * @param {() => Promise<T>} load  called in the next microtask, so that it can refer to this object
   */
  constructor({ id, token }, context, load) {
    this.id = id
    this.token = token
    this.context = context
    this.#result = Promise.resolve().then(load)
    this.#result.catch(() => {}) // when no caller is left, nobody else handles the error
  }

  /** Aborted when no caller waits any more. */
  get signal() {
    return this.#controller.signal
  }

  /** Whether any waiting caller would show the picture on screen now. */
  isUrgent = () => [...this.#callers].some((isUrgent) => isUrgent())

  /**
   * Waits for the image, until `signal` says to stop.
   * @param {AbortSignal | undefined} signal
   * @param {() => boolean} isUrgent
   * @returns {Promise<T>}
   */
  async wait(signal, isUrgent) {
    const caller = () => isUrgent() // a new function each time: two callers may pass the same one
    this.#callers.add(caller)
    /** @type {() => void} */
    let stop = () => {}
    const stopped = new Promise((_, reject) => {
      stop = () => reject(signal?.reason)
      signal?.addEventListener('abort', stop)
      if (signal?.aborted) stop()
    })
    try {
      return /** @type {T} */ (await Promise.race([this.#result, stopped]))
    } finally {
      signal?.removeEventListener('abort', stop)
      this.#callers.delete(caller)
      if (this.#callers.size === 0) this.#controller.abort(new DOMException('nobody waits for the image', 'AbortError'))
    }
  }
}
