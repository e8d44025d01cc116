/**
 * The object stores of the cache and the transactions on them. Imports database-connection.
 *
 *     <images>        { id, token, size, epoch, bytes: Blob }    read on every hit, written once per version of an image
 *     <images>-uses   { id, token, size, lastUsed }              read by eviction; index on [lastUsed, size]
 *     <images>-about  { owner, epoch, images, bytes }            one row: the owner of the images, and about how many there are
 *
 * An epoch is the time from one emptying of the cache to the next; it belongs to one owner. Callers that add or evict images
 * name the epoch they expect; if the database is in another one, nothing is changed. The answer says which epoch was found.
 *
 * Bytes are kept as Blobs. A hit then copies no bytes, and deleted bytes leave the disk: browsers keep each
 * Blob in its own file, while bytes within a row stay readable in the database files long after the row is
 * gone.
 *
 * No transaction waits for a fetch, a decryption or anything else. Durability is relaxed: images lost in a
 * crash can be fetched again. A write counts once its transaction has completed.
 */
import { DatabaseConnection, abort } from './database-connection.js'

/** @typedef {import('./database-connection.js').Database} Database */
/** @typedef {{ id: string, token: number, bytes: Blob }} Entry */
/** @typedef {{ id: string, token: number, size: number, epoch: string, bytes: Blob }} ImageRow */
/** @typedef {{ id: string, token: number, size: number, lastUsed: number }} UseRow */
/** @typedef {{ images: number, bytes: number }} Totals */
/** @typedef {Totals & { owner: string, epoch: string }} About */

/** Two stores within a write transaction, and the row of the third store, which is written back at the end.
 * @typedef {{ images: any, uses: any, about: About }} Stores */

/**
 * The epoch that the database was in, and the result; without a result if another epoch was expected.
 * @template T
 * @typedef {{ epoch: string, result?: T }} Found
 */

const ABOUT_KEY = 'about'
const LEAST_RECENTLY_USED = 'lru'
const RELAXED = /** @type {const} */ ({ durability: 'relaxed' })
const EVICTED_PER_TRANSACTION = 500

/** @returns {About} */
const nobodys = () => ({ owner: '', epoch: '', images: 0, bytes: 0 })

export class CacheDatabase {
  #connection
  #names

