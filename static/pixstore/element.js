/**
 * <pixstore-image image-id token proof alt loading width height>: shows one encrypted image and behaves like <img>.
 *
 * - Events, none of which bubble: loadstart, then load or error, then loadend.
 * - What stands in the tag is shown until the picture is there, and to browsers without JavaScript. `slot="error"` replaces
 *   the words shown when it fails; a click on anything with `data-retry` in it tries again.
 * - Parts to style: image, placeholder, error, message, retry. States: :state(loading), :state(loaded), :state(failed).
 * - Neither key nor picture address ever stands in the page's own markup: the picture lives in a shadow root.
 */
import { currentConfig } from './config.js'
import { PixstoreError, report } from './errors.js'
import { imageService } from './images.js'
import { turn } from './turns.js'
import { unwatch, watch } from './viewport.js'

/** @typedef {import('./images.js').Picture} Picture */
/** @typedef {import('./images.js').LoadOptions} LoadOptions */
/** @typedef {import('./records.js').ImageRecord} ImageRecord */
/** @typedef {import('./records.js').RecordDraft} RecordDraft */

/** A load under way. A silent one brings back a picture that was shown before: nobody is told.
 * @typedef {{ wanted: RecordDraft, silent: boolean, controller: AbortController }} Journey */

const STYLE = new CSSStyleSheet()
STYLE.replaceSync(`
  :host { display: inline-block; position: relative; }
  :host([hidden]), [hidden] { display: none !important; }
  img {
    display: block; inline-size: 100%; block-size: 100%;
    object-fit: inherit; object-position: inherit; border-radius: inherit;
  }
  img.pending { position: absolute; inset: 0; opacity: 0; }
  [part=placeholder], [part=error] {
    box-sizing: border-box; block-size: 100%; overflow: hidden; border-radius: inherit;
    display: grid; place-content: center; place-items: center; gap: .5em; text-align: center;
  }
  [part=error] { padding: .5em; font-size: .875em; }
  [part=message] { margin: 0; }
`)

export class PixstoreImageElement extends HTMLElement {
  static observedAttributes = ['image-id', 'token', 'proof', 'alt', 'loading', 'width', 'height']

  #image
  #placeholder
  #problem
  #message
  #internals
  #size = new CSSStyleSheet()

  /** @type {ImageRecord | null} a record given by program; its meta stands in no attribute */
  #given = null
  /** @type {Journey | null} */
  #journey = null
  /** @type {{ wanted: RecordDraft, record: ImageRecord } | null} what is shown, or was until it was released */
  #shown = null
  /** @type {{ wanted: RecordDraft } | null} */
  #failed = null
  /** @type {string | null} */
  #url = null
  #updateDue = false
  #watched = false
  #zones = { onScreen: false, near: false, withinReach: true }

