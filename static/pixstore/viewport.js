/**
 * Tells elements where they are: on screen, near it, or not far from it. Imports nothing.
 *
 * Three observers serve all elements. Near is where lazy pictures begin to load; once a picture is no longer within reach,
 * its memory can be given back.
 */

/** @typedef {'onScreen' | 'near' | 'withinReach'} Zone */
/** @typedef {(zone: Zone, inside: boolean) => void} Listener */

/** How far each zone goes beyond its box. The order is the order in which elements are told.
 * @type {[Zone, string][]} */
const ZONES = [['onScreen', '0%'], ['near', '50%'], ['withinReach', '100%']]

/** @type {WeakMap<Element, Listener>} */
const listeners = new WeakMap()

/** @type {IntersectionObserver[]} */
let observers = []

/**
 * @param {Element} element
 * @param {Listener} listener
 */
export function watch(element, listener) {
  if (!observers.length) observers = ZONES.map(([zone, margin]) => observe(zone, margin))
  listeners.set(element, listener)
  for (const observer of observers) observer.observe(element)
}

/** @param {Element} element */
export function unwatch(element) {
  listeners.delete(element)
  for (const observer of observers) observer.unobserve(element)
}

/**
 * @param {Zone} zone
 * @param {string} margin
 */
function observe(zone, margin) {
  /** @param {IntersectionObserverEntry[]} entries */
  const tell = (entries) => {
    for (const { target, isIntersecting } of entries) listeners.get(target)?.(zone, isIntersecting)
  }
  // The first holds for the window, the second for every box that scrolls. Some browsers count the window as one of these
  // and widen it twice: near is then one window and a half, and within reach four.
  return new IntersectionObserver(tell, /** @type {{}} */ ({ rootMargin: margin, scrollMargin: margin }))
}
