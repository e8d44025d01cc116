/**
 * Keeps the keyboard's place when htmx puts something new where the focus was: at the field that was not accepted, at the
 * first of the pictures that were added, or at the new part itself.
 */

export function keepFocus() {
  let isOwed = false
  document.body.addEventListener('htmx:beforeSwap', (event) => {
    const { target } = /** @type {CustomEvent} */ (event).detail
    isOwed = target instanceof Element && target.contains(document.activeElement)
  })
  document.body.addEventListener('htmx:load', (event) => {
    if (!isOwed || !(event.target instanceof HTMLElement)) return
    isOwed = false
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
