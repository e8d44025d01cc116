/**
 * Asks the image endpoint. Imports errors, turns and wire.
 *
 * - What is asked for in one tick goes into one POST, as far as the endpoint knows it; a single image, and everything at an
 *   endpoint without POST (the npm backend), goes by GET.
 * - What is on screen goes first. What nobody wants any more is not asked for, and a request that nobody waits for is aborted.
 * - Network troubles and overload are met by asking again, later and a few times; what a batch did deliver stays delivered.
 */
import { PixstoreError } from './errors.js'
import { turn } from './turns.js'
import { readBatch } from './wire.js'

/** @typedef {import('./wire.js').Bytes} Bytes */
/** @typedef {{ id: string, proof: string, token: number | undefined }} ImageRequest */

/**
 * @typedef {object} Job
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
  #batches
  #active = 0
  /** @type {Job[]} */
  #queue = []

  /**
   * @param {string} endpoint
   * @param {boolean} batch  whether POST may be tried
   */
  constructor(endpoint, batch) {
    this.#endpoint = endpoint
    this.#batches = batch
  }

  /**
   * The wire payload, in a buffer of its own.
   * @param {ImageRequest} request
   * @param {AbortSignal} signal
   * @param {() => boolean} isUrgent  asked each time there is a choice what to fetch next
   * @returns {Promise<Bytes>}
   * @throws {PixstoreError} code 'network'
   */
  fetch(request, signal, isUrgent) {
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      this.#enqueue({ request, signal, isUrgent, resolve, reject, failures: 0 })
    })
  }

  /** @param {Job} job */
  #enqueue(job) {
    // After this tick, so that all of its images are together.
    if (this.#queue.push(job) === 1) queueMicrotask(() => this.#start())
  }

  #start() {
    while (this.#active < (this.#batches ? BATCHES_AT_ONCE : SINGLES_AT_ONCE)) {
      const jobs = this.#next(this.#batches ? BATCH_SIZE : 1)
      if (!jobs.length) return
      this.#active += 1
      this.#perform(jobs).finally(() => {
        this.#active -= 1
        this.#start()
      })
    }
  }

  /** @param {number} most */
  #next(most) {
    const wanted = this.#queue.filter(({ signal }) => !signal.aborted)
    const urgent = wanted.filter((job) => job.isUrgent())
    const others = wanted.filter((job) => !urgent.includes(job))
    const ordered = [...urgent, ...others]
    this.#queue = ordered.slice(most)
    return ordered.slice(0, most)
  }

  /** @param {Job[]} jobs */
  async #perform(jobs) {
    const waiting = new Set(jobs)
    try {
      const signal = whenAllAborted(jobs)
      if (jobs.length === 1) await this.#get(waiting, signal)
      else await this.#post(waiting, signal)
    } catch (error) {
      this.#failed([...waiting], error)
    }
  }

  /**
   * @param {Set<Job>} waiting
   * @param {AbortSignal} signal
   */
  async #get(waiting, signal) {
    const [job] = /** @type {[Job]} */ ([...waiting])
    const { id, proof, token } = job.request
    const headers = new Headers({ 'x-pixstore-proof': proof })
    if (token !== undefined) headers.set('x-pixstore-token', String(token))
    const response = await this.#ask(`/${encodeURIComponent(id)}`, { headers, signal })
    if (!response.ok) throw new HttpFailure(response)
    job.resolve(new Uint8Array(await response.arrayBuffer()))
  }

  /**
   * @param {Set<Job>} waiting
   * @param {AbortSignal} signal
   */
  async #post(waiting, signal) {
    const body = JSON.stringify({ images: Array.from(waiting, ({ request }) => request) })
    const headers = { 'content-type': 'application/json' }
    const response = await this.#tryPost({ method: 'POST', headers, body, signal })
    if (!response) {
      this.#batches = false
      this.#queue.unshift(...waiting)
      return
    }
    if (!response.ok || !response.body) throw new HttpFailure(response)
    const order = waiting.values()
    for await (const payload of readBatch(response.body)) {
      const { value: job } = order.next()
      if (!job) throw new Error('more images than were asked for')
      job.resolve(payload)
      waiting.delete(job)
      await turn()
    }
    if (waiting.size) throw new Error('fewer images than were asked for')
  }

  /**
   * The answer, or null where the endpoint turns out to take no POST, or none like this.
   * @param {RequestInit} request
   */
  async #tryPost(request) {
    try {
      const response = await this.#ask('', request)
      if (response.ok || new HttpFailure(response).mayPass) return response
      response.body?.cancel().catch(() => {})
      return null
    } catch (error) {
      // On another origin the browser asks whether JSON may be sent there, and hides the answer "no".
      const elsewhere = new URL(this.#endpoint, document.baseURI).origin !== location.origin
      if (elsewhere && error instanceof TypeError) return null
      throw error
    }
  }

  /**
   * @param {string} path
   * @param {RequestInit} request
   */
  #ask(path, request) {
    // A payload may hold a key: nothing of it may be cached, and a proof goes to nobody but the endpoint.
    return fetch(this.#endpoint + path, { ...request, cache: 'no-store', redirect: 'error' })
  }

  /**
   * Tries those again for whom there is hope, all at the same time, so that they are together again.
   * @param {Job[]} jobs
   * @param {unknown} error
   */
  #failed(jobs, error) {
    const status = error instanceof HttpFailure ? error : null
    /** @type {Job[]} */
    const again = []
    for (const job of jobs) {
      job.failures += 1
      if (!job.signal.aborted && job.failures < MOST_FAILURES && (!status || status.mayPass)) again.push(job)
      else job.reject(unanswered(error))
    }
    const backOff = FIRST_PAUSE * 4 ** ((again[0]?.failures ?? 1) - 1) * (0.5 + Math.random())
    const pause = Math.min(Math.max(status?.pause ?? 0, backOff), LONGEST_PAUSE)
    if (again.length) setTimeout(() => again.forEach((job) => this.#enqueue(job)), pause)
  }
}

/** @param {unknown} cause */
function unanswered(cause) {
  const words = cause instanceof HttpFailure && !cause.mayPass
    ? `The server refused to hand out the picture (status ${cause.status}).`
    : 'The server did not answer. Check the connection and try again.'
  return new PixstoreError(words, 'network', { cause })
}

/** An answer that is no payload. */
class HttpFailure extends Error {
  /** @param {Response} response */
  constructor(response) {
    super(`status ${response.status}`)
    this.status = response.status
    /** Whether asking again may help. */
    this.mayPass = response.status === 429 || (response.status >= 500 && response.status !== 501)
    /** What the server asks us to wait, in milliseconds. */
    this.pause = 1000 * (Number(response.headers.get('retry-after')) || 0)
  }
}

/** @param {Job[]} jobs */
function whenAllAborted(jobs) {
  const controller = new AbortController()
  let left = jobs.length
  const count = () => {
    left -= 1
    if (left === 0) controller.abort()
  }
  for (const { signal } of jobs) {
    if (signal.aborted) count()
    else signal.addEventListener('abort', count, { once: true })
  }
  return controller.signal
}
