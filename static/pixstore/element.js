/**
 * <pixstore-image image-id token proof alt loading width height>: shows one encrypted image and behaves like <img>.
 *
 * - Events, none of which bubble: loadstart, then load or error, then loadend.
 * - The content of the tag is shown until the picture is there, and by browsers without JavaScript. `slot="error"` replaces
 *   the words shown when it fails; a click on anything with `data-retry` in it tries again.
 * - Parts to style: image, placeholder, error, message, retry. States: :state(loading), :state(loaded), :state(failed).
 * - Neither the key nor the address of the picture is ever in the page's own markup: the picture is in a
 *   shadow root.
 *
 * The element is in one of five states. Only `#enter` changes the state, and updates the view:
 *
 *                near                  shown                 out of reach
 *       idle ────────────▶ loading ────────────▶ loaded ────────────────────▶ released
 *                          │ ▲ ▲ ▲                 │                              │
 *                   error  │ │ │ └─ other version ─┘                              │
 *                          ▼ │ └────────────────── near ──────────────────────────┘
 *                         failed
 *
 *     idle       There is nothing to show, or a lazy picture has not come near yet. (Other pictures always count as near.)
 *                Every state leads back here when the element leaves the page or is to show another image.
 *     loading    The picture is being fetched and shown; `before` is the state to return to if that is called off. An older
 *                version stays on the page until the newer one is there.
 *     loaded     The picture is on the page. A newer proof changes nothing.
 *     released   A lazy picture is far away, and its memory has been given back. Its place stays, and to the page it still
 *                looks loaded. When it comes near, it is brought back silently: without an event, unless that fails.
 *     failed     A message and a button take its place. reload(), a newer proof or another version starts a new attempt.
 */
import { currentConfig } from './config.js'
import { ElementView } from './element-view.js'
import { PixstoreError, report } from './errors.js'
import { imageService } from './image-service.js'
import { unwatchZones, watchZones } from './viewport.js'

/** @typedef {import('./image-service.js').Picture} Picture */
/** @typedef {import('./image-service.js').LoadOptions} LoadOptions */
/** @typedef {import('./records.js').ImageRecord} ImageRecord */
/** @typedef {import('./records.js').RecordDraft} RecordDraft */

/**
 * `wanted` is the version that the attributes asked for when the load began; `record` is the record of the loaded picture.
 * @typedef {{ name: 'idle' }} Idle
 * @typedef {{ name: 'loading', wanted: RecordDraft, before: Idle | Loaded | Released, isSilent: boolean,
 *             controller: AbortController }} Loading
 * @typedef {{ name: 'loaded', wanted: RecordDraft, record: ImageRecord }} Loaded
 * @typedef {{ name: 'released', wanted: RecordDraft, record: ImageRecord }} Released
 * @typedef {{ name: 'failed', wanted: RecordDraft }} Failed
 * @typedef {Idle | Loading | Loaded | Released | Failed} State
 */

/** @type {Idle} */
const IDLE = { name: 'idle' }

/** The zones of a lazy element until its place is known, and those of an element that is not lazy. */
const NOT_YET_NEAR = { onScreen: false, near: false, withinReach: true }
const ALWAYS_NEAR = { onScreen: true, near: true, withinReach: true }

export class PixstoreImageElement extends HTMLElement {
  static observedAttributes = ['image-id', 'token', 'proof', 'alt', 'loading', 'width', 'height']

  #view = new ElementView(this, () => this.reload())
  /** @type {State} */
  #state = IDLE
  /** @type {ImageRecord | null} a record set by a script; its meta is in no attribute */
  #record = null
  #isUpdateDue = false
  #isWatched = false
  #zones = ALWAYS_NEAR

  /**
   * Registers this class under `tag`. A registry knows a class under one tag only.
   * @param {string} [tag]
   * @param {CustomElementRegistry} [registry]
   */
  static define(tag = 'pixstore-image', registry = customElements) {
    if (!registry.get(tag)) registry.define(tag, this)
    return this
  }

  // --- properties that <img> has, too ---

  get alt() { return this.getAttribute('alt') ?? '' }
  set alt(value) { this.setAttribute('alt', value) }

  /** @returns {'lazy' | 'eager'} */
  get loading() { return this.getAttribute('loading')?.toLowerCase() === 'lazy' ? 'lazy' : 'eager' }
  set loading(value) { this.setAttribute('loading', value) }

