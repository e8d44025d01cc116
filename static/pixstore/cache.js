/**
 * The pictures this browser already has: when they are read, written and evicted, and whose they are. Imports store,
 * connection and errors.
 *
 * - A failing cache is a miss, never an error for the picture. Only where somebody relies on something being gone
 *   (`delete`, `clear`) or asks about it (`has`, `usage`) does a failure show.
 * - Lookups of one tick share one transaction. Writes that come at about the same time share one. Times of use are noted
 *   later, many at once, and beside the bytes, so that they neither wait for bytes nor let them wait.
 * - The cache belongs to one owner. Its epoch changes when it is emptied or taken over; a page that knows another epoch has
 *   been overtaken (by a logout in another tab, say) and keeps its hands off: it reads nothing and writes nothing.
 */
import { nameOf, within } from './connection.js'
import { PixstoreError } from './errors.js'
import { ImageStore } from './store.js'

/** @typedef {import('./store.js').Entry} Entry */
/** @typedef {import('./store.js').Totals} Totals */
/** @typedef {{ id: string, token: number, answer: (bytes: Blob | undefined) => void }} Lookup */

/**
 * @typedef {object} CacheOptions
 * @property {string} name  of the database
 * @property {number} version  of the database
 * @property {string} imageStore  name of the object store of bytes
 * @property {Promise<string>} owner  a fingerprint; what another owner has left is dropped
 * @property {number} imageLimit
 * @property {number} byteLimit
 * @property {number} cleanupBatch  how many images more than needed are evicted at once
 */

/** A picture waits no longer for its cached bytes than this; then it is fetched, and for a while the cache left alone. */
const READ_DEADLINE = 2000
const REST_WHEN_SLOW = 30_000

/** Writing waits until no picture has come for a while, so that it holds up none; but not for long, nor for many bytes. */
const WRITE_DELAY = 40
const LONGEST_WRITE_DELAY = 500
const MANY_BYTES_WAITING = 8 * 2 ** 20
const MOST_BYTES_WAITING = 64 * 2 ** 20
/** After a write for which there was no room, the first time; twice as long each time until one succeeds. */
const REST_WHEN_FULL = 2000

const USES_DELAY = 1000
/** A use within this time of the last one noted is not noted again. */
const USE_GRAIN = 60_000

/** Of what the browser grants this origin, so much stays free. */
const QUOTA_RESERVE = 0.1
const ESTIMATE_LIFETIME = 30_000

export class ImageCache {
  #options
  #store

  /** @type {string | undefined} the epoch this page belongs to; undefined before the first contact */
  #epoch
  #overtaken = false
  #closed = false
  #slowUntil = 0
  #fullUntil = 0
  #restWhenFull = REST_WHEN_FULL

  /** @type {Lookup[]} */
  #lookups = []
  /** @type {Map<string, Entry>} */
  #unwritten = new Map()
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #writeTimer
  /** When the first of what waits to be written came. */
  #waitingSince = 0
  /** @type {Promise<void>} */
  #writing = Promise.resolve()
  /** @type {Map<string, number>} */
  #usesToNote = new Map()
  /** @type {Map<string, number>} */
  #usesNoted = new Map()
  /** @type {{ at: number, room: number } | undefined} */
  #estimate

