/**
 * Keeps the page responsive while many pictures arrive at once. Imports nothing.
 *
 * One event may bring a hundred answers. Processed in one go, they would hold up clicks and painting. So all work on a
 * picture awaits yieldToPage() first: it resolves at once until a slice of time is used up; then the browser
 * gets its turn.
 */

/** How long work may go on without a pause, in milliseconds. */
const SLICE = 8

/** When the present slice ends; 0 if there is none. */
let sliceEnd = 0

/** The callers that wait for a later slice, in order.
 * @type {(() => void)[]} */
const queue = []

/**
 * Resolves when the caller may work: at once within a slice, or else after the browser has had its turn.
 * @returns {Promise<void> | void}
 */
export function yieldToPage() {
  if (!sliceEnd) beginSlice()
  if (!queue.length && performance.now() < sliceEnd) return undefined
  return new Promise((resolve) => {
    if (queue.push(resolve) === 1) workOffQueue()
  })
}

function beginSlice() {
  sliceEnd = performance.now() + SLICE
  // By the next task the browser has had its turn, so the slice is over.
  setTimeout(() => { if (!queue.length) sliceEnd = 0 })
}

async function workOffQueue() {
  while (queue.length) {
    await pause()
    sliceEnd = performance.now() + SLICE
    while (queue.length && performance.now() < sliceEnd) {
      queue[0]?.()
      await undefined // the caller works now
      queue.shift()
    }
  }
  sliceEnd = 0
}

/** @returns {Promise<void>} */
function pause() {
  const { scheduler } = /** @type {{ scheduler?: { yield?: () => Promise<void> } }} */ (globalThis)
  return scheduler?.yield?.() ?? new Promise((resolve) => { setTimeout(resolve) })
}
