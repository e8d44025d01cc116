/**
 * Encrypted images in a web page: fetched encrypted, decrypted in memory, cached in IndexedDB without their keys.
 *
 * Exports     initPixstoreFrontend  getImage  getImages  deleteCachedImage  cachedImageExists  clearCache  cacheUsage
 *             persistCache  getLastPixstoreError  setCustomErrorHandler  PixstoreError  PixstoreImageElement
 * Element     <pixstore-image image-id token proof alt loading width height>
 * Events      loadstart  load  error  loadend
 * Configured  by initPixstoreFrontend(), or by <meta name="pixstore" content='{…}'>
 * Size        112 KiB in 19 files, 39 KiB with gzip, as written, comments included; and idb, 11 KiB, 3 KiB with gzip
 */
import './define.js'
import { configure, currentConfig } from './config.js'
import { report, runInErrorMode } from './errors.js'
import { imageService, renewImageService } from './image-service.js'

export { PixstoreImageElement } from './element.js'
export { PixstoreError, getLastPixstoreError, setCustomErrorHandler } from './errors.js'

/** @typedef {import('./config.js').PixstoreConfig} PixstoreConfig */
/** @typedef {import('./image-service.js').ImageFetcher} ImageFetcher */
/** @typedef {import('./records.js').ImageRecord} ImageRecord */

/**
 * Changes some options and keeps the others. May be called again; without a fetcher, the one given before is dropped.
 * @param {Partial<PixstoreConfig>} [config]
 * @param {ImageFetcher} [customImageFetcher]  gets wire payloads in the page's own way
 * @throws {import('./errors.js').PixstoreError} names every wrong option
 */
export function initPixstoreFrontend(config = {}, customImageFetcher = undefined) {
  configure(config)
  renewImageService(customImageFetcher)
}

/**
 * The decrypted image. If it is cached with the same token, this costs no request.
 * @param {ImageRecord} record
 * @param {unknown} [context]  handed to the custom image fetcher
 * @param {{ signal?: AbortSignal }} [options]
 * @returns {Promise<Blob | null>}
 */
export function getImage(record, context, { signal } = {}) {
  return run(async () => {
    const options = signal ? { context, signal } : { context }
    return (await imageService().load(record, options)).blob
  })
}

/**
 * The decrypted images, in the same order; null for each that could not be loaded. They are fetched together.
 * @param {ImageRecord[]} records
 * @param {unknown} [context]
 * @param {{ signal?: AbortSignal }} [options]
 * @returns {Promise<(Blob | null)[]>}
 */
export function getImages(records, context, options) {
  return Promise.all(records.map((record) => getImage(record, context, options)))
}

/**
 * Removes an image from the cache. True: it was there; false: it was not; null: it could not be removed.
 * @param {string} id
 * @returns {Promise<boolean | null>}
 */
export function deleteCachedImage(id) {
  return run(() => imageService().deleteCached(id))
}

/**
 * @param {string} id
 * @returns {Promise<boolean | null>}  null if the cache could not be asked
 */
export function cachedImageExists(id) {
  return run(() => imageService().isCached(id))
}

/**
 * Removes every image from the cache: on logout, or when the user asks for it.
 * @returns {Promise<true | null>}  null if they could not be removed
 */
export function clearCache() {
  return run(async () => {
    await imageService().clearCache()
    return /** @type {const} */ (true)
  })
}

/**
 * How much is in the cache.
 * @returns {Promise<{ images: number, bytes: number } | null>}
 */
export function cacheUsage() {
  return run(() => imageService().cacheUsage())
}

/**
 * Asks the browser not to drop the cache when space is short. Some browsers then ask the user, so this does nothing unless
 * it is called from a click or the like.
 * @returns {Promise<boolean | null>}  whether the browser agreed
 */
export function persistCache() {
  return run(async () => {
    // WebKitGTK has no navigator.storage.
    return !!navigator.userActivation?.isActive && await (navigator.storage?.persist() ?? false)
  })
}

/**
 * Runs `work`. If it fails, the configured error mode decides what happens.
 * @template T
 * @param {() => Promise<T>} work
 */
function run(work) {
  return runInErrorMode(work, () => currentConfig().errorHandlingMode)
}

// A page whose meta tag names an owner drops the cache of another owner, even if the page shows no picture.
try {
  if (currentConfig().cacheOwner != null) imageService()
} catch (error) {
  report(error, 'warn')
}
