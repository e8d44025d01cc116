/**
 * Turns a record into a picture: looks in the cache, or else asks the server, decrypts, and caches. It
 * connects all other parts of this module.
 */
import { ImageCache } from './cache.js'
import { currentConfig, endpointOf } from './config.js'
import { requireSecureContext, sealFromMeta, unseal } from './crypto.js'
import { PixstoreError } from './errors.js'
import { Fetcher } from './fetcher.js'
import { mimeType } from './formats.js'
import { RecordSource, checkRecord } from './records.js'
import { SharedLoad } from './shared-load.js'
import { WireState, decodeWirePayload } from './wire.js'

/** @typedef {import('./config.js').PixstoreConfig} PixstoreConfig */
/** @typedef {import('./records.js').ImageRecord} ImageRecord */
/** @typedef {import('./records.js').RecordDraft} RecordDraft */
/** @typedef {import('./wire.js').Bytes} Bytes */

/** A picture and its record, which may be newer than the record that was asked for.
 * @typedef {{ blob: Blob, record: ImageRecord, cached: boolean }} Picture */

/**
 * Fetches a wire payload in the page's own way.
 * @callback ImageFetcher
 * @param {ImageRecord} record  without a token if the client has no key for that version, so that the server sends the key
 * @param {unknown} context  the context that was passed to getImage()
 * @returns {Promise<Uint8Array | ArrayBuffer>}
 */

/**
 * @typedef {object} LoadOptions
 * @property {unknown} [context]  for the custom image fetcher
 * @property {AbortSignal} [signal]
 * @property {() => boolean} [isUrgent]  whether the picture would be seen now
 */

/** Raise it when the object stores change. IndexedDB versions only go up. */
const SCHEMA_VERSION = 2

