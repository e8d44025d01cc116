/**
 * One connection to IndexedDB and everything that can befall it. Imports idb alone.
 *
 * - Another tab wants a newer schema, or the database deleted (`versionchange`): we close at once, so that it can.
 * - Another tab keeps an older schema open (`blocked`), or the browser does not answer: whoever waits is told so, goes on
 *   without a cache, and finds the connection when it has come.
 * - The connection is lost (`close`; a transaction on a closing connection): the next use opens another.
 * - The database is newer than this code, damaged, or of another make: it is deleted and made again, once in the life of
 *   a page. What is in it can be fetched again. A page that has been overtaken by newer code leaves it alone.
 */
import { deleteDB, openDB } from '../vendor/idb.js'

/** @typedef {import('../vendor/idb.js').IDBPDatabase<any>} Database */
/** @template {'readonly' | 'readwrite'} M @typedef {import('../vendor/idb.js').IDBPTransaction<any, any, M>} Transaction */

/** How long a picture waits for IndexedDB before it is fetched instead. Opening may include an upgrade. */
const OPEN_DEADLINE = 3000
const DELETE_DEADLINE = 3000

const CURABLE = new Set(['VersionError', 'UnknownError', 'DataError', 'NotFoundError'])

export class Connection {
  /** @type {Database | null} */
  #database = null
  /** @type {Promise<Database> | null} */
  #opening = null
  /** @type {unknown} */
  #refusal = null
  /** @type {Set<{ abort(): void }>} */
  #underWay = new Set()
  #wasOpen = false
  #startedOver = false

  /**
   * @param {string} name
   * @param {number} version
   * @param {readonly string[]} stores  the object stores that must be there
   * @param {(database: Database) => void} create  makes them, in an empty database
   */
  constructor(name, version, stores, create) {
    this.name = name
    this.version = version
    this.stores = stores
    this.create = create
  }

  /**
   * Gives `work` an open database. Where that turns out to be closing, `work` runs once more, on a new connection.
   * @template T
   * @param {(database: Database) => Promise<T>} work
   */
  async run(work) {
    const database = await this.#open()
    try {
      return await work(database)
    } catch (error) {
      if (nameOf(error) !== 'InvalidStateError') throw error
      this.#forget(database)
      return work(await this.#open())
    }
  }

  /**
   * Begins a transaction.
   * @template {'readonly' | 'readwrite'} [M='readonly']
   * @param {Database} database
   * @param {string | string[]} stores
   * @param {M} [mode]
   * @param {IDBTransactionOptions} [options]
   * @returns {Transaction<M>}
   */
  begin(database, stores, mode, options) {
    const transaction = database.transaction(stores, mode, options)
    this.#underWay.add(transaction)
    const ended = () => this.#underWay.delete(transaction)
    transaction.done.then(ended, ended)
    return transaction
  }

  /** Deletes the database with everything in it, whatever its version and state. */
  async destroy() {
    this.#forget(this.#database)
    await within(deleteDB(this.name), DELETE_DEADLINE)
  }

  /** Closes for good. */
  close() {
    this.#refusal = new Error('this cache has been closed')
    this.#forget(this.#database)
  }

  async #open() {
    if (this.#refusal) throw this.#refusal
    if (this.#database) return this.#database
    this.#opening ??= this.#connectInTime()
    return this.#opening
  }

  /** Fails early when the browser lets us wait; `#opening` stays as it is until the browser has answered. */
  #connectInTime() {
    /** @type {(reason: Error) => void} */
    let giveUp = () => {}
    /** @type {Promise<never>} */
    const hindered = new Promise((_, reject) => { giveUp = reject })
    const timer = setTimeout(() => giveUp(new Error('IndexedDB does not answer')), OPEN_DEADLINE)
    const connected = this.#connect(() => giveUp(new Error('another tab keeps an older cache open')))
    connected.catch(() => {}).then(() => {
      clearTimeout(timer)
      this.#opening = null
    })
    return Promise.race([connected, hindered])
  }

  /** @param {() => void} onBlocked */
  async #connect(onBlocked) {
    let database
    try {
      database = await this.#openDatabase(onBlocked)
    } catch (error) {
      if (!this.#mayStartOver(error)) throw error
      this.#startedOver = true
      await deleteDB(this.name, { blocked: onBlocked })
      database = await this.#openDatabase(onBlocked)
    }
    if (this.#refusal) {
      database.close()
      throw this.#refusal
    }
    this.#wasOpen = true
    this.#database = database
    addEventListener('pagehide', ({ persisted }) => this.#leave(database, persisted), { once: true })
    return database
  }

  /** @param {() => void} onBlocked */
  async #openDatabase(onBlocked) {
    const database = await openDB(this.name, this.version, {
      // Nothing is carried over: what an older version cached can be fetched again, and may hold what this one never stores.
      upgrade: (upgraded) => {
        for (const store of [...upgraded.objectStoreNames]) upgraded.deleteObjectStore(store)
        this.create(upgraded)
      },
      blocked: onBlocked,
      blocking: () => this.#forget(database),
      terminated: () => this.#forget(database),
    })
    if (this.stores.every((store) => database.objectStoreNames.contains(store))) return database
    database.close()
    throw new DOMException('the database has other object stores', 'NotFoundError')
  }

  /** @param {unknown} error */
  #mayStartOver(error) {
    if (this.#startedOver || !CURABLE.has(nameOf(error))) return false
    if (nameOf(error) !== 'VersionError' || !this.#wasOpen) return true
    this.#refusal = error
    return false
  }

  /**
   * A page that the browser keeps for "back" must hold up nobody meanwhile: in WebKit its connection does, and what it has
   * under way. Should it come back, it opens another connection.
   * @param {Database} database
   * @param {boolean} isKept
   */
  #leave(database, isKept) {
    if (isKept) for (const transaction of this.#underWay) abort(transaction)
    this.#forget(database)
  }

  /** @param {Database | null} database */
  #forget(database) {
    database?.close()
    if (this.#database === database) this.#database = null
  }
}

/** @param {{ abort(): void }} transaction  */
export function abort(transaction) {
  try {
    transaction.abort()
  } catch {
    // It has ended already.
  }
}

/**
 * The promise, unless it takes too long.
 * @template T
 * @param {Promise<T>} promise
 * @param {number} milliseconds
 * @returns {Promise<T>}
 */
export async function within(promise, milliseconds) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new DOMException('IndexedDB does not answer', 'TimeoutError')), milliseconds)
  })
  try {
    return /** @type {T} */ (await Promise.race([promise, late]))
  } finally {
    clearTimeout(timer)
  }
}

/** @param {unknown} error */
export function nameOf(error) {
  return error instanceof Error || error instanceof DOMException ? error.name : ''
}
