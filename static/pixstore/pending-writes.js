/**
 * Data that the cache has not written yet: images, and the times at which images were used. Imports nothing.
 *
 * Both wait a little, so that many are written in one transaction and no picture has to wait for a write.
 */

/** @typedef {import('./cache-database.js').Entry} Entry */

/** Images are written when none has come for this long, but at the latest this long after the first. */
const ENTRY_DELAY = 40
const LONGEST_ENTRY_DELAY = 500

/** When more bytes than this wait, they are written at once. */
const MANY_BYTES = 8 * 2 ** 20
/** No more bytes than this may wait; further images are not cached. */
const MOST_BYTES = 64 * 2 ** 20

const USES_DELAY = 1000
/** A use within this time after the last one noted is not noted again. */
const USE_INTERVAL = 60_000

/** Images that are not written yet. Until they are, they can be found here. */
export class PendingEntries {
  #write
  /** @type {Map<string, Entry>} */
  #entries = new Map()
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer
  /** When the first of the images that wait now came. */
  #waitingSince = 0
  /** @type {Promise<void>} */
  #writing = Promise.resolve()

  /** @param {(entries: Entry[]) => Promise<void>} write  must not fail */
  constructor(write) {
    this.#write = write
  }

  /**
   * @param {string} id
   * @param {number} token
   */
  find(id, token) {
    const entry = this.#entries.get(id)
    return entry?.token === token ? entry : undefined
  }

  /** @param {Entry} entry */
  add(entry) {
    let bytes = entry.bytes.size
    for (const waiting of this.#entries.values()) bytes += waiting.bytes.size
    if (bytes > MOST_BYTES) return
    this.#entries.set(entry.id, entry)
    this.#writeIn(bytes > MANY_BYTES ? 0 : ENTRY_DELAY)
  }

  /**
   * Whether there was such an image.
   * @param {string} id
   */
  delete(id) {
    return this.#entries.delete(id)
  }

  clear() {
    this.#entries.clear()
  }

  /** Writes everything now. Resolves when the attempt is over. */
  flush() {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing = this.#writing.then(() => this.#writeAll())
    return this.#writing
  }

  /** Resolves when the write under way, if there is one, has ended. */
  writeUnderWay() {
    return this.#writing
  }

  /** @param {number} delay */
  #writeIn(delay) {
    const now = Date.now()
    if (this.#timer === undefined) this.#waitingSince = now
    clearTimeout(this.#timer)
    const left = this.#waitingSince + LONGEST_ENTRY_DELAY - now
    this.#timer = setTimeout(() => this.flush(), Math.min(delay, left))
  }

  async #writeAll() {
    const entries = [...this.#entries.values()]
    if (!entries.length) return
    await this.#write(entries)
    // A newer version that has come during the write stays.
    for (const entry of entries) {
      if (this.#entries.get(entry.id) === entry) this.#entries.delete(entry.id)
    }
  }
}

/** Times of use that are not written yet. */
export class PendingUses {
  #write
  /** @type {Map<string, number>} */
  #times = new Map()
  /** When each image was last noted, written or not.
   * @type {Map<string, number>} */
  #lastNoted = new Map()

  /** @param {(uses: [id: string, lastUsed: number][]) => void} write  must not fail */
  constructor(write) {
    this.#write = write
  }

  /**
   * Notes that an image is used now.
   * @param {string} id
   */
  note(id) {
    const now = Date.now()
    if (now - (this.#lastNoted.get(id) ?? 0) < USE_INTERVAL) return
    if (this.#times.size === 0) setTimeout(() => this.flush(), USES_DELAY)
    this.#times.set(id, now)
    this.#lastNoted.set(id, now)
  }

  clear() {
    this.#times.clear()
    this.#lastNoted.clear()
  }

  /** Writes everything now. */
  flush() {
    const uses = [...this.#times]
    this.#times.clear()
    if (uses.length) this.#write(uses)
  }
}
