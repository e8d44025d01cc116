/**
 * What is deleted on the server leaves the cache of this browser before it goes: a form, or the choice made in it, names the
 * images in `data-forget`, or "*" for all that are cached.
 */
import { clearCache, deleteCachedImage } from '../pixstore/index.js'

export function watchDeletions() {
  document.addEventListener('submit', async (event) => {
    const form = event.target
    if (!(form instanceof HTMLFormElement)) return
    const chosen = form.querySelector('[data-forget]:checked')
    const { forget } = chosen instanceof HTMLElement ? chosen.dataset : form.dataset
    if (forget === undefined) return
    event.preventDefault()
    if (forget === '*') await clearCache()
    else await Promise.all(forget.split(' ').map((id) => deleteCachedImage(id)))
    form.submit()
  })
}
