/**
 * Removes images from the cache of this browser before they are deleted on the server. `data-forget` holds
 * their ids, or "*" for the whole cache. It is an attribute of the form, or of the option chosen in the form.
 */
import { clearCache, deleteCachedImage } from '../pixstore/index.js'

export function forgetDeletedImages() {
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
