/**
 * Some browsers keep a page whole for "back", pictures and all, and would show it to whoever sits there after a logout. Such a
 * page stays blank until the server has been asked for it again.
 */
export function refreshKeptPages() {
  addEventListener('pagehide', ({ persisted }) => { document.documentElement.hidden = persisted })
  addEventListener('pageshow', ({ persisted }) => { if (persisted) location.reload() })
}
