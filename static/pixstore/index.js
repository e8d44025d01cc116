/**
 * Encrypted images in a web page: fetched sealed, decrypted in memory, cached in IndexedDB without their keys.
 *
 * Exports     initPixstoreFrontend  getImage  getImages  deleteCachedImage  cachedImageExists  clearCache  cacheUsage
 *             persistCache  getLastPixstoreError  setCustomErrorHandler  PixstoreError  PixstoreImageElement
 * Element     <pixstore-image image-id token proof alt loading width height>
 * Events      loadstart  load  error  loadend
 * Configured  by initPixstoreFrontend(), or by <meta name="pixstore" content='{…}'>
 * Size        100 KiB in 17 files, 35 KiB with gzip, as written, comments included; and idb, 11 KiB, 3 KiB with gzip
 */
import './define.js'
import { configure, currentConfig } from './config.js'
import { report, settle } from './errors.js'
import { imageService, renewImageService } from './images.js'

export { PixstoreImageElement } from './element.js'
export { PixstoreError, getLastPixstoreError, setCustomErrorHandler } from './errors.js'

/** @typedef {import('./config.js').PixstoreConfig} PixstoreConfig */
/** @typedef {import('./images.js').ImageFetcher} ImageFetcher */
/** @typedef {import('./records.js').ImageRecord} ImageRecord */

/**
 * Lays options over those in force. May be called again; a fetcher that is not given again is dropped.
 * @param {Partial<PixstoreConfig>} [config]
 * @param {ImageFetcher} [customImageFetcher]  gets wire payloads in the page's own way
 * @throws {import('./errors.js').PixstoreError} names every wrong option
 */
export function initPixstoreFrontend(config = {}, customImageFetcher = undefined) {
  configure(config)
  renewImageService(customImageFetcher)
}

/**
 * The decrypted image. A cached one of the same token costs no request.
 * @param {ImageRecord} record
 * @param {unknown} [context]  handed to the custom image fetcher
 * @param {{ signal?: AbortSignal }} [options]
 * @returns {Promise<Blob | null>}
 */
export function getImage(record, context, { signal } = {}) {
  return settled(async () => {
    const options = signal ? { context, signal } : { context }
    return (await imageService().load(record, options)).blob
  })
}

/**
 * The decrypted images, in this order; null where one could not be had. Fetched together.
 * @param {ImageRecord[]} records
 * @param {unknown} [context]
 * @param {{ signal?: AbortSignal }} [options]
 * @returns {Promise<(Blob | null)[]>}
 */
export function getImages(records, context, options) {
  return Promise.all(records.map((record) => getImage(record, context, options)))
}

/**
 * True if the image was in the cache, false if not, null if it could not be removed.
 * @param {string} id
 * @returns {Promise<boolean | null>}
 */
export function deleteCachedImage(id) {
  return settled(() => imageService().deleteCached(id))
}

/**
 * @param {string} id
 * @returns {Promise<boolean | null>}  null if the cache could not be asked
 */
export function cachedImageExists(id) {
  return settled(() => imageService().isCached(id))
}

/**
 * Removes every image from the cache: for logging out, and for a button.
 * @returns {Promise<true | null>}  null if they could not be removed
 */
export function clearCache() {
  return settled(async () => {
    await imageService().clearCache()
    return /** @type {const} */ (true)
  })
}

/**
 * How much is in the cache.
 * @returns {Promise<{ images: number, bytes: number } | null>}
 */
export function cacheUsage() {
  return settled(() => imageService().cacheUsage())
}

/**
 * Asks the browser not to drop the cache when space is short. Some browsers ask the user, so it does nothing but when called
 * from a click or the like.
 * @returns {Promise<boolean | null>}  whether the browser agreed
 */
export function persistCache() {
  return settled(async () => {
    // WebKitGTK has no navigator.storage, and nothing to ask.
    return !!navigator.userActivation?.isActive && await (navigator.storage?.persist() ?? false)
  })
}

/**
 * @template T
 * @param {() => Promise<T>} work
 */
function settled(work) {
  return settle(work, () => currentConfig().errorHandlingMode)
}

// A page whose meta tag names an owner drops what another one left, also when it shows no picture.
try {
  if (currentConfig().cacheOwner != null) imageService()
} catch (error) {
  report(error, 'warn')
}
