/** Image records: how they are checked, and how a fresh one is fetched when a proof is too old. Imports errors. */
import { PixstoreError } from './errors.js'

/**
 * What the server tells about an image. `meta` may be missing; then the key comes with the image.
 * @typedef {object} ImageRecord
 * @property {string} id
 * @property {number} token  the version of the image
 * @property {string} [imageFormat]
 * @property {import('./crypto.js').ImageMeta | undefined} [meta]
 * @property {string | undefined} [statelessProof]
 */

/** A record that has at least an id. @typedef {Partial<ImageRecord> & { id: string }} RecordDraft */

const IDS_PER_REQUEST = 50
const DEADLINE = 15_000

/**
 * @param {unknown} value
 * @returns {RecordDraft}
 * @throws {PixstoreError} code 'record': says what is wrong
 */
export function checkRecord(value) {
  const record = /** @type {Record<string, unknown>} */ (value)
  if (typeof value !== 'object' || value === null) throw notARecord('it is not an object')
  if (!isImageId(record.id)) throw notARecord('it has no usable id')
  if (record.token !== undefined && !isToken(record.token)) throw notARecord('its token is not a whole number')
  if (record.statelessProof && !isProof(record.statelessProof)) throw notARecord('its statelessProof cannot be a proof')
  const { meta } = record
  if (meta && !['key', 'iv', 'tag'].every((name) => typeof Reflect.get(Object(meta), name) === 'string')) {
    throw notARecord('its meta lacks key, iv or tag')
  }
  return /** @type {RecordDraft} */ (value)
}

/**
 * Whether this can be an id. Refuses text that cannot stand in a URL path, or would lead to another one.
 * @param {unknown} id
 * @returns {id is string}
 */
export function isImageId(id) {
  return typeof id === 'string' && id.length > 0 && id.length <= 200 && id !== '.' && id !== '..' && isWellFormed(id)
}

/** @param {unknown} token */
export function isToken(token) {
  return Number.isSafeInteger(token) && Number(token) >= 0
}

/** Asks `recordUrl` for fresh records. The ids of one tick go into one request. */
export class RecordSource {
  #url
  #onLoggedOut
  /** The requests under way, by id.
   * @type {Map<string, Promise<ImageRecord | undefined>>} */
  #asked = new Map()
  /** @type {{ id: string, resolve: (record: ImageRecord | undefined) => void, reject: (error: unknown) => void }[]} */
  #toAsk = []

  /**
   * @param {string} url
   * @param {() => void} onLoggedOut  called when the server answers that the user is no longer logged in
   */
  constructor(url, onLoggedOut) {
    this.#url = url
    this.#onLoggedOut = onLoggedOut
  }

  /**
   * A fresh record, or undefined if the logged-in user has no such image.
   * @param {string} id
   * @returns {Promise<ImageRecord | undefined>}
   * @throws {PixstoreError} code 'proof-refused' (nobody is logged in), 'network'
   */
  fresh(id) {
    let record = this.#asked.get(id)
    if (!record) {
      record = new Promise((resolve, reject) => {
        // In a task, not a microtask: the refusals of one batch answer are spread over several microtasks.
        if (this.#toAsk.push({ id, resolve, reject }) === 1) setTimeout(() => this.#askAll())
      })
      this.#asked.set(id, record)
    }
    return record
  }

  async #askAll() {
    const waiting = this.#toAsk
    this.#toAsk = []
    for (let start = 0; start < waiting.length; start += IDS_PER_REQUEST) {
      const some = waiting.slice(start, start + IDS_PER_REQUEST)
      try {
        const records = await this.#ask(some.map(({ id }) => id))
        for (const { id, resolve } of some) resolve(records.get(id))
      } catch (error) {
        for (const { reject } of some) reject(error)
      }
      for (const { id } of some) this.#asked.delete(id)
    }
  }

  /** @param {string[]} ids */
  async #ask(ids) {
    const query = new URLSearchParams(ids.map((id) => ['id', id]))
    try {
      const response = await fetch(`${this.#url}?${query}`, {
        cache: 'no-store',
        headers: { accept: 'application/json' },
        // A redirect leads to a login page. If it were followed, that page would look like an answer.
        redirect: 'manual',
        signal: AbortSignal.timeout(DEADLINE),
      })
      if (isLoggedOut(response)) {
        this.#onLoggedOut()
        throw new PixstoreError('You are no longer logged in.', 'proof-refused')
      }
      if (!response.ok) throw new Error(`status ${response.status}`)
      const { records } = await response.json()
      return new Map(records.map((/** @type {ImageRecord} */ record) => [record.id, checkFresh(record)]))
    } catch (error) {
      if (error instanceof PixstoreError) throw error
      throw new PixstoreError('The permission to see the picture could not be renewed.', 'network', { cause: error })
    }
  }
}

/** @param {Response} response */
function isLoggedOut({ type, status }) {
  return type === 'opaqueredirect' || status === 401 || status === 403
}

/**
 * @param {ImageRecord} record
 * @returns {ImageRecord}
 */
function checkFresh(record) {
  checkRecord(record)
  if (!isToken(record.token) || !record.statelessProof) throw notARecord('it lacks token or statelessProof')
  return record
}

/** @param {unknown} proof */
function isProof(proof) {
  return typeof proof === 'string' && /^[\x21-\x7e]{1,512}$/.test(proof)
}

/** @param {string} text */
function isWellFormed(text) {
  try {
    encodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

/** @param {string} why */
function notARecord(why) {
  return new PixstoreError(`This is not an image record: ${why}.`, 'record')
}
