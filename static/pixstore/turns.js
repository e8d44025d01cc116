/**
 * Keeps the page answering while many pictures come at once. Imports nothing.
 *
 * A hundred answers may arrive as one event; worked off in one go they would hold up clicks and painting. Whoever does
 * work for one picture asks for a turn first. Turns are granted at once until their time is up; then the page has its own.
 */

/** How long work may go on without a pause, in milliseconds. */
const SLICE = 8

/** When the running slice is over; 0 where none is running. */
let sliceEnd = 0

/** @type {(() => void)[]} */
const queue = []

/**
 * Resolves when it is this caller's turn.
 * @returns {Promise<void> | void}
 */
export function turn() {
  if (!sliceEnd) beginSlice()
  if (!queue.length && performance.now() < sliceEnd) return undefined
  return new Promise((resolve) => {
    if (queue.push(resolve) === 1) grantTurns()
  })
}

function beginSlice() {
  sliceEnd = performance.now() + SLICE
  // In another task the page has had its turn.
  setTimeout(() => { if (!queue.length) sliceEnd = 0 })
}

async function grantTurns() {
  while (queue.length) {
    await pause()
    sliceEnd = performance.now() + SLICE
    while (queue.length && performance.now() < sliceEnd) {
      queue[0]?.()
      await undefined // who has the turn uses it now
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
