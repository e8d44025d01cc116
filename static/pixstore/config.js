/**
 * The configuration of the page: defaults, then the meta tag, then initPixstoreFrontend(). Imports errors and formats.
 *
 *     <meta name="pixstore" content='{"recordUrl": "/records", "cacheOwner": "u17"}'>
 *
 * The meta tag serves pages whose content security policy allows no inline script, and pages without a script of their own.
 */
import { PixstoreError } from './errors.js'
import { isImageFormat } from './formats.js'

/**
 * @typedef {object} PixstoreConfig
 * @property {readonly string[]} imageFormats  as configured on the server, in the same order
 * @property {string} frontendDbName  name of the IndexedDB database
 * @property {number} frontendDbVersion  raise it to drop every visitor's cache
 * @property {string} imageStoreName  name of the object store that holds the image bytes
 * @property {number} frontendImageCacheLimit  most images in the cache
 * @property {number} frontendCleanupBatch  how many more images are removed when the limit is exceeded
 * @property {string | undefined} defaultEndpointConnectHost  server of the image endpoint; own origin by default
 * @property {number | undefined} defaultEndpointConnectPort
 * @property {string} defaultEndpointRoute
 * @property {import('./errors.js').ErrorHandlingMode} errorHandlingMode
 * @property {'decrypted' | 'encrypted'} cacheMode  whether the cache holds pictures or ciphertext
 * @property {number} cacheBytesLimit  most bytes in the cache
 * @property {string | undefined} cacheOwner  a name for the owner of the pictures; the cache of another owner
 * is dropped. Not a secret.
 * @property {string | undefined} endpointUrl  the address before the route: an origin, or a path on this one
 * @property {string | undefined} recordUrl  where fresh records come from when a proof is too old
 * @property {boolean} batch  whether several images may be asked for in one POST
 */

/** @type {Readonly<PixstoreConfig>} */
export const DEFAULTS = Object.freeze({
  imageFormats: Object.freeze(['png', 'webp', 'jpg', 'jpeg']),
  frontendDbName: 'pixstore',
  frontendDbVersion: 1,
  imageStoreName: 'images',
  frontendImageCacheLimit: 1000,
  frontendCleanupBatch: 50,
  defaultEndpointConnectHost: undefined,
  defaultEndpointConnectPort: undefined,
  defaultEndpointRoute: '/pixstore-image',
  errorHandlingMode: 'hybrid',
  cacheMode: 'decrypted',
  cacheBytesLimit: 512 * 2 ** 20,
  cacheOwner: undefined,
  endpointUrl: undefined,
  recordUrl: undefined,
  batch: true,
})

/** @typedef {(value: unknown) => boolean} Check */

/** @type {Record<keyof PixstoreConfig, [Check, string]>} */
const RULES = {
  imageFormats: [areImageFormats, 'must be a list of different image formats such as "png" (not "svg")'],
  frontendDbName: [isText, 'must be a text that is not empty'],
  frontendDbVersion: [(value) => isCount(value) && value <= 2 ** 31, 'must be a whole number from 1'],
  imageStoreName: [isText, 'must be a text that is not empty'],
  frontendImageCacheLimit: [isCount, 'must be a whole number from 1'],
  frontendCleanupBatch: [(value) => value === 0 || isCount(value), 'must be a whole number from 0'],
  defaultEndpointConnectHost: [optional(isHost), 'must be a host name or address'],
  defaultEndpointConnectPort: [optional(isPort), 'must be a whole number from 1 to 65535'],
  defaultEndpointRoute: [isRoute, 'must start with "/" and must not end with it'],
  errorHandlingMode: [oneOf('hybrid', 'throw', 'warn', 'silent', 'custom'),
    'must be hybrid, throw, warn, silent or custom'],
  cacheMode: [oneOf('decrypted', 'encrypted'), 'must be decrypted or encrypted'],
  cacheBytesLimit: [isCount, 'must be a whole number of bytes'],
  cacheOwner: [optional((value) => typeof value === 'string'), 'must be a text'],
  endpointUrl: [optional(isBaseUrl), 'must be an http(s) origin or a path, without "?", "#" and a password'],
  recordUrl: [optional(isOwnUrl), 'must be an address on this origin, without "?" and "#"'],
  batch: [(value) => typeof value === 'boolean', 'must be true or false'],
}

/** @type {Readonly<PixstoreConfig> | null} */
let current = null

/**
 * The configuration in force.
 * @throws {PixstoreError} code 'config': the meta tag is wrong
 */
export function currentConfig() {
  current ??= merge(DEFAULTS, fromMetaTag(), 'The meta tag "pixstore"')
  return current
}

