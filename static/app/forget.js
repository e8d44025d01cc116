/**
 * Before images are deleted on the server, removes them from the cache of this browser. `data-forget` names them, or "*"
 * for the whole cache; it stands on the form, or on the option chosen in it.
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
