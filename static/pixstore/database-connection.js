/**
 * One connection to IndexedDB, which handles everything that can happen to it. Imports only idb.
 *
 * - Another tab wants a newer schema, or to delete the database (`versionchange`): we close at once and let it.
 * - Another tab keeps an older schema open (`blocked`), or the browser does not answer: callers get an error
 *   after a while and go on without a cache. We go on waiting for the connection, and later callers use it once
 *   it is there.
 * - The connection is lost (`close`, or a transaction on a closing connection): the next use opens another.
 * - The database is newer than this code, damaged, or made by another program: it is deleted and made again, once in the
 *   life of a page; everything in it can be fetched again. A page that was overtaken by newer code leaves it alone.
 */
import { deleteDB, openDB } from '../vendor/idb.js'

/** @typedef {import('../vendor/idb.js').IDBPDatabase<any>} Database */
/** @template {'readonly' | 'readwrite'} M @typedef {import('../vendor/idb.js').IDBPTransaction<any, any, M>} Transaction */

/** How long a caller waits for a connection before it goes on without one. Opening may include an upgrade. */
const OPEN_DEADLINE = 3000
const DELETE_DEADLINE = 3000

/** Errors of opening that go away when the database is deleted. */
const CURED_BY_DELETING = new Set(['VersionError', 'UnknownError', 'DataError', 'NotFoundError'])

export class DatabaseConnection {
  /** @type {Database | null} */
  #database = null
  /** @type {Promise<Database> | null} */
  #opening = null
  /** Why this object opens no more connections; null while it may.
   * @type {unknown} */
  #closedBecause = null
  /** @type {Set<{ abort(): void }>} */
  #transactions = new Set()
  #wasOpen = false
  #hasStartedOver = false

  /**
   * @param {string} name
   * @param {number} version
   * @param {readonly string[]} stores  the object stores that must exist
   * @param {(database: Database) => void} create  makes them, in an empty database
   */
  constructor(name, version, stores, create) {
    this.name = name
    this.version = version
    this.stores = stores
    this.create = create
  }

  /**
   * Calls `work` with an open database. If the connection turns out to be closing, calls `work` once more
   * with a new one.
   * @template T
   * @param {(database: Database) => Promise<T>} work
   */
  async run(work) {
    const database = await this.#open()
    try {
      return await work(database)
    } catch (error) {
      if (errorName(error) !== 'InvalidStateError') throw error
      this.#drop(database)
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
    this.#transactions.add(transaction)
    const ended = () => this.#transactions.delete(transaction)
    transaction.done.then(ended, ended)
    return transaction
  }

  /** Deletes the database with everything in it, whatever its version and state. */
  async destroy() {
    this.#drop(this.#database)
    await withDeadline(deleteDB(this.name), DELETE_DEADLINE)
  }

  /** Closes for good. */
  close() {
    this.#closedBecause = new Error('this cache has been closed')
    this.#drop(this.#database)
  }

  async #open() {
    if (this.#closedBecause) throw this.#closedBecause
    if (this.#database) return this.#database
    this.#opening ??= this.#connectOrGiveUp()
    return this.#opening
  }

  /** Fails early if the browser keeps us waiting. `#opening` stays as it is until the browser has answered. */
  #connectOrGiveUp() {
    /** @type {(reason: Error) => void} */
    let giveUp = () => {}
    /** @type {Promise<never>} */
    const givenUp = new Promise((_, reject) => { giveUp = reject })
    const timer = setTimeout(() => giveUp(new Error('IndexedDB does not answer')), OPEN_DEADLINE)
    const connected = this.#connect(() => giveUp(new Error('another tab keeps an older cache open')))
    connected.catch(() => {}).then(() => {
      clearTimeout(timer)
      this.#opening = null
    })
    return Promise.race([connected, givenUp])
  }

  /** @param {() => void} onBlocked */
  async #connect(onBlocked) {
    let database
    try {
      database = await this.#openDatabase(onBlocked)
    } catch (error) {
      if (!this.#mayStartOver(error)) throw error
      this.#hasStartedOver = true
      await deleteDB(this.name, { blocked: onBlocked })
      database = await this.#openDatabase(onBlocked)
    }
    if (this.#closedBecause) {
      database.close()
      throw this.#closedBecause
    }
    this.#wasOpen = true
    this.#database = database
    addEventListener('pagehide', ({ persisted }) => this.#leavePage(database, persisted), { once: true })
    return database
  }

  /** @param {() => void} onBlocked */
  async #openDatabase(onBlocked) {
    const database = await openDB(this.name, this.version, {
      // Keep nothing of an older version: its images can be fetched again, and it may hold data that this one never stores.
      upgrade: (upgraded) => {
        for (const store of [...upgraded.objectStoreNames]) upgraded.deleteObjectStore(store)
        this.create(upgraded)
      },
      blocked: onBlocked,
      blocking: () => this.#drop(database),
      terminated: () => this.#drop(database),
    })
    if (this.stores.every((store) => database.objectStoreNames.contains(store))) return database
    database.close()
    throw new DOMException('the database has other object stores', 'NotFoundError')
  }

  /** @param {unknown} error */
  #mayStartOver(error) {
    if (this.#hasStartedOver || !CURED_BY_DELETING.has(errorName(error))) return false
    if (errorName(error) !== 'VersionError' || !this.#wasOpen) return true
    this.#closedBecause = error
    return false
  }

  /**
   * Closes the connection when the page is left. A page that the browser keeps for "back" must hold up no other page, and in
   * WebKit its connection and its transactions would. If the page comes back, it opens another connection.
   * @param {Database} database
   * @param {boolean} isKeptForBack
   */
  #leavePage(database, isKeptForBack) {
    if (isKeptForBack) for (const transaction of this.#transactions) abort(transaction)
    this.#drop(database)
  }

  /** @param {Database | null} database */
  #drop(database) {
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
 * The promise, or a TimeoutError if it takes too long.
 * @template T
 * @param {Promise<T>} promise
 * @param {number} milliseconds
 * @returns {Promise<T>}
 */
export async function withDeadline(promise, milliseconds) {
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
export function errorName(error) {
  return error instanceof Error || error instanceof DOMException ? error.name : ''
}
