/**
 * The one error of this module, and what an error mode makes of it. Imports nothing.
 *
 * Every message is a sentence that may be shown to the person before the screen; `code` is for programs. Neither ever
 * carries a key, a proof or a byte of an image.
 */

/**
 * | code             | what happened                                                          |
 * | ---------------- | ---------------------------------------------------------------------- |
 * | config           | an option of initPixstoreFrontend or of the meta tag is wrong          |
 * | record           | what was given as an image record is none                              |
 * | insecure-context | plain http off localhost: the browser offers no decryption             |
 * | not-found        | the server has no such image (any more)                                |
 * | proof-refused    | the permission to see it is missing, wrong or too old                  |
 * | network          | no usable answer, after retries                                        |
 * | server           | the server has the image but failed to hand it out                     |
 * | wire             | the answer was no image payload                                        |
 * | damaged          | the image does not decrypt: wrong key, damaged or altered              |
 * | unreadable       | it decrypts, but this browser cannot show it                           |
 * | cache            | the cache could not be asked, emptied or written when it had to be     |
 * @typedef {'config' | 'record' | 'insecure-context' | 'not-found' | 'proof-refused' | 'network' | 'server' | 'wire' |
 *           'damaged' | 'unreadable' | 'cache'} PixstoreErrorCode
 */

/** @typedef {'hybrid' | 'throw' | 'warn' | 'silent' | 'custom'} ErrorHandlingMode */

/** An expected trouble: something to tell the user, not a fault of the program. */
export class PixstoreError extends Error {
  /**
   * @param {string} message  a sentence for people
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
 * Runs `work`; where it fails, the error mode decides between null and an exception.
 * @template T
 * @param {() => Promise<T>} work
 * @param {() => ErrorHandlingMode} mode  asked when it is needed, so that a bad configuration is itself an error here
 * @returns {Promise<T | null>}
 */
export async function settle(work, mode) {
  try {
    return await work()
  } catch (error) {
    const how = mode()
    report(error, how)
    if (mustThrow(error, how)) throw error
    return null
  }
}

/**
 * Tells of an error as the mode wants it, and remembers it. Never throws: for places with no caller to throw to.
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
