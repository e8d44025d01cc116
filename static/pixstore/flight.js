/**
 * One image on its way, and everybody who waits for it. Imports nothing.
 *
 * Who leaves does not stop it for the others; when the last one has left, it is called off.
 * @template T
 */
export class Flight {
  /** @type {Set<() => boolean>} */
  #passengers = new Set()
  #controller = new AbortController()
  /** @type {Promise<T>} */
  #arrival

  /** Whether the image may go into the cache when it arrives. */
  mayBeKept = true

  /**
   * @param {{ id: string, token?: number | undefined }} image
   * @param {unknown} context
   * @param {() => Promise<T>} journey  begins when the flight can be joined
   */
  constructor({ id, token }, context, journey) {
    this.id = id
    this.token = token
    this.context = context
    this.#arrival = Promise.resolve().then(journey)
    this.#arrival.catch(() => {}) // everybody may have left
  }

  get signal() {
    return this.#controller.signal
  }

  /** Whether anybody who waits sees the place where the image will be. */
  isUrgent = () => [...this.#passengers].some((isUrgent) => isUrgent())

  /**
   * Waits for the image until it has come or `signal` says not to.
   * @param {AbortSignal | undefined} signal
   * @param {() => boolean} isUrgent
   * @returns {Promise<T>}
   */
  async join(signal, isUrgent) {
    const passenger = () => isUrgent()
    this.#passengers.add(passenger)
    /** @type {() => void} */
    let leave = () => {}
    const left = new Promise((_, reject) => {
      leave = () => reject(signal?.reason)
      signal?.addEventListener('abort', leave)
      if (signal?.aborted) leave()
    })
    try {
      return /** @type {T} */ (await Promise.race([this.#arrival, left]))
    } finally {
      signal?.removeEventListener('abort', leave)
      this.#passengers.delete(passenger)
      if (this.#passengers.size === 0) this.#controller.abort(new DOMException('nobody waits for it', 'AbortError'))
    }
  }
}
