/**
 * The cache of pictures in this browser: when they are read, written and evicted, and who owns the cache.
 * Imports cache-database, database-connection, errors and pending-writes.
 *
 * - A failing cache is a miss, never an error for the picture. Only callers that rely on a removal (`delete`,
 *   `clear`) or ask about the cache itself (`has`, `usage`) get an error.
 * - Lookups of one tick share one transaction. Writes at about the same time share one. Times of use are
 *   written later, many at once and into a separate store, so that they and the bytes do not wait for each
 *   other.
 * - The cache belongs to one owner. A new epoch begins whenever it is emptied or taken over. A page belongs to the epoch
 *   that it found or began. When it finds another one later (for example after a logout in another tab), it has been
 *   overtaken: from then on it reads nothing and writes nothing.
 */
import { CacheDatabase } from './cache-database.js'
import { errorName, withDeadline } from './database-connection.js'
import { PixstoreError } from './errors.js'
import { PendingEntries, PendingUses } from './pending-writes.js'

/** @typedef {import('./cache-database.js').Entry} Entry */
/** @typedef {import('./cache-database.js').ImageRow} ImageRow */
/** @typedef {import('./cache-database.js').Totals} Totals */
/** @template T @typedef {import('./cache-database.js').Found<T>} Found */
/** @typedef {{ id: string, token: number, answer: (bytes: Blob | undefined) => void }} Lookup */

/**
 * @typedef {object} CacheOptions
 * @property {string} name  of the database
 * @property {number} version  of the database
 * @property {string} imageStore  name of the object store of bytes
 * @property {Promise<string>} owner  a fingerprint; images of another owner are dropped
 * @property {number} imageLimit
 * @property {number} byteLimit
 * @property {number} cleanupBatch  how many images more than needed are evicted at once
 */

/**
 * A picture waits this long for its cached bytes. Then it is fetched, and for a while the cache is not asked.
 */
const READ_DEADLINE = 2000
const REST_WHEN_SLOW = 30_000

/** After a write that failed for lack of space, nothing is written for this long; after each further one twice as long. */
const REST_WHEN_FULL = 2000

/** This share of the origin's quota stays free. */
const QUOTA_RESERVE = 0.1
const ESTIMATE_LIFETIME = 30_000

export class ImageCache {
  #options
  #database
  #pendingEntries = new PendingEntries((entries) => this.#write(entries))
  #pendingUses = new PendingUses((uses) => this.#writeUses(uses))

  /** The epoch of this page, and whether it is over. Null until the page has found or begun an epoch.
   * @type {{ id: string, isOver: boolean } | null} */
  #epoch = null
  /** @type {Lookup[]} */
  #lookups = []
  #isClosed = false
  #slowUntil = 0
  #fullUntil = 0
  #restWhenFull = REST_WHEN_FULL
  /** @type {{ at: number, room: number } | undefined} */
  #estimate

