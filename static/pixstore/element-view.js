/**
 * The appearance of <pixstore-image>: its shadow root, with the picture, the placeholder and the message of a
 * failure. Imports errors and schedule.
 */
import { PixstoreError } from './errors.js'
import { yieldToPage } from './schedule.js'

/** @typedef {'' | 'loading' | 'loaded' | 'failed'} Appearance */

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

export class ElementView {
  #internals
  #placeholder
  #failure
  #message
  #size = new CSSStyleSheet()
  /** The address of the picture that is loaded into the <img>; revoked when the picture goes.
   * @type {string | null} */
  #url = null

  /**
   * @param {HTMLElement} host
   * @param {() => void} onRetry  called when the user asks to try again
   */
  constructor(host, onRetry) {
    this.#internals = host.attachInternals()
    this.image = part('image', 'img')
    this.image.decoding = 'async'
    this.#placeholder = part('placeholder', 'div')
    // Assistive software hears the alt text from the start; hearing the placeholder as well would only disturb.
    this.#placeholder.ariaHidden = 'true'
    this.#placeholder.append(document.createElement('slot'))
    this.#message = part('message', 'p')
    this.#failure = failurePart(this.#message, onRetry)
    const root = host.attachShadow({ mode: 'open' })
    root.adoptedStyleSheets = [STYLE, this.#size]
    root.append(this.image, this.#placeholder, this.#failure)
    this.present('')
  }

  /** @param {Appearance} appearance */
  present(appearance) {
    this.image.hidden = appearance === 'failed'
    this.image.classList.toggle('pending', appearance !== 'loaded')
    this.#placeholder.hidden = appearance === 'loaded' || appearance === 'failed'
    this.#failure.hidden = appearance !== 'failed'
    this.#internals.ariaBusy = String(appearance === 'loading')
    this.#internals.states?.clear()
    if (appearance) this.#internals.states?.add(appearance)
  }

  /** @param {string} text  the words of the failure */
  set message(text) {
    this.#message.textContent = text
  }

  // --- the picture ---

  /**
   * Loads a picture into the <img>, in place of the one before. Resolves when it is on the page.
   * @param {Blob} blob
   * @param {AbortSignal} signal
   */
  async show(blob, signal) {
    await yieldToPage() // making an address for a picture waits for another process of the browser
    signal.throwIfAborted()
    const before = this.#url
    this.#url = URL.createObjectURL(blob)
    const shown = setSource(this.image, this.#url, signal)
    if (before) URL.revokeObjectURL(before)
    await shown
    this.image.removeAttribute('style')
  }

  /** Gives back the memory of the picture. Its place on the page stays as large as it is. */
  release() {
    const { naturalWidth, naturalHeight, style } = this.image
    // A picture that has only begun to come back still has its place from the last time.
    if (naturalWidth) {
      style.inlineSize = `${naturalWidth}px`
      style.maxInlineSize = '100%'
      style.blockSize = 'auto'
      style.maxBlockSize = '100%'
      style.aspectRatio = `${naturalWidth} / ${naturalHeight}`
    }
    this.#revoke()
  }

  /** Gives back the memory of the picture, and its place. */
  clear() {
    this.#revoke()
    this.image.removeAttribute('style')
  }

  #revoke() {
    if (!this.#url) return
    this.image.removeAttribute('src')
    URL.revokeObjectURL(this.#url)
    this.#url = null
  }

  // --- attributes ---

  /** @param {string | null} alt */
  showAlt(alt) {
    if (alt === null) this.image.removeAttribute('alt')
    else this.image.alt = alt
    // Firefox treats an <img> without a source as plain text.
    if (alt) this.image.setAttribute('role', 'img')
    else this.image.removeAttribute('role')
  }

  /**
   * Gives the element its size from the start. As for <img>, the page's style sheets override it.
   * @param {number | null} width
   * @param {number | null} height
   */
  reserveSpace(width, height) {
    const rules = []
    if (width !== null) rules.push(`width: ${width}px`)
    if (width === null && height !== null) rules.push(`height: ${height}px`)
    // Without min-height, WebKit makes the box a fraction of a pixel higher, for the placeholder.
    if (width && height) rules.push(`aspect-ratio: ${width} / ${height}`, 'min-height: 0')
    this.#size.replaceSync(`:host { ${rules.join('; ')} }`)
  }
}

/**
 * @param {HTMLElement} message
 * @param {() => void} onRetry
 */
function failurePart(message, onRetry) {
  const retry = part('retry', 'button')
  retry.type = 'button'
  retry.textContent = 'Try again'
  retry.dataset.retry = ''
  const slot = document.createElement('slot')
  slot.name = 'error'
  slot.append(message, retry)
  const failure = part('error', 'div')
  failure.append(slot)
  failure.addEventListener('click', (event) => {
    if (event.target instanceof Element && event.target.closest('[data-retry]')) onRetry()
  })
  return failure
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
 * Sets the source of an <img>. Resolves when the picture is on the page.
 * @param {HTMLImageElement} image
 * @param {string} url
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function setSource(image, url, signal) {
  const settled = new AbortController()
  /** @type {Promise<void>} */
  const shown = new Promise((resolve, reject) => {
    const fail = () => reject(new PixstoreError('This browser cannot show the picture.', 'unreadable'))
    image.addEventListener('load', () => resolve(), settled)
    image.addEventListener('error', fail, settled)
    signal.addEventListener('abort', () => reject(signal.reason), settled)
  })
  image.src = url
  return shown.finally(() => settled.abort())
}
