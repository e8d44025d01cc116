/**
 * Some browsers keep a page with its pictures in memory for "back" (the bfcache), and would show it to the next person even
 * after a logout. Such a page stays blank until it has been loaded from the server again.
 */
export function reloadPagesFromBfcache() {
  addEventListener('pagehide', ({ persisted }) => { document.documentElement.hidden = persisted })
  addEventListener('pageshow', ({ persisted }) => { if (persisted) location.reload() })
}