/**
 * Changes some options of the configuration in force. If one is wrong, nothing changes.
 * @param {Partial<PixstoreConfig>} changes
 * @throws {PixstoreError} code 'config': names every fault at once
 */
export function configure(changes) {
  current = merge(currentConfig(), changes, 'initPixstoreFrontend')
}

/**
 * The address of the image endpoint, without a slash at the end.
 * @param {PixstoreConfig} config
 */
export function endpointOf(config) {
  const { defaultEndpointConnectHost: host, defaultEndpointConnectPort: port } = config
  let base = config.endpointUrl?.replace(/\/$/, '') ?? ''
  if (host || port) base = `${location.protocol}//${host ?? location.hostname}${port ? `:${port}` : ''}`
  return base + config.defaultEndpointRoute
}

/**
 * @param {Readonly<PixstoreConfig>} base
 * @param {unknown} changes
 * @param {string} where
 * @returns {Readonly<PixstoreConfig>}
 */
function merge(base, changes, where) {
  if (typeof changes !== 'object' || changes === null) {
    throw new PixstoreError(`${where} needs an object of options.`, 'config')
  }
  const config = /** @type {PixstoreConfig} */ ({ ...base, ...changes })
  const faults = [...faultsOf(config), ...contradictionsOf(config)]
  if (faults.length) throw new PixstoreError(`${where} has wrong options: ${faults.join('; ')}.`, 'config')
  return Object.freeze(config)
}

/** @param {PixstoreConfig} config */
function faultsOf(config) {
  const faults = []
  for (const [name, value] of Object.entries(config)) {
    const rule = Object.hasOwn(RULES, name) ? RULES[/** @type {keyof PixstoreConfig} */ (name)] : undefined
    if (!rule) faults.push(`${name} is not an option`)
    else if (!rule[0](value)) faults.push(`${name} ${rule[1]}`)
  }
  return faults
}

/** @param {PixstoreConfig} config */
function contradictionsOf(config) {
  const faults = []
  if (config.frontendCleanupBatch >= config.frontendImageCacheLimit) {
    faults.push('frontendCleanupBatch must be smaller than frontendImageCacheLimit')
  }
  if (config.endpointUrl && (config.defaultEndpointConnectHost || config.defaultEndpointConnectPort)) {
    faults.push('endpointUrl and defaultEndpointConnectHost or …Port exclude each other')
  }
  return faults
}

/** @returns {unknown} */
function fromMetaTag() {
  // Only in the head: texts that users wrote are never shown there.
  const content = document.head.querySelector('meta[name="pixstore"]')?.getAttribute('content')
  if (!content) return {}
  try {
    return JSON.parse(content)
  } catch (error) {
    throw new PixstoreError('The meta tag "pixstore" does not hold JSON.', 'config', { cause: error })
  }
}

/** @param {unknown} value */
function isText(value) {
  return typeof value === 'string' && value.trim() !== ''
}

/**
 * @param {unknown} value
 * @returns {value is number}
 */
function isCount(value) {
  return Number.isSafeInteger(value) && Number(value) > 0
}

/** @param {unknown} value */
function isPort(value) {
  return isCount(value) && value <= 65535
}

/** @param {unknown} value */
function isHost(value) {
  return typeof value === 'string' && /^([a-z0-9_.-]+|\[[0-9a-f:.]+\])$/i.test(value)
}

/** @param {unknown} value */
function isRoute(value) {
  return typeof value === 'string' && /^\/[^?#\s]*[^?#\s/]$/.test(value) && !value.startsWith('//')
}

/** @param {unknown} value */
function isBaseUrl(value) {
  const url = parse(value)
  return !!url && !url.username && !url.password && !url.search && !url.hash && /^https?:$/.test(url.protocol)
}

/** @param {unknown} value */
function isOwnUrl(value) {
  const url = parse(value)
  return !!url && url.origin === location.origin && !url.search && !url.hash
}

/** @param {unknown} value */
function parse(value) {
  if (typeof value !== 'string' || !isText(value)) return null
  try {
    return new URL(value, document.baseURI)
  } catch {
    return null
  }
}

/** @param {unknown} value */
function areImageFormats(value) {
  return Array.isArray(value) && value.length > 0 && value.length < 256
    && value.every(isImageFormat) && new Set(value).size === value.length
}

/**
 * @param {...string} names
 * @returns {Check}
 */
function oneOf(...names) {
  return (value) => typeof value === 'string' && names.includes(value)
}

/**
 * @param {Check} check
 * @returns {Check}
 */
function optional(check) {
  return (value) => value === undefined || value === null || check(value)
}