export class ImageService {
  #config
  #customFetcher
  #cache
  #fetcher
  #records
  /** @type {Set<SharedLoad<Picture>>} */
  #loads = new Set()

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
    // The session has ended, and the cached pictures belong to the user who was logged in.
    const onLoggedOut = () => { this.clearCache().catch(() => {}) }
    this.#records = config.recordUrl ? new RecordSource(config.recordUrl, onLoggedOut) : null
    if (config.cacheOwner != null) this.#cache.claim()
  }

  /**
   * The picture of a record. However many callers ask for one version of an image at the same time, it is loaded once.
   * @param {unknown} record
   * @param {LoadOptions} [options]
   * @returns {Promise<Picture>}
   */
  async load(record, { context, signal, isUrgent = () => true } = {}) {
    requireSecureContext()
    const draft = checkRecord(record)
    signal?.throwIfAborted()
    const load = this.#loadUnderWay(draft, context) ?? this.#startLoad(draft, context)
    return load.wait(signal, isUrgent)
  }

  /**
   * Removes an image from the cache. One that is being loaded now will not be cached either.
   * @param {string} id
   */
  deleteCached(id) {
    for (const load of this.#loads) if (load.id === id) load.mayBeCached = false
    return this.#cache.delete(id)
  }

  /** @param {string} id */
  isCached(id) {
    return this.#cache.has(id)
  }

  /** Removes all images from the cache. Those that are being loaded now will not be cached either. */
  clearCache() {
    for (const load of this.#loads) load.mayBeCached = false
    return this.#cache.clear()
  }

  cacheUsage() {
    return this.#cache.usage()
  }

  /** Stops using the cache. Loads under way still end. */
  retire() {
    this.#cache.close()
  }

  /**
   * @param {RecordDraft} record
   * @param {unknown} context
   */
  #loadUnderWay({ id, token }, context) {
    for (const load of this.#loads) {
      if (load.id === id && load.token === token && load.context === context && !load.signal.aborted) return load
    }
    return undefined
  }

  /**
   * @param {RecordDraft} draft
   * @param {unknown} context
   */
  #startLoad(draft, context) {
    /** @type {SharedLoad<Picture>} */
    const load = new SharedLoad(draft, context, async () => {
      try {
        const record = isComplete(draft) ? draft : await this.#refreshed(draft)
        return await this.#fromCache(record) ?? await this.#fromServer(record, load)
      } finally {
        this.#loads.delete(load)
      }
    })
    this.#loads.add(load)
    return load
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
      const blob = await this.#decrypt(new Uint8Array(await bytes.arrayBuffer()), sealFromMeta(meta))
      return { blob, record, cached: true }
    } catch {
      this.#cache.discard(id)
      return undefined
    }
  }

  /**
   * @param {ImageRecord} record
   * @param {SharedLoad<Picture>} load
   * @returns {Promise<Picture>}
   */
  async #fromServer(record, load) {
    let wire = await this.#ask(record, load)
    if ((wire.state === WireState.InvalidProof || wire.state === WireState.MissingProof) && this.#records) {
      record = await this.#refreshed(record)
      wire = await this.#ask(record, load)
    }
    if (wire.state === WireState.Success) return this.#fromSuccess(wire, record, load)
    if (wire.state !== WireState.Updated) throw refusal(wire.state)
    const blob = await this.#decrypt(wire.ciphertext, wire)
    return this.#addToCache(blob, wire.ciphertext, { ...record, token: wire.token, meta: undefined }, load)
  }

  /**
   * @param {import('./wire.js').Success} wire
   * @param {ImageRecord} record
   * @param {SharedLoad<Picture>} load
   * @returns {Promise<Picture>}
   */
  async #fromSuccess(wire, record, load) {
    if (!record.meta) throw new PixstoreError('The server sent the picture without its key.', 'wire')
    let blob
    try {
      blob = await this.#decrypt(wire.ciphertext, sealFromMeta(record.meta))
    } catch (error) {
      // Perhaps the key in the record is wrong. Asked without meta, the server sends its own; that happens only once.
      if (error instanceof PixstoreError && error.code !== 'unreadable') {
        return this.#fromServer({ ...record, meta: undefined }, load)
      }
      throw error
    }
    return this.#addToCache(blob, wire.ciphertext, record, load)
  }

  /**
   * Caches a picture and returns it. It has been decrypted, so it is whole. A Blob is a copy: no response buffer is stored
   * with it.
   * @param {Blob} blob
   * @param {Bytes} ciphertext
   * @param {ImageRecord} record
   * @param {SharedLoad<Picture>} load
   * @returns {Picture}
   */
  #addToCache(blob, ciphertext, record, load) {
    const bytes = this.#config.cacheMode === 'encrypted' ? new Blob([ciphertext]) : blob
    if (load.mayBeCached) this.#cache.add({ id: record.id, token: record.token, bytes })
    return { blob, record, cached: false }
  }

  /**
   * @param {Bytes} ciphertext
   * @param {import('./crypto.js').Seal} seal
   */
  async #decrypt(ciphertext, seal) {
    const { formatByte, image } = await unseal(ciphertext, seal)
    return new Blob([image], { type: mimeType(formatByte, this.#config.imageFormats) })
  }

  /**
   * Asks the server. A token is sent only if we hold the key of that version; without a token the server sends the key.
   * @param {ImageRecord} record
   * @param {SharedLoad<Picture>} load
   */
  async #ask(record, load) {
    const { id, statelessProof: proof, meta } = record
    const token = meta ? record.token : undefined
    if (this.#customFetcher) {
      const asked = /** @type {ImageRecord} */ ({ ...record, token })
      return decodeWirePayload(asBytes(await this.#customFetcher(asked, load.context)))
    }
    // Without a proof the server would give this answer.
    if (!proof) return decodeWirePayload(Uint8Array.of(WireState.MissingProof))
    return decodeWirePayload(await this.#fetcher.fetch({ id, proof, token }, load.signal, load.isUrgent))
  }

  /**
   * @param {RecordDraft} record
   * @returns {Promise<ImageRecord>}
   */
  async #refreshed(record) {
    if (!this.#records) throw new PixstoreError('This is not an image record: it has no token.', 'record')
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

/** The service of this page, with the configuration in force. */
export function imageService() {
  current ??= new ImageService(currentConfig(), customFetcher)
  return current
}

/**
 * Replaces the service of this page. Call it when the configuration has changed.
 * @param {ImageFetcher | undefined} fetcher
 */
export function renewImageService(fetcher) {
  current?.retire()
  current = null
  customFetcher = fetcher
  return imageService()
}

/**
 * A fingerprint of everything that distinguishes caches: kind of content, server, user.
 * @param {PixstoreConfig} config
 */
function ownerOf(config) {
  const endpoint = new URL(endpointOf(config), document.baseURI).href
  const identity = JSON.stringify([config.cacheMode, endpoint, config.cacheOwner ?? null])
  const owner = digest(identity)
  owner.catch(() => {}) // fails in an insecure context, where nothing is cached
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
  // A copy: the key in it will be wiped, and the buffer belongs to the page.
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
