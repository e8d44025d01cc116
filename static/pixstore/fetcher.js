/**
 * Asks the image endpoint. Imports errors, schedule and wire.
 *
 * - The images asked for in one tick go into one POST. A single image goes by GET, and so does every image if the endpoint
 *   does not know POST (the npm backend).
 * - Images on screen are fetched first. If no caller waits for an image any more, it is not requested. If no
 *   caller waits for any image of a request, the request is aborted.
 * - After a network error or overload, we try again later, a few times. Images that a broken batch has
 *   delivered are not requested again.
 */
import { PixstoreError } from './errors.js'
import { yieldToPage } from './schedule.js'
import { readBatch } from './wire.js'

/** @typedef {import('./wire.js').Bytes} Bytes */
/** @typedef {{ id: string, proof: string, token: number | undefined }} ImageRequest */

/**
 * An image that a caller waits for.
 * @typedef {object} PendingImage
 * @property {ImageRequest} request
 * @property {AbortSignal} signal
 * @property {() => boolean} isUrgent
 * @property {(payload: Bytes) => void} resolve
 * @property {(error: unknown) => void} reject
 * @property {number} failures
 */

const BATCH_SIZE = 100
const BATCHES_AT_ONCE = 2
const SINGLES_AT_ONCE = 6
const MOST_FAILURES = 3
const FIRST_PAUSE = 300
const LONGEST_PAUSE = 10_000

export class Fetcher {
  #endpoint
  #canBatch
  #requestsUnderWay = 0
  /** @type {PendingImage[]} */
  #queue = []

  /**
   * @param {string} endpoint
   * @param {boolean} batch  whether POST may be tried
   */
  constructor(endpoint, batch) {
    this.#endpoint = endpoint
    this.#canBatch = batch
  }