  constructor() {
    super()
    this.#internals = this.attachInternals()
    const root = this.attachShadow({ mode: 'open' })
    root.adoptedStyleSheets = [STYLE, this.#size]
    this.#image = part('image', 'img')
    this.#image.decoding = 'async'
    this.#placeholder = part('placeholder', 'div')
    // The picture's own name is there from the start; said twice it would only disturb.
    this.#placeholder.ariaHidden = 'true'
    this.#placeholder.append(document.createElement('slot'))
    this.#message = part('message', 'p')
    this.#problem = this.#makeProblem()
    root.append(this.#image, this.#placeholder, this.#problem)
    this.#present('')
  }

  /**
   * Makes `tag` this element. A registry knows a class under one tag only.
   * @param {string} [tag]
   * @param {CustomElementRegistry} [registry]
   */
  static define(tag = 'pixstore-image', registry = customElements) {
    if (!registry.get(tag)) registry.define(tag, this)
    return this
  }

  // --- what <img> has, too ---

  get alt() { return this.getAttribute('alt') ?? '' }
  set alt(value) { this.setAttribute('alt', value) }

  /** @returns {'lazy' | 'eager'} */
  get loading() { return this.getAttribute('loading')?.toLowerCase() === 'lazy' ? 'lazy' : 'eager' }
  set loading(value) { this.setAttribute('loading', value) }

  get width() { return pixels(this, 'width') ?? this.#image.width }
  set width(value) { this.setAttribute('width', String(value)) }

  get height() { return pixels(this, 'height') ?? this.#image.height }
  set height(value) { this.setAttribute('height', String(value)) }

  get naturalWidth() { return this.#image.naturalWidth }
  get naturalHeight() { return this.#image.naturalHeight }

  /** Whether there is nothing more to wait for: shown, failed, or nothing to show. */
  get complete() { return !this.#updateDue && !this.#journey && (!!this.#shown || !!this.#failed || !this.imageId) }

  // --- what only an encrypted image has ---

  get imageId() { return this.getAttribute('image-id') ?? '' }
  set imageId(value) { this.setAttribute('image-id', value) }

  get token() { return this.getAttribute('token') ?? '' }
  set token(value) { this.setAttribute('token', String(value)) }

  get proof() { return this.getAttribute('proof') ?? '' }
  set proof(value) { this.setAttribute('proof', value) }

  /** The whole record at once. Its meta stays in memory. */
  get record() { return this.#given }
  set record(record) {
    this.#given = record
    for (const [name, value] of [['image-id', record?.id], ['token', record?.token], ['proof', record?.statelessProof]]) {
      if (value === undefined) this.removeAttribute(String(name))
      else this.setAttribute(String(name), String(value))
    }
  }

  /** Loads the picture anew if it failed, or is not there for another reason. */
  reload() {
    this.#failed = null
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

  /** Moved, not removed: nothing to do. */
  connectedMoveCallback() {}

  disconnectedCallback() {
    // Who is moved is taken out and put in again within one tick; that must cost nothing.
    this.#updateSoon()
  }

  /** @param {string} name */
  attributeChangedCallback(name) {
    if (name === 'alt') this.#showAlt()
    else if (name === 'width' || name === 'height') this.#reserveSpace()
    else this.#updateSoon()
  }

  // --- deciding what to do ---

  /** Once per tick, however many attributes have changed. */
  #updateSoon() {
    if (this.#updateDue) return
    this.#updateDue = true
    queueMicrotask(() => {
      this.#updateDue = false
      this.#update()
    })
  }

  #update() {
    this.#watchWhere()
    const wanted = this.isConnected ? this.#wanted() : null
    if (!wanted) {
      this.#stop()
      this.#clear()
    } else if (this.#journey ? !isSame(this.#journey.wanted, wanted) : !this.#isDone(wanted)) {
      this.#stop()
      if (this.#shown?.wanted.id !== wanted.id) this.#clear()
      if (this.loading !== 'lazy' || this.#zones.near) this.#load(wanted, false)
    }
  }

  /**
   * A newer proof changes nothing for who is shown, and everything for who failed.
   * @param {RecordDraft} wanted
   */
  #isDone(wanted) {
    const { id, statelessProof } = this.#failed?.wanted ?? {}
    if (this.#failed && isSame(this.#failed.wanted, wanted) && id && statelessProof === wanted.statelessProof) return true
    return !this.#failed && !!this.#shown && isSame(this.#shown.wanted, wanted)
  }

  /** @returns {RecordDraft | null} */
  #wanted() {
    const { imageId: id, token } = this
    if (!id) return null
    /** @type {RecordDraft} */
    const wanted = { id, statelessProof: this.proof || undefined }
    if (token) wanted.token = Number(token)
    if (this.#given?.id === id && this.#given.token === wanted.token) wanted.meta = this.#given.meta
    return wanted
  }

  #watchWhere() {
    const watched = this.isConnected && this.loading === 'lazy'
    if (watched === this.#watched) return
    this.#watched = watched
    if (watched) {
      watch(this, (zone, inside) => this.#moved(zone, inside))
    } else {
      unwatch(this)
      this.#zones = { onScreen: false, near: false, withinReach: true }
    }
  }

  /**
   * @param {import('./viewport.js').Zone} zone
   * @param {boolean} inside
   */
  #moved(zone, inside) {
    this.#zones[zone] = inside
    if (zone === 'near' && inside) {
      if (this.#shown && !this.#url && !this.#journey) this.#load(this.#shown.record, true)
      else this.#updateSoon()
    }
    if (zone === 'withinReach' && !inside) this.#release()
  }

  // --- loading and showing ---

  /**
   * @param {RecordDraft} wanted
   * @param {boolean} silent
   */
  async #load(wanted, silent) {
    const controller = new AbortController()
    const journey = { wanted: silent && this.#shown ? this.#shown.wanted : wanted, silent, controller }
    this.#journey = journey
    this.#failed = null
    if (!this.#url && !silent) this.#present('loading')
    this.#tell('loadstart')
    try {
      const record = await this.#bring(wanted, controller.signal)
      this.#shown = { wanted: journey.wanted, record }
      this.#present('loaded')
      this.#tell('load')
    } catch (error) {
      if (controller.signal.aborted) return
      journey.silent = false
      this.#fail(error, journey.wanted)
    }
    this.#tell('loadend')
    if (this.#journey !== journey) return
    this.#journey = null
    if (!this.#zones.withinReach) this.#release()
  }

  /**
   * @param {RecordDraft} wanted
   * @param {AbortSignal} signal
   */
  async #bring(wanted, signal) {
    const options = { signal, isUrgent: () => this.#zones.onScreen || this.loading !== 'lazy' }
    let picture = await this.fetchImage(wanted, options)
    try {
      await this.#show(picture.blob, signal)
    } catch (error) {
      if (!picture.cached || signal.aborted) throw error
      // What was cached may have been damaged on disk; what comes from the server has been verified.
      await imageService().deleteCached(wanted.id).catch(() => {})
      picture = await this.fetchImage(wanted, options)
      await this.#show(picture.blob, signal)
    }
    return picture.record
  }

  /**
   * @param {Blob} blob
   * @param {AbortSignal} signal
   */
  async #show(blob, signal) {
    await turn() // making an address for a picture waits for another process of the browser
    signal.throwIfAborted()
    const before = this.#url
    this.#url = URL.createObjectURL(blob)
    const visible = shown(this.#image, this.#url, signal)
    if (before) URL.revokeObjectURL(before)
    await visible
    this.#image.removeAttribute('style')
  }

  /**
   * @param {unknown} error
   * @param {RecordDraft} wanted
   */
  #fail(error, wanted) {
    this.#clear()
    this.#failed = { wanted }
    const words = error instanceof PixstoreError ? error.message : 'The picture cannot be shown.'
    this.#message.textContent = this.alt ? `${this.alt}: ${words}` : words
    this.#present('failed')
    report(error, errorMode())
    this.dispatchEvent(new ErrorEvent('error', { error, message: words }))
  }

  /** Gives back the memory of a picture that has been scrolled far away. Its place in the page stays as large as it is. */
  #release() {
    if (!this.#url || this.#journey) return
    const { naturalWidth, naturalHeight, style } = this.#image
    style.inlineSize = `${naturalWidth}px`
    style.maxInlineSize = '100%'
    style.blockSize = 'auto'
    style.maxBlockSize = '100%'
    style.aspectRatio = `${naturalWidth} / ${naturalHeight}`
    this.#revoke()
  }

  #stop() {
    const journey = this.#journey
    this.#journey = null
    journey?.controller.abort()
  }

  #clear() {
    this.#revoke()
    this.#image.removeAttribute('style')
    this.#shown = null
    this.#failed = null
    this.#present('')
  }

  #revoke() {
    if (!this.#url) return
    this.#image.removeAttribute('src')
    URL.revokeObjectURL(this.#url)
    this.#url = null
  }

  // --- appearance ---

  /** @param {'' | 'loading' | 'loaded' | 'failed'} state */
  #present(state) {
    this.#image.hidden = state === 'failed'
    this.#image.classList.toggle('pending', state !== 'loaded')
    this.#placeholder.hidden = state === 'loaded' || state === 'failed'
    this.#problem.hidden = state !== 'failed'
    this.#internals.ariaBusy = String(state === 'loading')
    this.#internals.states?.clear()
    if (state) this.#internals.states?.add(state)
  }

  #showAlt() {
    const alt = this.getAttribute('alt')
    if (alt === null) this.#image.removeAttribute('alt')
    else this.#image.alt = alt
    // Firefox takes an <img> for mere text until it has a source.
    if (alt) this.#image.setAttribute('role', 'img')
    else this.#image.removeAttribute('role')
  }

  /** What width and height say holds from the start, and yields to the page's style sheets, as it does for <img>. */
  #reserveSpace() {
    const [width, height] = [pixels(this, 'width'), pixels(this, 'height')]
    const rules = []
    if (width !== null) rules.push(`width: ${width}px`)
    if (width === null && height !== null) rules.push(`height: ${height}px`)
    // Without the minimum WebKit makes room for the placeholder as well, a fraction of a pixel.
    if (width && height) rules.push(`aspect-ratio: ${width} / ${height}`, 'min-height: 0')
    this.#size.replaceSync(`:host { ${rules.join('; ')} }`)
  }

  #makeProblem() {
    const retry = part('retry', 'button')
    retry.type = 'button'
    retry.textContent = 'Try again'
    retry.dataset.retry = ''
    const slot = document.createElement('slot')
    slot.name = 'error'
    slot.append(this.#message, retry)
    const problem = part('error', 'div')
    problem.append(slot)
    problem.addEventListener('click', (event) => {
      if (event.target instanceof Element && event.target.closest('[data-retry]')) this.reload()
    })
    return problem
  }

  /** @param {string} type */
  #tell(type) {
    if (!this.#journey?.silent) this.dispatchEvent(new Event(type))
  }

  /** What a program set before this class was known hides the setters; set again, it reaches them. */
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
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {string} name
 * @param {Tag} tag
 */
function part(name, tag) {
  const element = document.createElement(tag)
  element.setAttribute('part', name)
  return element
}

/**
 * Resolves when the picture is on the page.
 * @param {HTMLImageElement} image
 * @param {string} url
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function shown(image, url, signal) {
  const settled = new AbortController()
  /** @type {Promise<void>} */
  const promise = new Promise((resolve, reject) => {
    const unreadable = () => reject(new PixstoreError('This browser cannot show the picture.', 'unreadable'))
    image.addEventListener('load', () => resolve(), settled)
    image.addEventListener('error', unreadable, settled)
    signal.addEventListener('abort', () => reject(signal.reason), settled)
  })
  image.src = url
  return promise.finally(() => settled.abort())
}

/**
 * Whether both mean the same version of the same image.
 * @param {RecordDraft} one
 * @param {RecordDraft} other
 */
function isSame(one, other) {
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
    return 'warn' // the configuration is what is wrong
  }
}
