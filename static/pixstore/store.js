/**
 * The object stores of the cache and the transactions over them. Imports connection.
 *
 *     <images>        { id, token, size, epoch, bytes: Blob }    read on every hit, written once per version of an image
 *     <images>-uses   { id, token, size, lastUsed }              what eviction needs; index on [lastUsed, size]
 *     <images>-about  { owner, epoch, images, bytes }            one row: whose images these are, and about how much they are
 *
 * Bytes are kept as Blobs. A hit then moves no bytes, and what is deleted leaves the disk: browsers keep a Blob in a file of
 * its own, while bytes within a record stay readable in their database files long after the record is gone.
 *
 * Nothing is fetched, decrypted or waited for within a transaction. Durability is relaxed: what a crash takes can be
 * fetched again. A write counts when its transaction is complete.
 */
import { Connection, abort } from './connection.js'

/** @typedef {import('./connection.js').Database} Database */
/** @typedef {{ id: string, token: number, bytes: Blob }} Entry */
/** @typedef {{ id: string, token: number, size: number, epoch: string, bytes: Blob }} ImageRow */
/** @typedef {{ id: string, token: number, size: number, lastUsed: number }} UseRow */
/** @typedef {{ images: number, bytes: number }} Totals */
/** @typedef {Totals & { owner: string, epoch: string }} About */

/** Whether what is stored is the caller's. Asked within the transaction that reads or writes, so the answer holds for it.
 * @typedef {(about: About) => boolean} Belongs */

const ABOUT_KEY = 'about'
const LRU = 'lru'
const RELAXED = /** @type {const} */ ({ durability: 'relaxed' })
const EVICTED_AT_ONCE = 500

/** @returns {About} */
const nobodys = () => ({ owner: '', epoch: '', images: 0, bytes: 0 })

export class ImageStore {
  #connection
  #names

  /**
   * @param {string} database
   * @param {number} version
   * @param {string} images  name of the store of bytes; the others are named after it
   */
  constructor(database, version, images) {
    this.#names = { images, uses: `${images}-uses`, about: `${images}-about` }
    this.#connection = new Connection(database, version, Object.values(this.#names), (created) => {
      created.createObjectStore(this.#names.images, { keyPath: 'id' })
      created.createObjectStore(this.#names.uses, { keyPath: 'id' }).createIndex(LRU, ['lastUsed', 'size'])
      created.createObjectStore(this.#names.about)
    })
  }

  /**
   * What the caller's images add up to, counted.
   * @param {Belongs} belongs
   * @returns {Promise<Totals>}
   */
  totals(belongs) {
    return this.#connection.run(async (database) => {
      const transaction = this.#connection.begin(database, [this.#names.uses, this.#names.about])
      const [rows, about] = await Promise.all([
        transaction.objectStore(this.#names.uses).getAll(),
        transaction.objectStore(this.#names.about).get(ABOUT_KEY),
        transaction.done,
      ])
      return sum(belongs(about ?? nobodys()) ? rows : [])
    })
  }

  /**
   * Whose images these are. Read without waiting for anybody who writes.
   * @returns {Promise<About>}
   */
  about() {
    return this.#connection.run(async (database) => await database.get(this.#names.about, ABOUT_KEY) ?? nobodys())
  }

  /**
   * Reads a batch in one transaction and hands over each row as it comes. Whose a row is, its epoch says.
   * @param {Iterable<string>} ids
   * @param {(id: string, row: ImageRow | undefined) => void} found
   */
  read(ids, found) {
    return this.#connection.run(async (database) => {
      const transaction = this.#connection.begin(database, this.#names.images)
      const images = transaction.objectStore(this.#names.images)
      const reads = Array.from(ids, async (id) => found(id, await images.get(id)))
      await Promise.all([...reads, transaction.done])
    })
  }

  /**
   * @param {string} id
   * @param {Belongs} belongs
   */
  async has(id, belongs) {
    return this.#connection.run(async (database) => {
      const transaction = this.#connection.begin(database, [this.#names.images, this.#names.about])
      const [key, about] = await Promise.all([
        transaction.objectStore(this.#names.images).getKey(id),
        transaction.objectStore(this.#names.about).get(ABOUT_KEY),
        transaction.done,
      ])
      return key !== undefined && belongs(about ?? nobodys())
    })
  }

