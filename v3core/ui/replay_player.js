// Plays one replay, or two in step: one clock for all frames, charts and panels. Positions are steps from 1; the one after
// the last step shows how the episode ended. Streamlit calls the default export again whenever the page is drawn.

const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4]
const SPANS = [400, 100, 25] // steps that the chart shows at once, where there are more
const ADDRESS_MS = 500 // browsers refuse to have the address changed all the time
const PLAYS_ON_KEYS = new Set([" ", "ArrowLeft", "ArrowRight", "Home", "End", "s", "d", "v"])

const players = new WeakMap() // Streamlit's container -> player

class Player {
  constructor(root) {
    this.root = root
    this.views = new Map() // key -> ReplayView
    this.position = 1
    this.playing = false
    this.build()
    this.onKey = (event) => this.pressed(event)
    window.addEventListener("keydown", this.onKey)
  }

  build() {
    this.play = this.button(() => (this.playing ? this.pause() : this.start()))
    this.play.classList.add("v3-replay-main")
    this.back = this.button(() => this.goTo(this.position - 1))
    this.next = this.button(() => this.goTo(this.position + 1))
    this.slider = element("input", { type: "range", min: 1, max: 1, step: 1, value: 1 })
    this.slider.oninput = () => this.goTo(Number(this.slider.value))
    this.speed = element("select", {}, ...SPEEDS.map((speed) => new Option(`${speed} ×`, speed)))
    this.speed.value = "1"
    this.span = element("select", { onchange: () => this.goTo(this.position) })
    this.span.append(new Option("", ""), ...SPANS.map((span) => new Option("", span)))
    this.place = element("span", { className: "v3-replay-place" })
    this.jumps = element("span", { className: "v3-replay-jumps" })
    this.controls = element("div", { className: "v3-replay-controls" })
    this.controls.setAttribute("role", "group")
    this.controls.append(this.back, this.play, this.next, this.slider, this.place, this.speed, this.span, this.jumps)
    this.sides = element("div", { className: "v3-replay-sides" })
    this.root.replaceChildren(this.controls, this.sides)
  }

  button(act) {
    return element("button", { type: "button", onclick: act })
  }

  name(button, label, meaning) {
    button.textContent = label
    button.title = meaning
    if (label.length < 2) button.setAttribute("aria-label", meaning)
  }

  // In the language of the page, which may be another one the next time.
  say(words) {
    this.name(this.play, this.playing ? words.pause : words.play, words.play_meaning)
    this.name(this.back, "‹", words.back)
    this.name(this.next, "›", words.next)
    this.slider.setAttribute("aria-label", words.step)
    this.controls.setAttribute("aria-label", words.player)
    for (const [field, name] of [[this.speed, words.speed], [this.span, words.span]]) {
      field.title = name
      field.setAttribute("aria-label", name)
    }
    for (const option of this.span.options) {
      option.textContent = option.value ? filled(words.steps, { steps: option.value }) : words.all_steps
    }
  }

  update(data) {
    this.data = data
    this.say(data.words)
    const wanted = new Map(data.views.map((view) => [view.key, view]))
    for (const [key, view] of this.views) {
      if (wanted.has(key)) continue
      view.remove()
      this.views.delete(key)
    }
    for (const view of data.views) {
      if (!this.views.has(view.key)) this.views.set(view.key, new ReplayView(this))
      this.sides.append(this.views.get(view.key).root)
      this.views.get(view.key).update(view, data.plotly)
    }
    this.last = 1 + Math.max(...data.views.map((view) => view.steps))
    this.slider.max = this.last
    for (const option of this.span.options) option.hidden = Number(option.value) >= this.last - 1
    this.offerJumps()
    if (this.asked !== data.asked) {
      // The page was opened at this step, or something else is shown now.
      this.asked = data.asked
      this.pause()
      this.position = data.step
    }
    this.goTo(this.position)
  }

  offerJumps() {
    const kinds = this.data.jumps.map(({ name, label, key, meaning }) => {
      const steps = this.data.views.map((view) => view.jumps[name] ?? [])
      const { words } = this.data
      const made = this.button(() => this.jump(name))
      this.name(made, label, filled(words.with_key, { meaning, key }))
      made.disabled = steps.every((each) => each.length === 0)
      const isKnown = this.data.views.some((view) => view.jumps[name])
      if (made.disabled) made.title = filled(isKnown ? words.none_here : words.not_known, { meaning })
      return made
    })
    const focused = [...this.jumps.children].indexOf(document.activeElement)
    this.jumps.replaceChildren(...kinds)
    kinds[focused]?.focus()
  }