  /**
   * The wire payload, in a buffer of its own.
   * @param {ImageRequest} request
   * @param {AbortSignal} signal
   * @param {() => boolean} isUrgent  called whenever we choose what to fetch next
   * @returns {Promise<Bytes>}
   * @throws {PixstoreError} code 'network'
   */
  fetch(request, signal, isUrgent) {
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      this.#enqueue({ request, signal, isUrgent, resolve, reject, failures: 0 })
    })
  }

  /** @param {PendingImage} image */
  #enqueue(image) {
    // Start after this tick, so that all of its images go together.
    if (this.#queue.push(image) === 1) queueMicrotask(() => this.#start())
  }

  #start() {
    while (this.#requestsUnderWay < (this.#canBatch ? BATCHES_AT_ONCE : SINGLES_AT_ONCE)) {
      const images = this.#takeFromQueue(this.#canBatch ? BATCH_SIZE : 1)
      if (!images.length) return
      this.#requestsUnderWay += 1
      this.#fetchTogether(images).finally(() => {
        this.#requestsUnderWay -= 1
        this.#start()
      })
    }
  }

  /** @param {number} most */
  #takeFromQueue(most) {
    const wanted = this.#queue.filter(({ signal }) => !signal.aborted)
    const urgent = wanted.filter((image) => image.isUrgent())
    const others = wanted.filter((image) => !urgent.includes(image))
    const ordered = [...urgent, ...others]
    this.#queue = ordered.slice(most)
    return ordered.slice(0, most)
  }

  /** @param {PendingImage[]} images */
  async #fetchTogether(images) {
    const missing = new Set(images)
    try {
      const signal = whenAllAborted(images)
      if (images.length === 1) await this.#get(missing, signal)
      else await this.#post(missing, signal)
    } catch (error) {
      this.#retryOrReject([...missing], error)
    }
  }

  /**
   * @param {Set<PendingImage>} missing  one image
   * @param {AbortSignal} signal
   */
  async #get(missing, signal) {
    const [image] = /** @type {[PendingImage]} */ ([...missing])
    const { id, proof, token } = image.request
    const headers = new Headers({ 'x-pixstore-proof': proof })
    if (token !== undefined) headers.set('x-pixstore-token', String(token))
    const response = await this.#send(`/${encodeURIComponent(id)}`, { headers, signal })
    if (!response.ok) throw new HttpFailure(response)
    image.resolve(new Uint8Array(await response.arrayBuffer()))
  }

  /**
   * @param {Set<PendingImage>} missing  every image that arrives is removed from it
   * @param {AbortSignal} signal
   */
  async #post(missing, signal) {
    const body = JSON.stringify({ images: Array.from(missing, ({ request }) => request) })
    const headers = { 'content-type': 'application/json' }
    const response = await this.#tryPost({ method: 'POST', headers, body, signal })
    if (!response) {
      this.#canBatch = false
      this.#queue.unshift(...missing)
      return
    }
    if (!response.ok || !response.body) throw new HttpFailure(response)
    const order = missing.values()
    for await (const payload of readBatch(response.body)) {
      const { value: image } = order.next()
      if (!image) throw new Error('more images than were asked for')
      image.resolve(payload)
      missing.delete(image)
      await yieldToPage()
    }
    if (missing.size) throw new Error('fewer images than were asked for')
  }

  /**
   * The answer, or null if the endpoint turns out not to accept this POST.
   * @param {RequestInit} request
   */
  async #tryPost(request) {
    try {
      const response = await this.#send('', request)
      if (response.ok || new HttpFailure(response).mayPass) return response
      response.body?.cancel().catch(() => {})
      return null
    } catch (error) {
      // Before it posts JSON to another origin, the browser asks there for permission. It does not tell us of a refusal.
      const isElsewhere = new URL(this.#endpoint, document.baseURI).origin !== location.origin
      if (isElsewhere && error instanceof TypeError) return null
      throw error
    }
  }

  /**
   * @param {string} path
   * @param {RequestInit} request
   */
  #send(path, request) {
    // A payload may contain a key, so nothing may be cached. A proof is for the endpoint alone, so no redirect is followed.
    return fetch(this.#endpoint + path, { ...request, cache: 'no-store', redirect: 'error' })
  }

  /**
   * Puts images back into the queue after a pause if trying again may help, all at the same time so that they go together
   * again.
   * @param {PendingImage[]} images
   * @param {unknown} error
   */
  #retryOrReject(images, error) {
    const status = error instanceof HttpFailure ? error : null
    /** @type {PendingImage[]} */
    const retried = []
    for (const image of images) {
      image.failures += 1
      if (!image.signal.aborted && image.failures < MOST_FAILURES && (!status || status.mayPass)) retried.push(image)
      else image.reject(networkError(error))
    }
    const backOff = FIRST_PAUSE * 4 ** ((retried[0]?.failures ?? 1) - 1) * (0.5 + Math.random())
    const pause = Math.min(Math.max(status?.pause ?? 0, backOff), LONGEST_PAUSE)
    if (retried.length) setTimeout(() => retried.forEach((image) => this.#enqueue(image)), pause)
  }
}

/** @param {unknown} cause */
function networkError(cause) {
  const message = cause instanceof HttpFailure && !cause.mayPass
    ? `The server refused to hand out the picture (status ${cause.status}).`
    : 'The server did not answer. Check the connection and try again.'
  return new PixstoreError(message, 'network', { cause })
}

/** An HTTP answer that contains no payload. */
class HttpFailure extends Error {
  /** @param {Response} response */
  constructor(response) {
    super(`status ${response.status}`)
    this.status = response.status
    /** Whether trying again may help. */
    this.mayPass = response.status === 429 || (response.status >= 500 && response.status !== 501)
    /** How long the server asks us to wait, in milliseconds. */
    this.pause = 1000 * (Number(response.headers.get('retry-after')) || 0)
  }
}

/** @param {PendingImage[]} images */
function whenAllAborted(images) {
  const controller = new AbortController()
  let left = images.length
  const count = () => {
    left -= 1
    if (left === 0) controller.abort()
  }
  for (const { signal } of images) {
    if (signal.aborted) count()
    else signal.addEventListener('abort', count, { once: true })
  }
  return controller.signal
}
