/**
 * The one error class of this module, and how each error mode handles it. Imports nothing.
 *
 * Every message is a sentence that may be shown to the user; `code` is for programs. Neither ever contains a key, a proof
 * or a byte of an image.
 */

/**
 * | code             | what happened                                                          |
 * | ---------------- | ---------------------------------------------------------------------- |
 * | config           | an option of initPixstoreFrontend or of the meta tag is wrong          |
 * | record           | the argument is not an image record                                    |
 * | insecure-context | plain http off localhost: the browser offers no decryption             |
 * | not-found        | the server has no such image, or not any more                          |
 * | proof-refused    | the permission to see it is missing, wrong or too old                  |
 * | network          | no usable answer, after retries                                        |
 * | server           | the server has the image but failed to hand it out                     |
 * | wire             | the answer was not an image payload                                    |
 * | damaged          | the image cannot be decrypted: wrong key, damaged or altered           |
 * | unreadable       | the image was decrypted, but this browser cannot show it               |
 * | cache            | the cache could not be read or emptied when that was asked for         |
 * @typedef {'config' | 'record' | 'insecure-context' | 'not-found' | 'proof-refused' | 'network' | 'server' | 'wire' |
 *           'damaged' | 'unreadable' | 'cache'} PixstoreErrorCode
 */

/** @typedef {'hybrid' | 'throw' | 'warn' | 'silent' | 'custom'} ErrorHandlingMode */

/** An expected error: something to tell the user, not a bug. */
export class PixstoreError extends Error {
  /**
   * @param {string} message  a sentence for the user
   * @param {PixstoreErrorCode} code
   * @param {ErrorOptions} [options]
   */
  constructor(message, code, options) {
    super(message, options)
    this.name = 'PixstoreError'
    this.code = code
  }
}

/** @type {PixstoreError | null} */
let lastError = null

/** @type {((error: unknown) => void) | undefined} */
let customHandler

/** The newest PixstoreError of this page, or null. */
export function getLastPixstoreError() {
  return lastError
}

/**
 * Names the function that gets every error in the mode 'custom'.
 * @param {((error: unknown) => void) | undefined} handler
 */
export function setCustomErrorHandler(handler) {
  customHandler = handler
}

/**
 * Runs `work`. If it fails, the error mode decides between null and an exception.
 * @template T
 * @param {() => Promise<T>} work
 * @param {() => ErrorHandlingMode} mode  called only after an error; it throws if the configuration is wrong
 * @returns {Promise<T | null>}
 */
export async function runInErrorMode(work, mode) {
  try {
    return await work()
  } catch (error) {
    const errorMode = mode()
    report(error, errorMode)
    if (mustThrow(error, errorMode)) throw error
    return null
  }
}

/**
 * Remembers an error and reports it as the mode says. Throws nothing itself: for places that have no caller to throw to.
 * @param {unknown} error
 * @param {ErrorHandlingMode} mode
 */
export function report(error, mode) {
  if (error instanceof PixstoreError) lastError = error
  if (mode === 'warn' || (mode === 'hybrid' && error instanceof PixstoreError)) console.warn(error)
  if (mode === 'custom') customHandler?.(error)
}

/**
 * @param {unknown} error
 * @param {ErrorHandlingMode} mode
 */
function mustThrow(error, mode) {
  if (mode === 'custom' && !customHandler) {
    throw new PixstoreError(
      "errorHandlingMode is 'custom', but setCustomErrorHandler() has not been called.", 'config', { cause: error })
  }
  return mode === 'throw' || (mode === 'hybrid' && !(error instanceof PixstoreError))
}
