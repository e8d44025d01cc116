/**
 * Sets the focus again when htmx replaces the part of the page that had it. The focus goes to the field that
 * was not accepted, or to the first picture that was added, or else to the new part itself.
 */

export function keepFocus() {
  let focusIsLost = false
  document.body.addEventListener('htmx:beforeSwap', (event) => {
    const { target } = /** @type {CustomEvent} */ (event).detail
    focusIsLost = target instanceof Element && target.contains(document.activeElement)
  })
  document.body.addEventListener('htmx:load', (event) => {
    if (!focusIsLost || !(event.target instanceof HTMLElement)) return
    focusIsLost = false
    if (document.activeElement === document.body || !document.activeElement) focusInto(event.target)
  })
}

/** @param {HTMLElement} part */
function focusInto(part) {
  /** @type {HTMLElement | null} */
  const inside = part.querySelector('[aria-invalid]') ?? (part.matches('.card') ? part.querySelector('a') : null)
  const place = inside ?? part
  if (place === part) part.tabIndex = -1
  place.focus({ preventScroll: place === part })
}
