// Scrolls to the part of a page that its address names, once: `section=KEY` is the part with that key. Appended to
// page_frame.js by page_frame.py.

const SECTION_LOOK_MS = 100
const SECTION_SETTLES_MS = 3000 // what is above it may still change its height
const SECTION_GIVE_UP_MS = 20_000
const SECTION_MARGIN = "4rem" // Streamlit's header

function toSection() {
  const address = new URLSearchParams(window.location.search)
  const name = address.get("section")
  const asked = name && `${window.location.pathname} ${address.get("run")} ${name}`
  if (frame.section === asked) return
  frame.section = asked
  clearInterval(frame.scrolling)
  if (!asked) return
  const began = performance.now()
  let found = null
  const stop = () => {
    clearInterval(frame.scrolling)
    for (const what of ["wheel", "touchmove", "keydown", "pointerdown"]) window.removeEventListener(what, stop, true)
  }
  // Whoever scrolls or types meanwhile is left alone.
  for (const what of ["wheel", "touchmove", "keydown", "pointerdown"]) window.addEventListener(what, stop, true)
  frame.scrolling = setInterval(() => {
    const part = document.querySelector(`[data-testid="stMain"] .st-key-${CSS.escape(name)}`)
    const now = performance.now()
    if (now - began > SECTION_GIVE_UP_MS || (found && now - found > SECTION_SETTLES_MS)) return stop()
    if (!part) return
    if (!found) part.querySelector("summary")?.focus({ preventScroll: true })
    found ??= now
    part.style.scrollMarginTop = SECTION_MARGIN
    part.scrollIntoView({ block: "start" })
  }, SECTION_LOOK_MS)
}