  /** @param {CacheOptions} options */
  constructor(options) {
    this.#options = options
    this.#database = new CacheDatabase(options.name, options.version, options.imageStore)
    addEventListener('pagehide', this.#flush)
  }

  /**
   * The bytes of this version of an image, or undefined.
   * @param {string} id
   * @param {number} token
   * @returns {Promise<Blob | undefined>}
   */
  find(id, token) {
    const pending = this.#pendingEntries.find(id, token)
    if (pending) return Promise.resolve(pending.bytes)
    if (this.#epoch?.isOver || this.#isClosed || Date.now() < this.#slowUntil) return Promise.resolve(undefined)
    return new Promise((answer) => {
      if (this.#lookups.push({ id, token, answer }) === 1) queueMicrotask(() => this.#lookUp())
    })
  }

  /**
   * Caches an image, soon.
   * @param {Entry} entry
   */
  add(entry) {
    if (this.#epoch?.isOver || this.#isClosed || Date.now() < this.#fullUntil) return
    if (entry.bytes.size <= this.#options.byteLimit) this.#pendingEntries.add(entry)
  }

  /**
   * Makes the owner of this page the owner of the cache. Empties the cache if it had another owner. Never
   * fails.
   */
  async claim() {
    try {
      if (await this.#findEpoch()) return
      const id = await this.#database.claim(await this.#options.owner, newEpoch())
      this.#epoch ??= { id, isOver: false }
    } catch {
      // Without a cache, there are no pictures of another owner either.
    }
  }

  /**
   * Drops an entry that turned out to be unusable. Never fails.
   * @param {string} id
   */
  async discard(id) {
    try {
      await this.delete(id)
    } catch {
      // The next lookup finds it unusable again, and the image is fetched again.
    }
  }

  /**
   * Deletes an image. Returns whether there was one.
   * @param {string} id
   */
  async delete(id) {
    const wasPending = this.#pendingEntries.delete(id)
    await this.#pendingEntries.writeUnderWay()
    const wasWritten = await this.#reportingFailure(() => this.#database.delete(id))
    return wasWritten || wasPending
  }

  /** @param {string} id */
  async has(id) {
    await this.#pendingEntries.flush()
    return await this.#reportingFailure(() => this.#withinEpoch(() => this.#database.has(id))) ?? false
  }

  /**
   * How much is in the cache.
   * @returns {Promise<Totals>}
   */
  async usage() {
    await this.#pendingEntries.flush()
    const totals = await this.#reportingFailure(() => this.#withinEpoch(() => this.#database.totals()))
    return totals ?? { images: 0, bytes: 0 }
  }

  /** Removes every image, even if the database cannot be read any more. This page may fill the cache again. */
  async clear() {
    this.#pendingEntries.clear()
    this.#pendingUses.clear()
    await this.#pendingEntries.writeUnderWay()
    await this.#reportingFailure(async () => {
      try {
        const id = await this.#database.clear(await this.#options.owner, newEpoch())
        this.#epoch = { id, isOver: false }
      } catch {
        await this.#database.destroy()
        this.#epoch = null
      }
    })
  }

  /** Writes everything that is pending, then closes for good. */
  close() {
    this.#flush()
    this.#isClosed = true
    removeEventListener('pagehide', this.#flush)
    this.#pendingEntries.writeUnderWay().then(() => this.#database.close())
  }

  /**
   * Runs `work` for a caller who must know of a failure, and turns a failure into an error. Undefined: this
   * browser stores nothing.
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T | undefined>}
   */
  async #reportingFailure(work) {
    if (!storageExists()) return undefined
    try {
      return await work()
    } catch (error) {
      throw new PixstoreError("The browser's storage does not work.", 'cache', { cause: error })
    }
  }

  // --- the owner of the cache ---

  /** The epoch of this page, even if it is over by now; null while the cache has another owner. */
  async #findEpoch() {
    if (!this.#epoch) {
      const owner = await this.#options.owner
      const about = await this.#database.about()
      if (about.owner === owner) this.#epoch ??= { id: about.epoch, isOver: false }
    }
    return this.#epoch
  }

  /**
   * Calls the database if the cache belongs to this page. Only here the page learns that it has been
   * overtaken: the call finds the database in another epoch. Undefined: the cache does not, or no longer,
   * belong to this page.
   * @template T
   * @param {(epoch: string) => Promise<Found<T>>} call
   * @returns {Promise<T | undefined>}
   */
  async #withinEpoch(call) {
    const epoch = await this.#findEpoch()
    if (!epoch || epoch.isOver) return undefined
    const found = await call(epoch.id)
    if (found.epoch === epoch.id) return found.result
    epoch.isOver = true
    return undefined
  }

  // --- reading ---

  async #lookUp() {
    const lookups = this.#lookups
    this.#lookups = []
    try {
      await withDeadline(this.#answerHits(lookups), READ_DEADLINE)
    } catch (error) {
      if (errorName(error) === 'TimeoutError') this.#slowUntil = Date.now() + REST_WHEN_SLOW
    }
    // Hits were answered as they came. Misses are answered together at the end, so that they are fetched together.
    for (const { answer } of lookups) answer(undefined)
  }

  /** @param {Lookup[]} lookups */
  async #answerHits(lookups) {
    if (!await this.#findEpoch()) {
      this.claim() // no image in the cache belongs to this owner, so these lookups need not wait
      return
    }
    const ids = new Set(lookups.map(({ id }) => id))
    await this.#withinEpoch((epoch) => this.#database.read(ids, epoch, (row) => {
      for (const lookup of lookups) if (lookup.id === row.id && lookup.token === row.token) this.#answer(lookup, row)
    }))
  }

  /**
   * @param {Lookup} lookup
   * @param {ImageRow} row
   */
  #answer({ id, answer }, { bytes, size }) {
    if (!(bytes instanceof Blob) || bytes.size === 0 || bytes.size !== size) {
      this.discard(id)
      return
    }
    this.#pendingUses.note(id)
    answer(bytes)
  }

  // --- writing ---

  #flush = () => {
    this.#pendingEntries.flush()
    this.#pendingUses.flush()
  }

  /**
   * Never fails: images that cannot be written are not cached.
   * @param {Entry[]} entries
   */
  async #write(entries) {
    try {
      await this.claim()
      const totals = await this.#putMakingRoom(entries)
      this.#restWhenFull = REST_WHEN_FULL
      if (totals) await this.#keepLimits(totals)
    } catch (error) {
      if (!isQuota(error)) return
      this.#fullUntil = Date.now() + this.#restWhenFull
      this.#restWhenFull *= 2
    }
  }

  /**
   * Writes images. If the browser says there is no room, evicts old ones and tries once more.
   * @param {Entry[]} entries
   */
  async #putMakingRoom(entries) {
    const put = () => this.#withinEpoch((epoch) => this.#database.put(entries, Date.now(), epoch))
    try {
      return await put()
    } catch (error) {
      if (!isQuota(error)) throw error
      const needed = entries.reduce((sum, { bytes }) => sum + bytes.size, 0)
      /** @param {Totals} totals */
      const goalFor = ({ images, bytes }) => ({ images, bytes: Math.min(bytes - 2 * needed, bytes * 0.8) })
      await this.#withinEpoch((epoch) => this.#database.evict(goalFor, epoch, { onlyDelete: true }))
      return put()
    }
  }

  /** @param {[id: string, lastUsed: number][]} uses */
  async #writeUses(uses) {
    if (this.#epoch?.isOver) return
    try {
      await this.#database.noteUses(uses)
    } catch {
      // Eviction then chooses a little less well.
    }
  }

  // --- limits ---

  /**
   * Evicts images if there are too many. Only one tab at a time evicts. Each counts again when its turn
   * comes, so that it does not evict more than needed after another tab has evicted.
   * @param {Totals} totals
   */
  async #keepLimits(totals) {
    const { name, imageLimit, byteLimit, cleanupBatch } = this.#options
    const allowed = Math.min(byteLimit, await this.#room(totals.bytes))
    if (totals.images <= imageLimit && totals.bytes <= allowed) return
    /** @param {Totals} totals */
    const goalFor = ({ images, bytes }) => ({
      images: images > imageLimit ? imageLimit - cleanupBatch : images,
      bytes: bytes > allowed ? allowed * 0.9 : bytes,
    })
    const clean = () => this.#withinEpoch((epoch) => this.#database.evict(goalFor, epoch))
    await (navigator.locks ? navigator.locks.request(`pixstore-cleaner:${name}`, clean) : clean())
  }

  /**
   * How many bytes the cache may hold, by the browser's estimate of its quota.
   * @param {number} cached  how many it holds now
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
  return errorName(error) === 'QuotaExceededError'
}

function storageExists() {
  try {
    return !!globalThis.indexedDB
  } catch {
    return false // some browsers throw if a page may store nothing
  }
}
