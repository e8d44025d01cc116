/**
 * Tells elements where they are: on screen, near it, or still within reach. Imports nothing.
 *
 * Three observers serve all elements. Lazy pictures begin to load when they come near; once a picture is no longer within
 * reach, its memory can be given back.
 */

/** @typedef {'onScreen' | 'near' | 'withinReach'} Zone */
/** @typedef {(zone: Zone, isInside: boolean) => void} Listener */

/** How far each zone goes beyond its box. Elements are told of the zones in this order.
 * @type {[Zone, string][]} */
const ZONES = [['onScreen', '0%'], ['near', '50%'], ['withinReach', '100%']]

/** @type {WeakMap<Element, Listener>} */
const listeners = new WeakMap()

/** @type {IntersectionObserver[]} */
let observers = []

/**
 * Calls `listener` soon for every zone, and later whenever the element enters or leaves one.
 * @param {Element} element
 * @param {Listener} listener
 */
export function watchZones(element, listener) {
  if (!observers.length) observers = ZONES.map(([zone, margin]) => observe(zone, margin))
  listeners.set(element, listener)
  for (const observer of observers) observer.observe(element)
}

/** @param {Element} element */
export function unwatchZones(element) {
  listeners.delete(element)
  for (const observer of observers) observer.unobserve(element)
}

/**
 * @param {Zone} zone
 * @param {string} margin
 */
function observe(zone, margin) {
  /** @param {IntersectionObserverEntry[]} entries */
  const onChange = (entries) => {
    for (const { target, isIntersecting } of entries) listeners.get(target)?.(zone, isIntersecting)
  }
  // rootMargin widens the window, scrollMargin every box that scrolls. Some browsers count the window as such a box and
  // widen it twice: then near means one and a half windows away instead of half a window, and within reach four instead of one.
  return new IntersectionObserver(onChange, /** @type {{}} */ ({ rootMargin: margin, scrollMargin: margin }))
}
