/**
 * Decrypts sealed images in memory, with the browser's own AES-256-GCM. Imports errors, and the sizes from wire.
 *
 *     plaintext = format byte | image bytes        key: 32 bytes, used only for this version of this image
 */
import { PixstoreError } from './errors.js'
import { IV_SIZE, KEY_SIZE, TAG_SIZE } from './wire.js'

/** @typedef {import('./wire.js').Bytes} Bytes */
/** @typedef {{ key: Bytes, iv: Bytes, tag: Bytes }} Seal */
/** @typedef {{ key: string, iv: string, tag: string }} ImageMeta  base64, as in an image record */

/**
 * WebCrypto exists only in secure contexts. Elsewhere `crypto.subtle` is missing, and the TypeError would explain nothing.
 * @throws {PixstoreError} code 'insecure-context'
 */
export function requireSecureContext() {
  if (globalThis.crypto?.subtle) return
  throw new PixstoreError(
    'This page is not secure, so the browser cannot decrypt pictures. Open it over https, or on localhost.',
    'insecure-context')
}

/**
 * Decrypts and verifies an image: if a single bit was changed, it fails. Wipes the key.
 * @param {Bytes} ciphertext
 * @param {Seal} seal
 * @returns {Promise<{ formatByte: number, image: Bytes }>}
 * @throws {PixstoreError} code 'damaged'; a wrong key and altered bytes look the same
 */
export async function unseal(ciphertext, { key, iv, tag }) {
  try {
    // AES-GCM also works with other lengths, but no image is sealed with them.
    if (key.length !== KEY_SIZE || iv.length !== IV_SIZE || tag.length !== TAG_SIZE) throw new Error('wrong lengths')
    // WebCrypto wants the tag after the ciphertext; on the wire it comes before.
    const sealed = new Uint8Array(ciphertext.length + tag.length)
    sealed.set(ciphertext)
    sealed.set(tag, ciphertext.length)
    const algorithm = { name: 'AES-GCM', iv, tagLength: TAG_SIZE * 8 }
    const cryptoKey = await crypto.subtle.importKey('raw', key, 'AES-GCM', false, ['decrypt'])
    const plaintext = new Uint8Array(await crypto.subtle.decrypt(algorithm, cryptoKey, sealed))
    if (plaintext.length < 2) throw new Error('there is no image in it')
    return { formatByte: /** @type {number} */ (plaintext[0]), image: plaintext.subarray(1) }
  } catch (error) {
    throw new PixstoreError(
      'The picture cannot be decrypted: wrong key, or it was damaged or altered.', 'damaged', { cause: error })
  } finally {
    key.fill(0)
  }
}

/**
 * @param {ImageMeta} meta
 * @returns {Seal}
 * @throws {PixstoreError} code 'record'
 */
export function sealFromMeta(meta) {
  return {
    key: fromBase64(meta.key, KEY_SIZE, 'key'),
    iv: fromBase64(meta.iv, IV_SIZE, 'iv'),
    tag: fromBase64(meta.tag, TAG_SIZE, 'tag'),
  }
}

/**
 * @param {string} text
 * @param {number} size
 * @param {string} name
 */
function fromBase64(text, size, name) {
  let bytes
  try {
    bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  } catch {
    bytes = new Uint8Array(0)
  }
  if (bytes.length === size) return bytes
  throw new PixstoreError(`The image record's meta.${name} is not ${size} bytes in base64.`, 'record')
}
