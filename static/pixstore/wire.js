/**
 * The wire payload: the answer of the image endpoint. Pure; imports only errors.
 *
 *     0 Success    state(1) | ciphertext
 *     1 Updated    state(1) | token u64 LE(8) | key(32) | iv(12) | tag(16) | ciphertext
 *     2 NotFound  3 MissingID  4 MissingProof  5 InvalidProof  6 InternalError      state(1) alone
 *
 * There is one encoding only: exact lengths, known states, at least one byte of ciphertext. Anything else is refused.
 * A batch answer is a sequence of payloads, each preceded by its length as u32 LE.
 */
import { PixstoreError } from './errors.js'

export const WireState = /** @type {const} */ ({
  Success: 0,
  Updated: 1,
  NotFound: 2,
  MissingID: 3,
  MissingProof: 4,
  InvalidProof: 5,
  InternalError: 6,
})

export const KEY_SIZE = 32
export const IV_SIZE = 12
export const TAG_SIZE = 16
const TOKEN_AT = 1
const KEY_AT = TOKEN_AT + 8
const IV_AT = KEY_AT + KEY_SIZE
const TAG_AT = IV_AT + IV_SIZE
const UPDATED_HEAD_SIZE = TAG_AT + TAG_SIZE

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */

/**
 * The byte fields are views of the payload. Never store a view: the whole payload would be stored with it, key included.
 * Copy what must outlive the payload.
 * @typedef {{ state: 0, ciphertext: Bytes }} Success
 * @typedef {{ state: 1, token: number, key: Bytes, iv: Bytes, tag: Bytes, ciphertext: Bytes }} Updated
 * @typedef {{ state: 2 | 3 | 4 | 5 | 6 }} Refusal
 * @typedef {Success | Updated | Refusal} WirePayload
 */

/**
 * @param {Bytes} data
 * @returns {WirePayload}
 * @throws {PixstoreError} code 'wire': not the one encoding of a payload
 */
export function decodeWirePayload(data) {
  const state = data[0]
  if (state === undefined) throw malformed('no bytes')
  if (state === WireState.Success) return { state, ciphertext: ciphertextFrom(data, 1) }
  if (state === WireState.Updated) return decodeUpdated(data)
  if (state > WireState.InternalError) throw malformed(`unknown state ${state}`)
  if (data.length !== 1) throw malformed(`state ${state} must stand alone`)
  return { state: /** @type {Refusal['state']} */ (state) }
}

/**
 * Yields each payload of a batch answer as soon as it is complete.
 * @param {ReadableStream<Uint8Array>} stream
 * @returns {AsyncGenerator<Bytes, void, void>}
 * @throws {PixstoreError} code 'wire': the answer ends within a payload
 */
export async function* readBatch(stream) {
  const reader = stream.getReader()
  const arrived = new ByteQueue()
  /** @param {number} size */
  const take = async (size) => {
    while (arrived.size < size) {
      const { done, value } = await reader.read()
      if (done) return null
      arrived.push(value)
    }
    return arrived.take(size)
  }
  try {
    for (let head = await take(4); head; head = await take(4)) {
      const payload = await take(new DataView(head.buffer).getUint32(0, true))
      if (!payload) throw malformed('the batch ends within a payload')
      yield payload
    }
    if (arrived.size) throw malformed('the batch ends within a length')
  } finally {
    // If the caller stops early, nobody needs the rest.
    reader.cancel().catch(() => {})
  }
}

/**
 * Bytes that arrive in pieces of one size and are taken in pieces of another. It holds only bytes that have arrived, however
 * great the length that was announced.
 */
class ByteQueue {
  /** @type {Uint8Array[]} */
  #pieces = []
  size = 0

  /** @param {Uint8Array} piece */
  push(piece) {
    this.#pieces.push(piece)
    this.size += piece.length
  }

  /**
   * Moves the first `size` bytes into a new buffer. Wipes them in the old one: they may hold a key.
   * @param {number} size
   */
  take(size) {
    const taken = new Uint8Array(size)
    let filled = 0
    let used = 0
    while (filled < size) {
      const piece = /** @type {Uint8Array} */ (this.#pieces[used])
      const part = piece.subarray(0, size - filled)
      taken.set(part, filled)
      part.fill(0)
      filled += part.length
      if (part.length === piece.length) used += 1
      else this.#pieces[used] = piece.subarray(part.length)
    }
    this.#pieces.splice(0, used)
    this.size -= size
    return taken
  }
}

/**
 * @param {Bytes} data
 * @returns {Updated}
 */
function decodeUpdated(data) {
  const ciphertext = ciphertextFrom(data, UPDATED_HEAD_SIZE)
  const view = new DataView(data.buffer, data.byteOffset)
  const token = view.getUint32(TOKEN_AT, true) + view.getUint32(TOKEN_AT + 4, true) * 2 ** 32
  if (!Number.isSafeInteger(token)) throw malformed('token out of range')
  return {
    state: WireState.Updated,
    token,
    key: data.subarray(KEY_AT, IV_AT),
    iv: data.subarray(IV_AT, TAG_AT),
    tag: data.subarray(TAG_AT, UPDATED_HEAD_SIZE),
    ciphertext,
  }
}

/**
 * @param {Bytes} data
 * @param {number} start
 */
function ciphertextFrom(data, start) {
  if (data.length <= start) throw malformed(`${data.length} bytes are too few`)
  return data.subarray(start)
}

/** @param {string} why */
function malformed(why) {
  return new PixstoreError(`The server's answer is not an image payload: ${why}.`, 'wire')
}