  /** @param {CacheOptions} options */
  constructor(options) {
    this.#options = options
    this.#store = new ImageStore(options.name, options.version, options.imageStore)
    addEventListener('pagehide', this.#flush)
  }

  /**
   * The bytes of this version of an image, or undefined.
   * @param {string} id
   * @param {number} token
   * @returns {Promise<Blob | undefined>}
   */
  find(id, token) {
    const unwritten = this.#unwritten.get(id)
    if (unwritten?.token === token) return Promise.resolve(unwritten.bytes)
    if (this.#overtaken || this.#closed || Date.now() < this.#slowUntil) return Promise.resolve(undefined)
    return new Promise((answer) => {
      if (this.#lookups.push({ id, token, answer }) === 1) queueMicrotask(() => this.#look())
    })
  }

  /**
   * Keeps an image, soon.
   * @param {Entry} entry
   */
  add(entry) {
    if (this.#overtaken || this.#closed || Date.now() < this.#fullUntil) return
    let waiting = entry.bytes.size
    if (waiting > this.#options.byteLimit) return
    for (const { bytes } of this.#unwritten.values()) waiting += bytes.size
    if (waiting > MOST_BYTES_WAITING) return
    this.#unwritten.set(entry.id, entry)
    this.#writeSoon(waiting > MANY_BYTES_WAITING ? 0 : WRITE_DELAY)
  }

  /** @param {number} delay */
  #writeSoon(delay) {
    const now = Date.now()
    if (this.#writeTimer === undefined) this.#waitingSince = now
    clearTimeout(this.#writeTimer)
    const left = this.#waitingSince + LONGEST_WRITE_DELAY - now
    this.#writeTimer = setTimeout(() => this.settled(), Math.min(delay, left))
  }

  /** Resolves when what has been added is written, or given up. */
  settled() {
    clearTimeout(this.#writeTimer)
    this.#writeTimer = undefined
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  /** Makes the cache this owner's at once, emptied if it was another's. Never fails. */
  async claim() {
    try {
      if (await this.#isMine()) return
      const owner = await this.#options.owner
      const about = await this.#store.startEpoch(owner, newEpoch(), (found) => found.owner === owner)
      this.#epoch ??= about.epoch
    } catch {
      // Where there is no cache, there is nobody else's in it either.
    }
  }

  /** Whether the cache is, or was when this page first looked, its owner's. */
  async #isMine() {
    if (this.#epoch === undefined) {
      const owner = await this.#options.owner
      const about = await this.#store.about()
      if (about.owner === owner) this.#epoch ??= about.epoch
    }
    return this.#epoch !== undefined
  }

  /**
   * Drops an entry that turned out to be unusable. Never fails.
   * @param {string} id
   */
  async discard(id) {
    try {
      await this.delete(id)
    } catch {
      // It will be found unusable again, and fetched again.
    }
  }

  /**
   * Whether there was such an image.
   * @param {string} id
   */
  async delete(id) {
    const unwritten = this.#unwritten.delete(id)
    await this.#writing
    const written = await this.#asked(() => this.#store.delete(id))
    return written || unwritten
  }

  /** @param {string} id */
  async has(id) {
    await this.settled()
    return await this.#asked(async () => this.#store.has(id, await this.#belongs())) ?? false
  }

  /**
   * How much is in the cache.
   * @returns {Promise<Totals>}
   */
  async usage() {
    await this.settled()
    return await this.#asked(async () => this.#store.totals(await this.#belongs())) ?? { images: 0, bytes: 0 }
  }

  /** Removes every image, also where the database cannot be read any more. This page may fill the cache again. */
  async clear() {
    this.#unwritten.clear()
    this.#usesToNote.clear()
    this.#usesNoted.clear()
    await this.#writing
    await this.#asked(async () => {
      try {
        this.#epoch = (await this.#store.startEpoch(await this.#options.owner, newEpoch(), () => false)).epoch
      } catch {
        await this.#store.destroy()
        this.#epoch = undefined
      }
      this.#overtaken = false
    })
  }

  /** Writes what waits, then closes for good. */
  close() {
    this.#flush()
    this.#closed = true
    removeEventListener('pagehide', this.#flush)
    this.#writing.then(() => this.#store.close())
  }

  /**
   * What somebody asks of the cache itself, and must be told about. Undefined: there is no storage, so nothing in it.
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T | undefined>}
   */
  async #asked(work) {
    if (!storageExists()) return undefined
    try {
      return await work()
    } catch (error) {
      throw new PixstoreError("The browser's storage does not work.", 'cache', { cause: error })
    }
  }

  // --- reading ---

  async #look() {
    const lookups = this.#lookups
    this.#lookups = []
    try {
      await within(this.#answerAll(lookups), READ_DEADLINE)
    } catch (error) {
      if (nameOf(error) === 'TimeoutError') this.#slowUntil = Date.now() + REST_WHEN_SLOW
    }
    // Misses are told when the whole batch is known, so that they are fetched together; hits were answered as they came.
    for (const { answer } of lookups) answer(undefined)
  }

  /** @param {Lookup[]} lookups */
  async #answerAll(lookups) {
    if (!await this.#isMine()) {
      this.claim() // nothing of it is for us: what we ask for need not wait until it is gone
      return
    }
    await this.#store.read(new Set(lookups.map(({ id }) => id)), (id, row) => {
      if (row && row.epoch !== this.#epoch) this.#overtaken = true
      if (this.#overtaken) return
      for (const lookup of lookups) if (lookup.id === id) this.#answer(lookup, row)
    })
  }

  /**
   * @param {Lookup} lookup
   * @param {import('./store.js').ImageRow | undefined} row
   */
  #answer({ id, token, answer }, row) {
    if (row?.token !== token) return
    if (!(row.bytes instanceof Blob) || row.bytes.size === 0 || row.bytes.size !== row.size) {
      this.discard(id)
      return
    }
    this.#noteUse(id)
    answer(row.bytes)
  }

  /** @returns {Promise<import('./store.js').Belongs>} */
  async #belongs() {
    const owner = await this.#options.owner
    return (about) => {
      if (this.#epoch === undefined && about.owner === owner) this.#epoch = about.epoch
      if (this.#epoch !== undefined && about.epoch !== this.#epoch) this.#overtaken = true
      return this.#epoch !== undefined && !this.#overtaken
    }
  }

  /** @param {string} id */
  #noteUse(id) {
    const now = Date.now()
    if (now - (this.#usesNoted.get(id) ?? 0) < USE_GRAIN) return
    if (this.#usesToNote.size === 0) setTimeout(() => this.#writeUses(), USES_DELAY)
    this.#usesToNote.set(id, now)
    this.#usesNoted.set(id, now)
  }

  // --- writing ---

  #flush = () => {
    this.settled()
    this.#writeUses()
  }

  async #write() {
    const entries = [...this.#unwritten.values()]
    if (!entries.length) return
    try {
      await this.claim()
      const totals = await this.#putMakingRoom(entries)
      this.#restWhenFull = REST_WHEN_FULL
      if (totals) await this.#keepLimits(totals)
    } catch (error) {
      if (isQuota(error)) this.#rest()
    }
    // Until now they could be found here; a newer version that has come since stays.
    for (const entry of entries) {
      if (this.#unwritten.get(entry.id) === entry) this.#unwritten.delete(entry.id)
    }
  }

  /** @param {Entry[]} entries */
  async #putMakingRoom(entries) {
    const belongs = await this.#belongs()
    try {
      return await this.#store.put(entries, Date.now(), belongs)
    } catch (error) {
      if (!isQuota(error)) throw error
      const needed = entries.reduce((sum, { bytes }) => sum + bytes.size, 0)
      /** @param {Totals} total */
      const goal = ({ images, bytes }) => ({ images, bytes: Math.min(bytes - 2 * needed, bytes * 0.8) })
      await this.#store.evict(goal, belongs, { onlyDelete: true })
      return this.#store.put(entries, Date.now(), belongs)
    }
  }

  #rest() {
    this.#fullUntil = Date.now() + this.#restWhenFull
    this.#restWhenFull *= 2
  }

  async #writeUses() {
    const uses = [...this.#usesToNote]
    this.#usesToNote.clear()
    if (!uses.length || this.#overtaken) return
    try {
      await this.#store.noteUses(uses)
    } catch {
      // Eviction will be a little less well informed.
    }
  }

  // --- limits ---

  /**
   * One cleaner at a time over all tabs; each looks anew when its turn comes, so none cleans what another has.
   * @param {Totals} totals
   */
  async #keepLimits(totals) {
    const { name, imageLimit, byteLimit, cleanupBatch } = this.#options
    const allowed = Math.min(byteLimit, await this.#room(totals.bytes))
    if (totals.images <= imageLimit && totals.bytes <= allowed) return
    const belongs = await this.#belongs()
    const clean = () => this.#store.evict(({ images, bytes }) => ({
      images: images > imageLimit ? imageLimit - cleanupBatch : images,
      bytes: bytes > allowed ? allowed * 0.9 : bytes,
    }), belongs)
    await (navigator.locks ? navigator.locks.request(`pixstore-cleaner:${name}`, clean) : clean())
  }

  /**
   * How many bytes the cache may hold by what the browser says of its quota.
   * @param {number} cached
   */
  async #room(cached) {
    const now = Date.now()
    if (!this.#estimate || now - this.#estimate.at > ESTIMATE_LIFETIME) {
      const { quota, usage } = await estimate()
      this.#estimate = { at: now, room: Math.max(0, cached + quota * (1 - QUOTA_RESERVE) - usage) }
    }
    return this.#estimate.room
  }
}

function newEpoch() {
  return `${Date.now()}-${Math.random()}`
}

async function estimate() {
  try {
    const { quota = Infinity, usage = 0 } = await navigator.storage.estimate()
    return { quota, usage }
  } catch {
    return { quota: Infinity, usage: 0 }
  }
}

/** @param {unknown} error */
function isQuota(error) {
  return nameOf(error) === 'QuotaExceededError'
}

function storageExists() {
  try {
    return !!globalThis.indexedDB
  } catch {
    return false // some browsers throw where a page may store nothing
  }
}
