// What a locator means, in the page: a list of steps to the elements that they lead to. Open shadow roots are looked into.
(steps) => {
  const clean = (text) => (text ?? '').replace(/\s+/g, ' ').trim()
  const says = (text, wanted, exact) =>
    exact ? clean(text) === wanted : clean(text).toLowerCase().includes(wanted.toLowerCase())
  const below = (root) =>
    [...root.querySelectorAll('*')].flatMap((one) => [one, ...(one.shadowRoot ? below(one.shadowRoot) : [])])
  const inside = (root) => [...(root.shadowRoot ? below(root.shadowRoot) : []), ...below(root)]
  const shown = (one) => one.checkVisibility({ visibilityProperty: true })

  const ROLES = {
    button: 'button, input[type=submit], [role=button]',
    dialog: 'dialog[open], [role=dialog]',
    heading: 'h1, h2, h3, h4, h5, h6',
    link: 'a[href]',
    navigation: 'nav',
  }
  const labelled = (one) => clean(one.getAttribute('aria-labelledby')).split(' ').map((id) => document.getElementById(id)?.textContent).join(' ')
  const nameOf = (one) => one.getAttribute('aria-label') ?? (clean(labelled(one)) || one.value || one.textContent)

  const kinds = {
    css: (root, { css }) => inside(root).filter((one) => one.matches(css)),
    label: (root, { label, exact }) =>
      inside(root).filter((one) => one.matches('label') && says(one.textContent, label, exact)).map(({ control }) => control),
    role: (root, { role, name, exact }) =>
      inside(root).filter((one) => one.matches(ROLES[role]) && shown(one) && (!name || says(nameOf(one), name, exact))),
    text: (root, { text, exact }) => {
      const found = inside(root).filter((one) => !one.matches('script, style') && says(one.textContent, text, exact))
      return found.filter((one) => !found.some((other) => other !== one && one.contains(other)))
    },
  }

  let found = [document]
  for (const step of steps) {
    if (step.kind === 'nth') found = found.slice(step.nth, step.nth + 1)
    else if (step.kind === 'has') found = found.filter((one) => inside(one).some((part) => part.matches(step.css)))
    else found = [...new Set(found.flatMap((root) => kinds[step.kind](root, step)))]
  }
  return found
}