  /**
   * @param {string} name
   * @param {number} version
   * @param {string} images  name of the store of bytes; the others are named after it
   */
  constructor(name, version, images) {
    this.#names = { images, uses: `${images}-uses`, about: `${images}-about` }
    this.#connection = new DatabaseConnection(name, version, Object.values(this.#names), (created) => {
      created.createObjectStore(this.#names.images, { keyPath: 'id' })
      created.createObjectStore(this.#names.uses, { keyPath: 'id' }).createIndex(LEAST_RECENTLY_USED, ['lastUsed', 'size'])
      created.createObjectStore(this.#names.about)
    })
  }

  // --- the owner of the images ---

  /**
   * The owner and the totals of the images. This read waits for no write.
   * @returns {Promise<About>}
   */
  about() {
    return this.#connection.run(async (database) => await database.get(this.#names.about, ABOUT_KEY) ?? nobodys())
  }

  /**
   * Makes `owner` the owner of the database. If it had another owner, it is emptied and a new epoch begins.
   * @param {string} owner
   * @param {string} newEpoch
   * @returns {Promise<string>}  the epoch that the database is in now
   */
  async claim(owner, newEpoch) {
    const { epoch } = await this.#change(async (stores) => {
      if (stores.about.owner !== owner) empty(stores, owner, newEpoch)
    })
    return epoch
  }

  /**
   * Removes every image of every owner, and begins a new epoch of `owner`.
   * @param {string} owner
   * @param {string} newEpoch
   * @returns {Promise<string>}  the epoch that the database is in now
   */
  async clear(owner, newEpoch) {
    const { epoch } = await this.#change(async (stores) => empty(stores, owner, newEpoch))
    return epoch
  }

  // --- reading ---

  /**
   * Reads many images in one transaction. Passes each to `onImage` as soon as it is read, except those of
   * another epoch.
   * @param {Iterable<string>} ids
   * @param {string} epoch
   * @param {(row: ImageRow) => void} onImage
   * @returns {Promise<Found<void>>}
   */
  read(ids, epoch, onImage) {
    return this.#connection.run(async (database) => {
      const transaction = this.#connection.begin(database, this.#names.images)
      const images = transaction.objectStore(this.#names.images)
      let found = epoch
      const reads = Array.from(ids, async (id) => {
        /** @type {ImageRow | undefined} */
        const row = await images.get(id)
        if (row?.epoch === epoch) onImage(row)
        else if (row) found = row.epoch
      })
      await Promise.all([...reads, transaction.done])
      return { epoch: found }
    })
  }

  /**
   * Whether there is such an image.
   * @param {string} id
   * @returns {Promise<Found<boolean>>}
   */
  has(id) {
    return this.#connection.run(async (database) => {
      const transaction = this.#connection.begin(database, [this.#names.images, this.#names.about])
      const [key, about] = await Promise.all([
        transaction.objectStore(this.#names.images).getKey(id),
        transaction.objectStore(this.#names.about).get(ABOUT_KEY),
        transaction.done,
      ])
      return { epoch: epochOf(about), result: key !== undefined }
    })
  }

  /**
   * Counts the images and adds up their bytes.
   * @returns {Promise<Found<Totals>>}
   */
  totals() {
    return this.#connection.run(async (database) => {
      const transaction = this.#connection.begin(database, [this.#names.uses, this.#names.about])
      const [rows, about] = await Promise.all([
        transaction.objectStore(this.#names.uses).getAll(),
        transaction.objectStore(this.#names.about).get(ABOUT_KEY),
        transaction.done,
      ])
      return { epoch: epochOf(about), result: sum(rows) }
    })
  }

  // --- writing ---

  /**
   * Writes images in one transaction. The result is an estimate of the totals afterwards, never too low.
   * @param {Entry[]} entries
   * @param {number} lastUsed
   * @param {string} epoch
   * @returns {Promise<Found<Totals>>}
   */
  put(entries, lastUsed, epoch) {
    return this.#change(async ({ images, uses, about }) => {
      await Promise.all(entries.map(async ({ id, token, bytes }) => {
        const size = bytes.size
        /** @type {UseRow | undefined} */
        const old = await uses.get(id)
        about.images += old ? 0 : 1
        about.bytes += size - (old?.size ?? 0)
        send(images.put({ id, token, size, epoch, bytes }))
        send(uses.put({ id, token, size, lastUsed }))
      }))
      return about
    }, { epoch })
  }

  /**
   * Deletes an image, in any epoch. Returns whether there was one.
   * @param {string} id
   * @returns {Promise<boolean>}
   */
  async delete(id) {
    const { result } = await this.#change(async ({ images, uses, about }) => {
      const found = await images.getKey(id) !== undefined
      /** @type {UseRow | undefined} */
      const row = await uses.get(id)
      about.images -= row ? 1 : 0
      about.bytes -= row?.size ?? 0
      send(images.delete(id))
      send(uses.delete(id))
      return found
    })
    return !!result
  }

  /**
   * Notes when images were last used. An image that has been deleted in the meantime stays deleted.
   * @param {Iterable<[id: string, lastUsed: number]>} uses
   */
  noteUses(uses) {
    return this.#connection.run(async (database) => {
      const transaction = this.#connection.begin(database, this.#names.uses, 'readwrite', RELAXED)
      const store = transaction.objectStore(this.#names.uses)
      const notes = Array.from(uses, async ([id, lastUsed]) => {
        /** @type {UseRow | undefined} */
        const row = await store.get(id)
        if (row) send(store.put({ ...row, lastUsed }))
      })
      await Promise.all([...notes, transaction.done])
    })
  }

  /**
   * Removes the least recently used images until no more are left than `goalFor` allows. Loads no bytes: the index holds
   * their sizes, and a key cursor walks it.
   * @param {(totals: Totals) => Totals} goalFor  called once, with the totals at the beginning
   * @param {string} epoch
   * @param {{ onlyDelete?: boolean }} [options]
   * @returns {Promise<Found<void>>}
   */
  async evict(goalFor, epoch, options) {
    /** @type {Totals | undefined} */
    let goal
    for (;;) {
      const { epoch: found, result: isUnfinished } = await this.#change(async ({ images, uses, about }) => {
        Object.assign(about, sum(await uses.getAll()))
        const { images: mostImages, bytes: mostBytes } = goal ??= goalFor({ images: about.images, bytes: about.bytes })
        const isTooMuch = () => about.images > mostImages || about.bytes > mostBytes
        let budget = EVICTED_PER_TRANSACTION
        let cursor = isTooMuch() ? await uses.index(LEAST_RECENTLY_USED).openKeyCursor() : null
        for (; cursor && isTooMuch() && budget; budget -= 1) {
          about.images -= 1
          about.bytes -= cursor.key[1]
          send(images.delete(cursor.primaryKey))
          send(uses.delete(cursor.primaryKey))
          cursor = await cursor.continue()
        }
        return budget === 0
      }, { epoch, ...options })
      if (!isUnfinished) return { epoch: found }
    }
  }

  // --- the database as a whole ---

  /** Deletes the whole database, whatever its version and state. */
  destroy() {
    return this.#connection.destroy()
  }

  close() {
    this.#connection.close()
  }

  /**
   * One write transaction over all three stores, which keeps the row `about` up to date. Does nothing if the
   * database is in another epoch than the expected one.
   * @template T
   * @param {(stores: Stores) => Promise<T>} work
   * @param {{ epoch?: string, onlyDelete?: boolean }} [options]  epoch: the one that is expected; onlyDelete: do not write
   *     `about`, because on a full disk browsers refuse even the smallest row
   * @returns {Promise<Found<T>>}
   */
  #change(work, { epoch, onlyDelete = false } = {}) {
    return this.#connection.run(async (database) => {
      const { images, uses, about: aboutName } = this.#names
      const transaction = this.#connection.begin(database, [images, uses, aboutName], 'readwrite', RELAXED)
      const changing = async () => {
        const aboutStore = transaction.objectStore(aboutName)
        /** @type {About} */
        const about = { ...nobodys(), ...await aboutStore.get(ABOUT_KEY) }
        if (epoch !== undefined && epoch !== about.epoch) return { epoch: about.epoch }
        const result = await work({
          images: transaction.objectStore(images), uses: transaction.objectStore(uses), about,
        })
        if (!onlyDelete && about.epoch) send(aboutStore.put(about, ABOUT_KEY))
        return { epoch: about.epoch, result }
      }
      try {
        const [found] = await Promise.all([changing(), transaction.done])
        return found
      } catch (error) {
        abort(transaction)
        // The requests of a failed transaction only say that they were aborted; the transaction itself knows why.
        throw transaction.error ?? error
      }
    })
  }
}

/**
 * Removes all images, and begins an epoch.
 * @param {Stores} stores
 * @param {string} owner
 * @param {string} epoch
 */
function empty({ images, uses, about }, owner, epoch) {
  send(images.delete(IDBKeyRange.lowerBound(-Infinity))) // in WebKit clear() leaves the Blobs' files on disk
  send(uses.clear())
  Object.assign(about, { owner, epoch, images: 0, bytes: 0 })
}

/** @param {About | undefined} about */
function epochOf(about) {
  return (about ?? nobodys()).epoch
}

/**
 * @param {UseRow[]} rows
 * @returns {Totals}
 */
function sum(rows) {
  return { images: rows.length, bytes: rows.reduce((bytes, { size }) => bytes + size, 0) }
}

/**
 * Sends a write request without waiting for it. If it fails, its transaction fails as well, and its caller waits for that.
 * @param {Promise<unknown>} request
 */
function send(request) {
  request.catch(() => {})
}
