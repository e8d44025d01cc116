/**
 * From a record to a picture: cache, else server, decrypt, keep. The one place where the parts of this module meet.
 */
import { ImageCache } from './cache.js'
import { currentConfig, endpointOf } from './config.js'
import { requireSecureContext, sealFromMeta, unseal } from './crypto.js'
import { PixstoreError } from './errors.js'
import { Fetcher } from './fetcher.js'
import { Flight } from './flight.js'
import { mimeType } from './formats.js'
import { RecordSource, checkRecord } from './records.js'
import { WireState, decodeWirePayload } from './wire.js'

/** @typedef {import('./config.js').PixstoreConfig} PixstoreConfig */
/** @typedef {import('./records.js').ImageRecord} ImageRecord */
/** @typedef {import('./records.js').RecordDraft} RecordDraft */
/** @typedef {import('./wire.js').Bytes} Bytes */

/** A picture, and the record it goes by now. @typedef {{ blob: Blob, record: ImageRecord, cached: boolean }} Picture */

/**
 * Fetches a wire payload in the page's own way.
 * @callback ImageFetcher
 * @param {ImageRecord} record  without token where the client lacks what a token stands for, so that the key is sent
 * @param {unknown} context  what getImage() was given
 * @returns {Promise<Uint8Array | ArrayBuffer>}
 */

/**
 * @typedef {object} LoadOptions
 * @property {unknown} [context]  for the custom image fetcher
 * @property {AbortSignal} [signal]
 * @property {() => boolean} [isUrgent]  whether the picture would be seen now
 */

/** Raise it when the object stores change; IndexedDB versions only go up. */
const SCHEMA_VERSION = 2

export class ImageService {
  #config
  #customFetcher
  #cache
  #fetcher
  #records
  /** @type {Set<Flight<Picture>>} */
  #flights = new Set()