  get width() { return pixels(this, 'width') ?? this.#view.image.width }
  set width(value) { this.setAttribute('width', String(value)) }

  get height() { return pixels(this, 'height') ?? this.#view.image.height }
  set height(value) { this.setAttribute('height', String(value)) }

  get naturalWidth() { return this.#view.image.naturalWidth }
  get naturalHeight() { return this.#view.image.naturalHeight }

  /** Whether there is nothing more to wait for: the picture is shown, it has failed, or there is none to show. */
  get complete() {
    const { name } = this.#state
    return !this.#isUpdateDue && name !== 'loading' && (name !== 'idle' || !this.imageId)
  }

  // --- properties of an encrypted image alone ---

  get imageId() { return this.getAttribute('image-id') ?? '' }
  set imageId(value) { this.setAttribute('image-id', value) }

  get token() { return this.getAttribute('token') ?? '' }
  set token(value) { this.setAttribute('token', String(value)) }

  get proof() { return this.getAttribute('proof') ?? '' }
  set proof(value) { this.setAttribute('proof', value) }

  /** The whole record at once. Its meta stays in memory. */
  get record() { return this.#record }
  set record(record) {
    this.#record = record
    for (const [name, value] of [['image-id', record?.id], ['token', record?.token], ['proof', record?.statelessProof]]) {
      if (value === undefined) this.removeAttribute(String(name))
      else this.setAttribute(String(name), String(value))
    }
  }

  /** Tries again if the picture failed. */
  reload() {
    if (this.#state.name === 'failed') this.#enter(IDLE)
    this.#updateSoon()
  }

  /**
   * Where the picture comes from. A subclass may get it elsewhere.
   * @param {RecordDraft} record
   * @param {LoadOptions} options
   * @returns {Promise<Picture>}
   */
  fetchImage(record, options) {
    return imageService().load(record, options)
  }

  // --- life in the page ---

  connectedCallback() {
    this.#adoptEarlyProperties()
    this.#updateSoon()
  }

  /** Called instead of the other two when moveBefore() moves the element: there is nothing to do. */
  connectedMoveCallback() {}

  disconnectedCallback() {
    // Moving an element otherwise disconnects and reconnects it within one tick. That must cost nothing, so update later.
    this.#updateSoon()
  }

  /** @param {string} name */
  attributeChangedCallback(name) {
    if (name === 'alt') this.#view.showAlt(this.getAttribute('alt'))
    else if (name === 'width' || name === 'height') this.#view.reserveSpace(pixels(this, 'width'), pixels(this, 'height'))
    else this.#updateSoon()
  }

  // --- deciding what to do ---

  /** Updates once per tick, however many attributes have changed. */
  #updateSoon() {
    if (this.#isUpdateDue) return
    this.#isUpdateDue = true
    queueMicrotask(() => {
      this.#isUpdateDue = false
      this.#update()
    })
  }

  #update() {
    this.#watchZonesIfLazy()
    const wanted = this.isConnected ? this.#wanted() : null
    const state = this.#state
    if (wanted && this.#isRightFor(wanted)) {
      if (state.name === 'released' && this.#zones.near) this.#load(state.wanted, state)
      return
    }
    this.#stopLoading()
    const before = this.#olderVersionOf(wanted) ?? IDLE
    this.#enter(before)
    if (wanted && this.#zones.near) this.#load(wanted, before)
  }

  /**
   * Whether the present state shows the wanted version, or is on the way to it.
   * @param {RecordDraft} wanted
   */
  #isRightFor(wanted) {
    const state = this.#state
    if (state.name === 'idle' || !isSameVersion(state.wanted, wanted)) return false
    // A picture that is shown or loading ignores a newer proof; one that failed tries again with it.
    return state.name !== 'failed' || state.wanted.statelessProof === wanted.statelessProof
  }

  /**
   * The present state, if it shows or has released another version of the wanted image. That version stays
   * until the new one is there.
   * @param {RecordDraft | null} wanted
   */
  #olderVersionOf(wanted) {
    const state = this.#state
    return (state.name === 'loaded' || state.name === 'released') && state.wanted.id === wanted?.id ? state : undefined
  }

  /** What the attributes ask for.
   * @returns {RecordDraft | null} */
  #wanted() {
    const { imageId: id, token } = this
    if (!id) return null
    /** @type {RecordDraft} */
    const wanted = { id, statelessProof: this.proof || undefined }
    if (token) wanted.token = Number(token)
    if (this.#record?.id === id && this.#record.token === wanted.token) wanted.meta = this.#record.meta
    return wanted
  }

  #watchZonesIfLazy() {
    const isLazy = this.isConnected && this.loading === 'lazy'
    if (isLazy === this.#isWatched) return
    this.#isWatched = isLazy
    this.#zones = isLazy ? NOT_YET_NEAR : ALWAYS_NEAR
    if (isLazy) watchZones(this, (zone, isInside) => this.#enterOrLeaveZone(zone, isInside))
    else unwatchZones(this)
  }

  /**
   * @param {import('./viewport.js').Zone} zone
   * @param {boolean} isInside
   */
  #enterOrLeaveZone(zone, isInside) {
    this.#zones = { ...this.#zones, [zone]: isInside }
    if (zone === 'near' && isInside) this.#updateSoon()
    if (zone === 'withinReach') this.#releaseIfFar()
  }

  // --- from state to state ---

  /** @param {State} state */
  #enter(state) {
    if (state === this.#state) return
    this.#state = state
    if (state.name === 'idle' || state.name === 'failed') this.#view.clear()
    if (state.name === 'released') this.#view.release()
    this.#view.present(appearanceOf(state))
  }

  /**
   * @param {RecordDraft} wanted
   * @param {Idle | Loaded | Released} before
   */
  async #load(wanted, before) {
    const controller = new AbortController()
    const { signal } = controller
    const released = before.name === 'released' && isSameVersion(before.wanted, wanted) ? before : null
    this.#enter({ name: 'loading', wanted, before, isSilent: !!released, controller })
    if (!released) this.dispatchEvent(new Event('loadstart'))
    let record
    try {
      record = await this.#fetchAndShow(released?.record ?? wanted, signal)
    } catch (error) {
      if (!signal.aborted) this.#fail(error, wanted)
      return
    }
    if (signal.aborted) return
    this.#enter({ name: 'loaded', wanted, record })
    if (!released) {
      this.dispatchEvent(new Event('load'))
      this.dispatchEvent(new Event('loadend'))
    }
    this.#releaseIfFar()
  }

  /**
   * @param {RecordDraft} record
   * @param {AbortSignal} signal
   * @returns {Promise<ImageRecord>}  the present record of the picture
   */
  async #fetchAndShow(record, signal) {
    const options = { signal, isUrgent: () => this.#zones.onScreen }
    let picture = await this.fetchImage(record, options)
    try {
      await this.#view.show(picture.blob, signal)
    } catch (error) {
      if (!picture.cached || signal.aborted) throw error
      // A cached picture may have been damaged on disk. One from the server has been verified.
      await imageService().deleteCached(record.id).catch(() => {})
      picture = await this.fetchImage(record, options)
      await this.#view.show(picture.blob, signal)
    }
    return picture.record
  }

  /**
   * @param {unknown} error
   * @param {RecordDraft} wanted
   */
  #fail(error, wanted) {
    const message = error instanceof PixstoreError ? error.message : 'The picture cannot be shown.'
    this.#view.message = this.alt ? `${this.alt}: ${message}` : message
    this.#enter({ name: 'failed', wanted })
    report(error, errorMode())
    this.dispatchEvent(new ErrorEvent('error', { error, message }))
    this.dispatchEvent(new Event('loadend'))
  }

  #stopLoading() {
    const state = this.#state
    if (state.name !== 'loading') return
    state.controller.abort()
    this.#enter(state.before)
  }

  #releaseIfFar() {
    if (this.#state.name === 'loaded' && !this.#zones.withinReach) this.#enter({ ...this.#state, name: 'released' })
  }

  /**
   * A property set before the element was upgraded hides the accessor of this class. Deleting and setting it
   * again calls the setter.
   */
  #adoptEarlyProperties() {
    for (const name of ['record', 'imageId', 'token', 'proof', 'alt', 'loading', 'width', 'height']) {
      if (!Object.hasOwn(this, name)) continue
      const value = Reflect.get(this, name)
      Reflect.deleteProperty(this, name)
      Reflect.set(this, name, value)
    }
  }
}

/**
 * @param {State} state
 * @returns {import('./element-view.js').Appearance}
 */
function appearanceOf(state) {
  switch (state.name) {
    case 'idle':
      return ''
    case 'loading':
      return state.isSilent || state.before.name === 'loaded' ? 'loaded' : 'loading'
    case 'released':
      return 'loaded'
    default:
      return state.name
  }
}

/**
 * @param {RecordDraft} one
 * @param {RecordDraft} other
 */
function isSameVersion(one, other) {
  return one.id === other.id && Object.is(one.token, other.token)
}

/**
 * @param {Element} element
 * @param {string} name
 */
function pixels(element, name) {
  const value = element.getAttribute(name)
  return value !== null && /^\d{1,6}$/.test(value) ? Number(value) : null
}

function errorMode() {
  try {
    return currentConfig().errorHandlingMode
  } catch {
    return 'warn' // the configuration itself is wrong
  }
}