  /**
   * Returns about how much there is now (never less than there is), or null if it is not the caller's to write.
   * @param {Entry[]} entries
   * @param {number} lastUsed
   * @param {Belongs} belongs
   * @returns {Promise<Totals | null>}
   */
  put(entries, lastUsed, belongs) {
    return this.#change(async ({ images, uses, about }) => {
      if (!belongs(about)) return null
      await Promise.all(entries.map(async ({ id, token, bytes }) => {
        const size = bytes.size
        /** @type {UseRow | undefined} */
        const old = await uses.get(id)
        about.images += old ? 0 : 1
        about.bytes += size - (old?.size ?? 0)
        send(images.put({ id, token, size, epoch: about.epoch, bytes }))
        send(uses.put({ id, token, size, lastUsed }))
      }))
      return about
    })
  }

  /**
   * Whether there was such an image.
   * @param {string} id
   */
  delete(id) {
    return this.#change(async ({ images, uses, about }) => {
      const found = await images.getKey(id) !== undefined
      /** @type {UseRow | undefined} */
      const row = await uses.get(id)
      about.images -= row ? 1 : 0
      about.bytes -= row?.size ?? 0
      send(images.delete(id))
      send(uses.delete(id))
      return found
    })
  }

  /**
   * Empties the store for `owner`, unless `keep` says it is well as it is. Returns what it is about from now on.
   * @param {string} owner
   * @param {string} epoch
   * @param {Belongs} keep
   */
  startEpoch(owner, epoch, keep) {
    return this.#change(async ({ images, uses, about }) => {
      if (keep(about)) return about
      send(images.delete(IDBKeyRange.lowerBound(-Infinity))) // clear() leaves the pictures' files on disk in WebKit
      send(uses.clear())
      return Object.assign(about, { owner, epoch, images: 0, bytes: 0 })
    })
  }

  /**
   * Notes when images were last used. Those that are gone by now stay gone.
   * @param {Iterable<[id: string, lastUsed: number]>} noted
   */
  noteUses(noted) {
    return this.#connection.run(async (database) => {
      const transaction = this.#connection.begin(database, this.#names.uses, 'readwrite', RELAXED)
      const uses = transaction.objectStore(this.#names.uses)
      const notes = Array.from(noted, async ([id, lastUsed]) => {
        /** @type {UseRow | undefined} */
        const row = await uses.get(id)
        if (row) send(uses.put({ ...row, lastUsed }))
      })
      await Promise.all([...notes, transaction.done])
    })
  }

  /**
   * Removes the least recently used images until no more are left than `goal` allows. Loads no bytes: the index holds
   * their sizes, and a key cursor walks it. On a full disk it must only delete: browsers then refuse the smallest row.
   * @param {(total: Totals) => Totals} goal
   * @param {Belongs} belongs
   * @param {{ onlyDelete: boolean }} [how]
   */
  async evict(goal, belongs, { onlyDelete } = { onlyDelete: false }) {
    /** @type {Totals | undefined} */
    let left
    let more = true
    while (more) {
      more = await this.#change(async ({ images, uses, about }) => {
        if (!belongs(about)) return false
        Object.assign(about, sum(await uses.getAll()))
        const { images: imagesLeft, bytes: bytesLeft } = left ??= goal({ images: about.images, bytes: about.bytes })
        const tooMuch = () => about.images > imagesLeft || about.bytes > bytesLeft
        let budget = EVICTED_AT_ONCE
        let cursor = tooMuch() ? await uses.index(LRU).openKeyCursor() : null
        for (; cursor && tooMuch() && budget; budget -= 1) {
          about.images -= 1
          about.bytes -= cursor.key[1]
          send(images.delete(cursor.primaryKey))
          send(uses.delete(cursor.primaryKey))
          cursor = await cursor.continue()
        }
        return budget === 0
      }, onlyDelete)
    }
  }

  /** Deletes the whole database, whatever its version and state. */
  destroy() {
    return this.#connection.destroy()
  }

  close() {
    this.#connection.close()
  }

  /**
   * One write transaction over all three stores, which keeps the row `about` in step.
   * @template T
   * @param {(stores: { images: any, uses: any, about: About }) => Promise<T>} work
   * @param {boolean} [onlyDelete]
   * @returns {Promise<T>}
   */
  #change(work, onlyDelete = false) {
    return this.#connection.run(async (database) => {
      const { images, uses, about } = this.#names
      const transaction = this.#connection.begin(database, [images, uses, about], 'readwrite', RELAXED)
      const changing = async () => {
        const aboutStore = transaction.objectStore(about)
        /** @type {About | undefined} */
        const before = await aboutStore.get(ABOUT_KEY)
        const after = { ...nobodys(), ...before }
        const result = await work({
          images: transaction.objectStore(images), uses: transaction.objectStore(uses), about: after,
        })
        if (!onlyDelete && after.epoch) send(aboutStore.put(after, ABOUT_KEY))
        return result
      }
      try {
        const [result] = await Promise.all([changing(), transaction.done])
        return result
      } catch (error) {
        abort(transaction)
        // When a transaction fails, its requests are told only that they were aborted; it alone knows why.
        throw transaction.error ?? error
      }
    })
  }
}

/**
 * @param {UseRow[]} rows
 * @returns {Totals}
 */
function sum(rows) {
  return { images: rows.length, bytes: rows.reduce((bytes, { size }) => bytes + size, 0) }
}

/**
 * A write that nobody waits for: if it fails, so does its transaction, and that is waited for.
 * @param {Promise<unknown>} request
 */
function send(request) {
  request.catch(() => {})
}