  /**
   * @param {Readonly<PixstoreConfig>} config
   * @param {ImageFetcher} [customFetcher]
   */
  constructor(config, customFetcher) {
    this.#config = config
    this.#customFetcher = customFetcher
    this.#cache = new ImageCache({
      name: config.frontendDbName,
      version: config.frontendDbVersion * 100 + SCHEMA_VERSION,
      imageStore: config.imageStoreName,
      owner: ownerOf(config),
      imageLimit: config.frontendImageCacheLimit,
      byteLimit: config.cacheBytesLimit,
      cleanupBatch: config.frontendCleanupBatch,
    })
    this.#fetcher = new Fetcher(endpointOf(config), config.batch)
    // Whoever was logged in is no longer: what is cached was theirs.
    const forget = () => { this.clearCache().catch(() => {}) }
    this.#records = config.recordUrl ? new RecordSource(config.recordUrl, forget) : null
    if (config.cacheOwner != null) this.#cache.claim()
  }

  /**
   * The picture that a record stands for. The same version of an image is brought once, however many ask.
   * @param {unknown} record
   * @param {LoadOptions} [options]
   * @returns {Promise<Picture>}
   */
  async load(record, { context, signal, isUrgent = () => true } = {}) {
    requireSecureContext()
    const draft = checkRecord(record)
    signal?.throwIfAborted()
    const flight = this.#flightTo(draft, context) ?? this.#takeOff(draft, context)
    return flight.join(signal, isUrgent)
  }

  /**
   * Drops an image from the cache, also one that is on its way.
   * @param {string} id
   */
  deleteCached(id) {
    for (const flight of this.#flights) if (flight.id === id) flight.mayBeKept = false
    return this.#cache.delete(id)
  }

  /** @param {string} id */
  isCached(id) {
    return this.#cache.has(id)
  }

  clearCache() {
    for (const flight of this.#flights) flight.mayBeKept = false
    return this.#cache.clear()
  }

  cacheUsage() {
    return this.#cache.usage()
  }

  /** Lets what is on its way arrive, and uses the cache no more. */
  retire() {
    this.#cache.close()
  }

  /**
   * @param {RecordDraft} record
   * @param {unknown} context
   */
  #flightTo({ id, token }, context) {
    for (const flight of this.#flights) {
      if (flight.id === id && flight.token === token && flight.context === context && !flight.signal.aborted) return flight
    }
    return undefined
  }

  /**
   * @param {RecordDraft} record
   * @param {unknown} context
   */
  #takeOff(record, context) {
    /** @type {Flight<Picture>} */
    const flight = new Flight(record, context, async () => {
      try {
        return await this.#bring(record, flight)
      } finally {
        this.#flights.delete(flight)
      }
    })
    this.#flights.add(flight)
    return flight
  }

  /**
   * @param {RecordDraft} draft
   * @param {Flight<Picture>} flight
   * @returns {Promise<Picture>}
   */
  async #bring(draft, flight) {
    const record = isComplete(draft) ? draft : await this.#refreshed(draft)
    return await this.#fromCache(record) ?? await this.#fromServer(record, flight)
  }

  /**
   * @param {ImageRecord} record
   * @returns {Promise<Picture | undefined>}
   */
  async #fromCache(record) {
    const { id, token, meta } = record
    const encrypted = this.#config.cacheMode === 'encrypted'
    if (encrypted && !meta) return undefined
    const bytes = await this.#cache.find(id, token)
    if (!bytes || !encrypted || !meta) return bytes && { blob: bytes, record, cached: true }
    try {
      const blob = await this.#open(new Uint8Array(await bytes.arrayBuffer()), sealFromMeta(meta))
      return { blob, record, cached: true }
    } catch {
      this.#cache.discard(id)
      return undefined
    }
  }

  /**
   * @param {ImageRecord} record
   * @param {Flight<Picture>} flight
   * @returns {Promise<Picture>}
   */
  async #fromServer(record, flight) {
    let wire = await this.#ask(record, flight)
    if ((wire.state === WireState.InvalidProof || wire.state === WireState.MissingProof) && this.#records) {
      record = await this.#refreshed(record)
      wire = await this.#ask(record, flight)
    }
    if (wire.state === WireState.Success) return this.#fromSuccess(wire, record, flight)
    if (wire.state !== WireState.Updated) throw refusal(wire.state)
    const blob = await this.#open(wire.ciphertext, wire)
    return this.#keep(blob, wire.ciphertext, { ...record, token: wire.token, meta: undefined }, flight)
  }

  /**
   * @param {import('./wire.js').Success} wire
   * @param {ImageRecord} record
   * @param {Flight<Picture>} flight
   * @returns {Promise<Picture>}
   */
  async #fromSuccess(wire, record, flight) {
    if (!record.meta) throw new PixstoreError('The server sent the picture without its key.', 'wire')
    let blob
    try {
      blob = await this.#open(wire.ciphertext, sealFromMeta(record.meta))
    } catch (error) {
      // The record may be what is wrong; the server knows the key as well. Without meta this ends with the next answer.
      if (error instanceof PixstoreError && error.code !== 'unreadable') {
        return this.#fromServer({ ...record, meta: undefined }, flight)
      }
      throw error
    }
    return this.#keep(blob, wire.ciphertext, record, flight)
  }

  /**
   * What is kept has been decrypted, so it is whole. A Blob is a copy: no response buffer is stored along with it.
   * @param {Blob} blob
   * @param {Bytes} ciphertext
   * @param {ImageRecord} record
   * @param {Flight<Picture>} flight
   * @returns {Picture}
   */
  #keep(blob, ciphertext, record, flight) {
    const bytes = this.#config.cacheMode === 'encrypted' ? new Blob([ciphertext]) : blob
    if (flight.mayBeKept) this.#cache.add({ id: record.id, token: record.token, bytes })
    return { blob, record, cached: false }
  }

  /**
   * @param {Bytes} ciphertext
   * @param {import('./crypto.js').Seal} seal
   */
  async #open(ciphertext, seal) {
    const { formatByte, image } = await unseal(ciphertext, seal)
    return new Blob([image], { type: mimeType(formatByte, this.#config.imageFormats) })
  }

  /**
   * A token is sent only by who can decrypt what it stands for; without one, the key comes along.
   * @param {ImageRecord} record
   * @param {Flight<Picture>} flight
   */
  async #ask(record, flight) {
    const { id, statelessProof: proof, meta } = record
    const token = meta ? record.token : undefined
    if (this.#customFetcher) {
      const asked = /** @type {ImageRecord} */ ({ ...record, token })
      return decodeWirePayload(asBytes(await this.#customFetcher(asked, flight.context)))
    }
    // It would be refused anyway.
    if (!proof) return decodeWirePayload(Uint8Array.of(WireState.MissingProof))
    return decodeWirePayload(await this.#fetcher.fetch({ id, proof, token }, flight.signal, flight.isUrgent))
  }

  /**
   * @param {RecordDraft} record
   * @returns {Promise<ImageRecord>}
   */
  async #refreshed(record) {
    if (!this.#records) throw new PixstoreError('This is no image record: it has no token.', 'record')
    const fresh = await this.#records.fresh(record.id)
    if (!fresh) throw refusal(WireState.NotFound)
    const meta = fresh.meta ?? (fresh.token === record.token ? record.meta : undefined)
    return { ...fresh, meta }
  }
}

/** @type {ImageService | null} */
let current = null
/** @type {ImageFetcher | undefined} */
let customFetcher

/** The service of this page, by the configuration in force. */
export function imageService() {
  current ??= new ImageService(currentConfig(), customFetcher)
  return current
}

/**
 * To be called when the configuration has changed.
 * @param {ImageFetcher | undefined} fetcher
 */
export function renewImageService(fetcher) {
  current?.retire()
  current = null
  customFetcher = fetcher
  return imageService()
}

/**
 * A fingerprint of what makes a cache somebody's: kind of content, server, user.
 * @param {PixstoreConfig} config
 */
function ownerOf(config) {
  const endpoint = new URL(endpointOf(config), document.baseURI).href
  const identity = JSON.stringify([config.cacheMode, endpoint, config.cacheOwner ?? null])
  const owner = digest(identity)
  owner.catch(() => {}) // without a secure context nothing is cached
  return owner
}

/** @param {string} text */
async function digest(text) {
  const bytes = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/**
 * @param {RecordDraft} draft
 * @returns {draft is ImageRecord}
 */
function isComplete(draft) {
  return draft.token !== undefined
}

/**
 * @param {unknown} payload
 * @returns {Bytes}
 */
function asBytes(payload) {
  // A copy: the key in it will be wiped, and the buffer is not ours.
  if (payload instanceof Uint8Array) return Uint8Array.from(payload)
  if (payload instanceof ArrayBuffer) return new Uint8Array(payload.slice(0))
  throw new PixstoreError('The custom image fetcher returned no bytes.', 'wire')
}

/** @param {number} state */
function refusal(state) {
  switch (state) {
    case WireState.NotFound:
      return new PixstoreError('The picture does not exist (any more).', 'not-found')
    case WireState.MissingProof:
    case WireState.InvalidProof:
      return new PixstoreError('The permission to see the picture has expired. Reload the page.', 'proof-refused')
    case WireState.InternalError:
      return new PixstoreError('The server failed to read the picture. Try again later.', 'server')
    default:
      return new PixstoreError('The server did not understand which picture was meant.', 'wire')
  }
}