  // To the next step of a kind, after the last to the first; of those that are ordered by size, to the next smaller one.
  jump(name) {
    this.pause()
    const { ordered } = this.data.jumps.find((kind) => kind.name === name)
    const steps = this.data.views.flatMap((view) => view.jumps[name] ?? [])
    if (steps.length === 0) return
    if (ordered) return this.goTo(steps[(steps.indexOf(this.position) + 1) % steps.length])
    steps.sort((one, other) => one - other)
    this.goTo(steps.find((step) => step > this.position) ?? steps[0])
  }

  goTo(position) {
    this.position = Math.min(Math.max(1, position), this.last)
    this.slider.value = this.position
    const isOver = this.position === this.last
    const { words } = this.data
    const text = filled(isOver ? words.after : words.place, { step: this.position, steps: this.last - 1 })
    this.place.textContent = text
    this.slider.setAttribute("aria-valuetext", text)
    this.root.dataset.step = this.position
    this.views.forEach((view) => view.show(this.position))
    this.writeAddress()
  }

  start() {
    if (this.playing) return
    if (this.position === this.last) this.goTo(1)
    this.playing = true
    this.play.textContent = this.data.words.pause
    this.began = undefined
    requestAnimationFrame((now) => this.tick(now))
  }

  pause() {
    this.playing = false
    if (this.data) this.play.textContent = this.data.words.play
  }

  // By the clock and not by the number of pictures: a slow browser leaves steps out and keeps the pace. It waits for
  // frames that are still being made.
  tick(now) {
    if (!this.playing) return
    const rate = this.data.framesPerSecond * Number(this.speed.value)
    if (this.began === undefined || this.rate !== rate || !this.isReady()) {
      ;[this.began, this.from, this.rate] = [now, this.position, rate]
    }
    const position = Math.min(this.last, this.from + Math.floor(((now - this.began) / 1000) * rate))
    if (position !== this.position) this.goTo(position)
    if (position === this.last) return this.pause()
    requestAnimationFrame((later) => this.tick(later))
  }

  isReady() {
    return [...this.views.values()].every((view) => view.isReady(this.position))
  }

  pressed(event) {
    const { key, target } = event
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !PLAYS_ON_KEYS.has(key)) return
    const own = this.root.contains(target)
    if (target.closest?.("input:not([type=range]), textarea, select, [contenteditable], [role=dialog]")) return
    // Elsewhere on the page these keys belong to what has the focus.
    if (!own && target !== document.body) return
    if (key === " " && target.closest?.("button") && target !== this.play) return
    event.preventDefault()
    if (key === " ") this.playing ? this.pause() : this.start()
    else if (key === "ArrowLeft") this.pauseAt(this.position - 1)
    else if (key === "ArrowRight") this.pauseAt(this.position + 1)
    else if (key === "Home") this.pauseAt(1)
    else if (key === "End") this.pauseAt(this.last)
    else this.data.jumps.filter((kind) => kind.key === key).forEach(({ name }) => this.jump(name))
  }

  pauseAt(position) {
    this.pause()
    this.goTo(position)
  }

  writeAddress() {
    this.writing ??= setTimeout(() => {
      this.writing = undefined
      if (this.gone || window.location.pathname !== this.data.page) return
      const url = new URL(window.location.href)
      if (url.searchParams.get("step") === String(this.position)) return
      url.searchParams.set("step", this.position)
      window.history.replaceState(window.history.state, "", url)
    }, ADDRESS_MS)
  }

  remove() {
    this.gone = true
    this.pause()
    clearTimeout(this.writing)
    window.removeEventListener("keydown", this.onKey)
    this.views.forEach((view) => view.remove())
  }
}

export default function ({ data, parentElement }) {
  let player = players.get(parentElement)
  if (!player) {
    player = new Player(parentElement.querySelector(".v3-replay"))
    players.set(parentElement, player)
  }
  player.update(data)
  return () => {
    player.remove()
    players.delete(parentElement)
  }
}
